import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { minioCloud } from '../support/clouds.ts'
import { Installation } from '../support/installation.ts'

/** What a worker's environment has of the service's: nothing that is secret, also where an account lives on the service's environment. */

const cloud = await minioCloud()
const unable = 'missing' in cloud ? cloud.missing : existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse'

const allowed = ['PATH', 'HOME', 'TZ', 'LANG', 'LC_ALL', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS', 'NODE_COMPILE_CACHE']
const set = ['UV_USE_IO_URING', 'UV_THREADPOOL_SIZE']

it('keys in the environment of the service reach the worker of an account that asks for them, and no process’s environment', {
  timeout: 120_000,
}, async ({ skip }) => {
  if ('missing' in cloud || unable !== undefined) return skip(unable)
  await using all = new AsyncDisposableStack()
  all.use(cloud)
  const here = all.use(await Installation.create())
  const { accessKeyId = '', ...place } = cloud.account.set
  const { secretAccessKey = '' } = cloud.account.secrets
  Object.assign(here.env, {
    ...{ AWS_ACCESS_KEY_ID: accessKeyId, AWS_SECRET_ACCESS_KEY: secretAccessKey, AWS_CONTAINER_AUTHORIZATION_TOKEN: 'Bearer 1' },
    ...{ HTTPS_PROXY: 'http://me:secret@proxy:1', GITHUB_TOKEN: 'ghp_secret', NODE_OPTIONS: '--no-warnings', MY_PASSWORD: 'secret' },
  })
  await here.account('ambient', { type: 's3', set: { ...place, credentials: 'environment' }, secrets: {} })
  await here.account('own', cloud.account)
  const ambient = await here.mount('ambient', 'ambient', ['--remote', 'a'])
  const own = await here.mount('own', 'own', ['--remote', 'b'])
  for (const [path, name] of [
    [ambient, 'ambient'],
    [own, 'own'],
  ] as const) {
    await writeFile(join(path, 'file'), 'bytes')
    await here.uploaded(name)
  }
  await here.cloudmoor(['config', 'test', 'ambient'])

  const workers = await here.workerPids()
  expect(workers.length).toBeGreaterThanOrEqual(2)
  for (const pid of workers) {
    const environment = (await readFile(`/proc/${pid}/environ`, 'utf8')).split('\0').filter((line) => line !== '')
    const names = environment.map((line) => line.slice(0, line.indexOf('=')))
    expect(names.filter((name) => ![...allowed, ...set].includes(name))).toEqual([])
    expect(names).toEqual(expect.arrayContaining(set))
  }
  // The search would see them: the service has them.
  const { service } = await here.status()
  expect(await readFile(`/proc/${service?.pid}/environ`, 'utf8')).toContain(`AWS_SECRET_ACCESS_KEY=${secretAccessKey}`)

  // Only one of the accounts was given the keys; the record says so.
  const lines = (await here.cloudmoor(['audit', 'export', '--format', 'jsonl'])).trim().split('\n')
  const given = lines.filter((line) => line.includes('secrets-to-worker'))
  expect(given.some((line) => line.includes('env:AWS_ACCESS_KEY_ID env:AWS_CONTAINER_AUTHORIZATION_TOKEN env:AWS_SECRET_ACCESS_KEY'))).toBe(
    true,
  )
  expect(given.some((line) => line.includes('"secretAccessKey"'))).toBe(true)
  expect(given.filter((line) => line.includes('env:') && line.includes('"secretAccessKey'))).toEqual([])
})
