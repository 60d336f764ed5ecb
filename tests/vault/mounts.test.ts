import { existsSync } from 'node:fs'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { exitCodes } from '../../src-cli/exit-codes.ts'
import { minioCloud } from '../support/clouds.ts'
import { Installation, shell, signal } from '../support/installation.ts'

const cloud = await minioCloud()
const unable = 'missing' in cloud ? cloud.missing : existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse'
const passphrase = 'correct horse battery'

let here: Installation
beforeAll(async () => {
  here = await Installation.create()
})
afterAll(async () => {
  await here[Symbol.asyncDispose]()
  if (!('missing' in cloud)) await cloud[Symbol.asyncDispose]()
})

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const end = performance.now() + 60_000
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`never: ${what}\n${await here.cloudmoor(['status'])}\n${await here.logs()}`)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
}

const conditions = async () => (await here.mountStatus('drive')).conditions.map(({ kind }) => kind)
const vault = (...args: readonly string[]) => here.attempt(['config', 'vault', ...args, '--json'], { input: `${passphrase}\n` })
const alerts = async () => JSON.parse(await here.cloudmoor(['alerts', 'list', '--json'])) as unknown[]
/** Requests to the provider and looks at it, so far. */
const tries = () =>
  shell(
    `curl -sSf --unix-socket ${here.home}/run/service.sock http://localhost/metrics | grep -E '^cloudmoor_(probes|http_requests)_total' || true`,
  )

it('a mount comes up without its vault, goes on when it is unlocked, and keeps what it has when it is locked', {
  timeout: 300_000,
}, async ({ skip }) => {
  if ('missing' in cloud || unable !== undefined) return skip(unable)
  await here.account('cloud', cloud.account)
  const path = await here.mount('drive', 'cloud')
  await writeFile(join(path, 'before.txt'), 'before')
  await here.uploaded('drive')

  // Only the passphrase opens it from now on, so that the next start is without it.
  const { slots } = JSON.parse((await vault('status')).stdout) as { readonly slots: readonly { readonly id: string }[] }
  const added = await vault('slots', 'add', 'passphrase', '--passphrase', '-', '--replace', slots[0]?.id ?? '')
  expect(added).toMatchObject({ code: 0 })
  expect(existsSync(join(here.home, 'secrets.key'))).toBe(false)
  await here.cloudmoor(['service', 'stop'])
  await here.cloudmoor(['service', 'start'])
  await until('mounted', async () => (await here.mountStatus('drive')).state === 'mounted')
  expect(await conditions()).toEqual(['waiting-for-vault'])
  expect(await readFile(join(path, 'before.txt'), 'utf8')).toBe('before')
  await writeFile(join(path, 'meanwhile.txt'), 'meanwhile')
  expect(await alerts()).toMatchObject([{ reason: 'vault-locked', mount: null, times: 1 }])
  // Without secrets there is nothing to try.
  const before = await tries()
  await new Promise((resolve) => setTimeout(resolve, 4000))
  expect(await tries()).toBe(before)
  expect(await here.attempt(['config', 'test', 'cloud'])).toMatchObject({ code: exitCodes.refused })
  expect(await here.attempt(['doctor'])).toMatchObject({ stdout: expect.stringMatching(/warning\s+vault\s+locked/) })

  expect(await vault('unlock')).toMatchObject({ code: exitCodes.failed, stderr: expect.stringContaining('VAULT_KEY') })
  expect(await vault('unlock', '--passphrase', '-')).toMatchObject({ code: 0 })
  await until('no longer waiting', async () => (await conditions()).length === 0)
  await until('no alert', async () => (await alerts()).length === 0)
  await here.uploaded('drive')
  expect(await here.cloudmoor(['config', 'test', 'cloud'])).toContain('works')

  expect(await vault('lock')).toMatchObject({ code: 0 })
  expect(await here.attempt(['config', 'test', 'cloud'])).toMatchObject({ code: exitCodes.refused })
  const { pid } = await here.mountStatus('drive')
  expect(signal(pid, 'SIGKILL')).toBe(true)
  await writeFile(join(path, 'after.txt'), 'after')
  await until('another worker', async () => {
    const now = await here.mountStatus('drive')
    return now.state === 'mounted' && now.pid !== pid
  })
  expect(await conditions()).not.toContain('waiting-for-vault')
  await here.uploaded('drive')
  expect(await vault('unlock', '--passphrase', '-')).toMatchObject({ code: 0 })
  expect(JSON.parse((await vault('test')).stdout)).toMatchObject({ ok: true, secrets: 1 })

  // The next service has to be told the passphrase again; the workers that it takes over need nothing.
  await here.cloudmoor(['service', 'restart'])
  expect(JSON.parse((await vault('status')).stdout)).toMatchObject({ state: 'locked' })
  await writeFile(join(path, 'taken-over.txt'), 'taken over')
  await here.uploaded('drive')
})
