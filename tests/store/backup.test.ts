import { existsSync, mkdirSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { exitCodes } from '../../src-cli/exit-codes.ts'
import { Installation } from '../support/installation.ts'

const unable = existsSync('/dev/fuse') ? undefined : 'there is no /dev/fuse'

let here: Installation
let cloud: string

beforeEach(async () => {
  here = await Installation.create()
  cloud = join(here.folder, 'cloud')
  for (const name of ['kept', 'later']) mkdirSync(join(cloud, name), { recursive: true })
  await here.account('disk', { type: 'local', set: { path: cloud }, secrets: {} })
})
afterEach(async () => {
  await here[Symbol.asyncDispose]()
})

const json = async <T>(...args: readonly string[]): Promise<T> => JSON.parse(await here.cloudmoor([...args, '--json'])) as T

it('goes back to a backup while mounts are up: ids stay, unsent files stay, and what the backup does not know is an orphan', {
  timeout: 240_000,
}, async ({ skip }) => {
  if (unable !== undefined) return skip(unable)
  const kept = await here.mount('kept', 'disk', ['--remote', 'kept', '--option', 'writeBackSeconds=3600'])
  writeFileSync(join(kept, 'a.txt'), 'of a mount that stays')
  const [{ id } = { id: '' }] = await json<readonly { id: string }[]>('mount', 'list')
  const file = join(here.folder, 'a.backup')
  const made = await json<{ unsent: readonly { name: string; files: number }[]; sha256: string }>('backup', 'create', file)
  expect(made.unsent).toMatchObject([{ name: 'kept', files: 1 }])
  expect(await json('backup', 'verify', file)).toMatchObject({ sha256: made.sha256 })

  const later = await here.mount('later', 'disk', ['--remote', 'later', '--option', 'writeBackSeconds=3600'])
  writeFileSync(join(later, 'b.txt'), 'of a mount that the backup does not know')
  await here.cloudmoor(['mount', 'set', 'kept', '--name', 'renamed'])
  const { service: before } = await json<{ service: { pid: number } }>('status')
  const restored = await json<{ orphans: readonly { name: string }[] }>('backup', 'restore', file, '--timeout', '0')
  expect(restored.orphans).toMatchObject([{ name: 'later' }])
  const { service: after } = await json<{ service: { pid: number } }>('status')
  expect(after.pid).not.toBe(before.pid)
  expect(await json('mount', 'list')).toMatchObject([{ id, name: 'kept' }])
  await here.cloudmoor(['mount', 'kept'])
  expect(readFileSync(join(kept, 'a.txt'), 'utf8')).toBe('of a mount that stays')
  expect(await json('orphans', 'list')).toMatchObject([{ name: 'later', queue: { files: 1 } }])
  expect((await here.attempt(['backup', 'restore', cloud])).code).toBe(exitCodes.refused)
  expect((await here.status()).mounts).toMatchObject([{ name: 'kept', state: 'mounted' }])
})

it('brings a service back whose database is damaged, as its message says, and refuses a second one on the home', {
  timeout: 180_000,
}, async ({ skip }) => {
  if (unable !== undefined) return skip(unable)
  const file = join(here.folder, 'a.backup')
  await here.cloudmoor(['backup', 'create', file])
  await here.cloudmoor(['service', 'stop'])
  const database = join(here.home, 'service.db')
  const bytes = readFileSync(database)
  bytes.fill(0xa5, 4096, 3 * 4096)
  writeFileSync(database, bytes)
  const broken = await here.attempt(['service', 'start'])
  expect(broken.code).toBe(exitCodes.noService)
  expect(broken.stderr).toMatch(/is damaged[^]*cloudmoor backup restore/)
  await here.cloudmoor(['backup', 'restore', file])
  expect(await json('config', 'list')).toMatchObject([{ name: 'disk' }])
  expect(readFileSync(join(here.home, 'service.db.replaced'))).toEqual(bytes)
  expect(readdirSync(here.home).filter((name) => name.includes('restore'))).toEqual([])
})
