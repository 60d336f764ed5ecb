import { spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { minioCloud } from '../support/clouds.ts'
import { Installation, signal } from '../support/installation.ts'

/** What processes and files of a running service show of its secrets: nothing. */

const cloud = await minioCloud()
const unable = 'missing' in cloud ? cloud.missing : existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse'

it('no secret stands in an argument, an environment, a file or a dump of a crash', { timeout: 180_000 }, async ({ skip }) => {
  if ('missing' in cloud || unable !== undefined) return skip(unable)
  await using all = new AsyncDisposableStack()
  all.use(cloud)
  const here = all.use(await Installation.create())
  const secrets = [
    ...Object.values(cloud.account.secrets),
    ...['named', 'phrase'].map((name) => `${name}-${randomBytes(16).toString('hex')}`),
  ]
  const [, named = '', passphrase = ''] = secrets

  const leaks = async () => {
    const found: string[] = []
    const look = (place: string, bytes: Buffer) => {
      for (const secret of secrets) {
        if ([secret, Buffer.from(secret).toString('base64').slice(0, 20)].some((shape) => bytes.includes(shape))) found.push(place)
      }
    }
    for (const pid of await here.pids()) {
      for (const name of ['cmdline', 'environ', 'comm'])
        look(`${name} of ${pid}`, await readFile(`/proc/${pid}/${name}`).catch(() => Buffer.alloc(0)))
    }
    for (const entry of await readdir(here.home, { recursive: true, withFileTypes: true })) {
      if (entry.isFile()) look(entry.name, await readFile(join(entry.parentPath, entry.name)).catch(() => Buffer.alloc(0)))
    }
    return found
  }

  await here.account('cloud', cloud.account)
  const path = await here.mount('drive', 'cloud')
  await writeFile(join(path, 'a.txt'), 'a')
  await here.uploaded('drive')
  await here.cloudmoor(['config', 'vault', 'put', 'hook', '--value', '-'], { input: `${named}\n` })
  await here.cloudmoor(['config', 'vault', 'slots', 'add', 'passphrase', '--passphrase', '-'], { input: `${passphrase}\n` })
  secrets.push((await here.cloudmoor(['config', 'vault', 'recovery-key'])).trim())
  expect(secrets.every((secret) => typeof secret === 'string' && secret.length > 8)).toBe(true)
  await here.cloudmoor(['config', 'test', 'cloud'])
  expect((await here.pids()).length).toBeGreaterThan(1)
  expect(await leaks()).toEqual([])

  // The search finds what is planted.
  const planted = spawn('/bin/sleep', ['60'], { argv0: `sleep ${named}`, env: { CLOUDMOOR_HOME: here.home, SECRET: passphrase } })
  all.defer(() => void planted.kill('SIGKILL'))
  await once(planted, 'spawn')
  await writeFile(join(here.home, 'logs', 'planted.log'), named)
  expect((await leaks()).sort()).toEqual([`cmdline of ${planted.pid}`, `environ of ${planted.pid}`, 'planted.log'])
  planted.kill('SIGKILL')
  await once(planted, 'exit')
  await writeFile(join(here.home, 'logs', 'planted.log'), '')

  // A worker that crashes leaves no dump: none may be written, and nobody may read its memory.
  for (const pid of await here.pids()) expect(await readFile(`/proc/${pid}/limits`, 'utf8')).toMatch(/Max core file size\s+0\s+0/)
  const { pid } = await here.mountStatus('drive')
  expect(signal(pid, 'SIGABRT')).toBe(true)
  expect(await readFile(join(path, 'a.txt'), 'utf8')).toBe('a')
  const dumps = (await readdir(here.folder, { recursive: true })).filter(
    (name) => /(^|\/)(core|report)\b[^/]*$/.test(name) && !name.includes('mnt-'),
  )
  expect(dumps).toEqual([])
  expect(await leaks()).toEqual([])
})
