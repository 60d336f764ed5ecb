import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
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
  mkdirSync(cloud)
  await here.account('disk', { type: 'local', set: { path: cloud }, secrets: {} })
})
afterEach(async () => {
  await here[Symbol.asyncDispose]()
})

interface OrphanJson {
  readonly id: string
  readonly name: string
  readonly folder: string
  readonly queue: { readonly files: number; readonly bytes: number } | null
}

const json = async <T>(...args: readonly string[]): Promise<T> => JSON.parse(await here.cloudmoor([...args, '--json'])) as T
const orphans = () => json<readonly OrphanJson[]>('orphans', 'list')
/** No file leaves within the time of a test. */
const late = ['--option', 'writeBackSeconds=3600']

/** A mount with two files that are not uploaded. */
async function unsentMount(flags: readonly string[] = []): Promise<string> {
  const path = await here.mount('drive', 'disk', [...late, ...flags])
  writeFileSync(join(path, 'note.txt'), 'not sent')
  mkdirSync(join(path, 'deep'))
  writeFileSync(join(path, 'deep', 'big.bin'), Buffer.alloc(3_000_000, 7))
  return path
}

it('keeps what a removed mount had not sent: shows it, counts it, takes it out, and makes it a mount again', {
  timeout: 180_000,
}, async ({ skip }) => {
  if (unable !== undefined) return skip(unable)
  const path = await unsentMount()
  const refused = await here.attempt(['mount', 'remove', 'drive'])
  expect(refused).toMatchObject({ code: exitCodes.refused, stderr: expect.stringContaining('--park') })
  await here.cloudmoor(['mount', 'remove', 'drive', '--park'])
  expect(await json<readonly unknown[]>('mount', 'list')).toEqual([])

  const [orphan] = await orphans()
  expect(orphan).toMatchObject({ name: 'drive', provider: 'disk', queue: { files: 2 } })
  const { service } = await json<{ service: { queue: { files: number }; queueComplete: boolean; orphans: number } }>('status')
  expect(service).toMatchObject({ queue: { files: 2 }, queueComplete: true, orphans: 1 })
  expect(await here.attempt(['transfers', 'confirm'])).toMatchObject({ code: exitCodes.failed })
  expect(existsSync(join(cloud, 'note.txt'))).toBe(false)

  const out = join(here.folder, 'out')
  await here.cloudmoor(['orphans', 'export', 'drive', out])
  expect(readFileSync(join(out, 'note.txt'), 'utf8')).toBe('not sent')
  expect(statSync(join(out, 'deep/big.bin')).size).toBe(3_000_000)
  expect(await here.attempt(['orphans', 'export', 'drive', out])).toMatchObject({ stderr: expect.stringContaining('not empty') })

  const file = join(out, 'note.txt')
  const places = [
    [join(here.folder, 'absent/out'), `no folder can be made in ${join(here.folder, 'absent')}`, 'Make that folder first'],
    ['/proc/absent', 'no folder can be made in /proc', 'name another one'],
    [join(file, 'out'), 'in its path that is no folder', 'Look at the path'],
    [file, 'no folder', 'Look at the path'],
  ] as const
  for (const [place, ...said] of places) {
    const { code, stderr } = await here.attempt(['orphans', 'export', 'drive', place])
    expect([place, code === exitCodes.ok]).toEqual([place, false])
    for (const words of said) expect(stderr).toContain(words)
    expect(stderr).not.toMatch(/\bE(NO|EXIST|ACC)|scandir|mkdir/)
  }

  // Known to the next service, too, and not sent by it.
  await here.cloudmoor(['service', 'stop'])
  await here.cloudmoor(['service', 'start'])
  expect(await orphans()).toMatchObject([{ id: orphan?.id, queue: { files: 2 } }])
  expect(existsSync(join(cloud, 'note.txt'))).toBe(false)
  expect(await here.attempt(['orphans', 'discard', 'drive', '--files', '1'])).toMatchObject({ stderr: expect.stringContaining('2 files') })

  await here.cloudmoor(['orphans', 'adopt', 'drive', '--name', 'again'])
  expect(await orphans()).toEqual([])
  await here.cloudmoor(['mount', 'again'])
  expect(readFileSync(join(path, 'note.txt'), 'utf8')).toBe('not sent')
  await here.cloudmoor(['mount', 'remove', 'again', '--wait', '60s'])
  expect(readFileSync(join(cloud, 'note.txt'), 'utf8')).toBe('not sent')
  expect(statSync(join(cloud, 'deep/big.bin')).size).toBe(3_000_000)
  expect(await orphans()).toEqual([])
  expect(existsSync(orphan?.folder ?? '')).toBe(false)
})

it('finds journals that its database does not know, gives them to their own account alone, and deletes only what it is told to', {
  timeout: 180_000,
}, async ({ skip }) => {
  if (unable !== undefined) return skip(unable)
  const cacheDir = join(here.folder, 'elsewhere')
  await unsentMount(['--cache-dir', cacheDir])
  const [{ id } = { id: '' }] = await json<readonly { id: string }[]>('mount', 'list')
  await here.cloudmoor(['service', 'stop', '--timeout', '0'])
  // As after a loss of the database.
  for (const name of readdirSync(here.home)) if (name.startsWith('service.db')) rmSync(join(here.home, name))
  await here.cloudmoor(['service', 'start'])
  expect(await orphans()).toMatchObject([{ id, name: 'drive', folder: join(cacheDir, id), queue: { files: 2 } }])

  mkdirSync(join(here.folder, 'other'))
  await here.account('other', { type: 'local', set: { path: join(here.folder, 'other') }, secrets: {} })
  const wrong = await here.attempt(['orphans', 'adopt', 'drive', '--provider', 'other'])
  expect(wrong).toMatchObject({ code: exitCodes.refused, stderr: expect.stringContaining("for the account 'disk'") })
  await here.account('disk2', { type: 'local', set: { path: cloud }, secrets: {} })
  await here.cloudmoor(['orphans', 'adopt', id, '--provider', 'disk2'])
  await here.cloudmoor(['mount', 'drive'])
  await here.cloudmoor(['mount', 'remove', 'drive', '--park'])

  // A configuration file that names the id with another account does not get it either.
  const text = `version: 1\nmounts:\n  - { name: thief, id: ${id}, provider: other, path: ${here.folder}/mnt-drive, cacheDir: ${cacheDir}, enabled: false }\n`
  await here.cloudmoor(['config', 'import', '-'], { input: text })
  expect(await here.attempt(['mount', 'thief'])).toMatchObject({ stderr: expect.stringContaining("for the account 'disk2'") })
  await here.cloudmoor(['mount', 'remove', 'thief', '--park'])

  await here.cloudmoor(['orphans', 'discard', id, '--files', '2'])
  expect(await orphans()).toEqual([])
  expect(existsSync(join(cacheDir, id))).toBe(false)
  expect(readdirSync(join(here.home, 'mounts'))).toEqual([])
})
