import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { afterEach, beforeEach, expect, test } from 'vitest'
import type { DriveCalls } from '../../common/frames/drive-calls.ts'
import { openDrive } from '../drive.ts'
import type { Drive, DriveOptions } from '../drive-contract.ts'

let folder: string
let cloud: string
let drive: Drive

const caller = { uid: 0, gid: 0, pid: 1 }
const root = 1

async function start(more: Partial<DriveOptions> = {}): Promise<void> {
  drive = await openDrive({
    mountId: 'm',
    name: 'drive',
    folder: join(folder, 'state'),
    connector: { type: 'local', options: { path: cloud }, remoteRoot: '' },
    secrets: {},
    cacheSize: 64 * 2 ** 20,
    readOnly: false,
    requestsPerSecond: 100_000,
    uid: 0,
    gid: 0,
    umask: 0o022,
    fsync: 'local',
    attributes: 'listing',
    freshness: 'relaxed',
    xattrs: false,
    writeBackSeconds: 3600,
    deadlines: { metadataMs: 15_000, readMs: 15_000, writeMs: 15_000 },
    openBacking: null,
    closeBacking: null,
    log: () => undefined,
    ...more,
  })
}

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'tasks-'))
  cloud = join(folder, 'cloud')
  mkdirSync(cloud)
})

afterEach(async () => {
  await drive.close()
  rmSync(folder, { recursive: true, force: true })
})

async function ask<C extends keyof DriveCalls>(call: C, params: DriveCalls[C]['params']): Promise<DriveCalls[C]['result']> {
  return await drive.answer({ call, ...params } as never)
}

/** As `echo text > name` in the root of the mount. */
async function write(name: string, text: string): Promise<void> {
  const { filesystem } = drive
  const before = await filesystem.lookup(root, Buffer.from(name))
  const fh =
    before === null
      ? (await filesystem.create(caller, root, Buffer.from(name), 0o100644, { flags: 1, killPrivileges: false }))().opened.fh
      : (await filesystem.open(before.id, { flags: 0o1001, killPrivileges: false })).fh
  await filesystem.write(fh, Buffer.from(text), 0, text.length, 0, { cached: false, killPrivileges: false })
  await filesystem.release(fh)
}

function drained(): Promise<void> {
  return drive.drain(AbortSignal.timeout(10_000))
}

const here = (): readonly string[] => readdirSync(cloud).sort()

test('a conflict copy is listed with both versions until one is chosen, or it gets another name', async () => {
  await start()
  for (const name of ['mine', 'theirs', 'both', 'renamed']) await write(name, 'base')
  // Counted as they are, also while their rows lag behind.
  expect(await ask('confirmSafe', {})).toMatchObject({ onDisk: true, uploaded: false, files: 4, bytes: 16 })
  await drained()
  for (const name of here()) {
    writeFileSync(join(cloud, name), 'theirs, longer')
    utimesSync(join(cloud, name), 1, 1)
    await write(name, 'ours')
  }
  await drained()
  const found = await ask('conflicts', { limit: 10 })
  expect(found.map(({ path, kind, mine, theirs }) => [path, kind, mine.size, theirs?.size]).sort()).toEqual(
    ['both', 'mine', 'renamed', 'theirs'].map((name) => [name, 'both-changed', 4, 14]),
  )
  expect(await ask('confirmSafe', {})).toMatchObject({ onDisk: true, uploaded: false, files: 0, conflicts: 4 })
  const idOf = (name: string): string => found.find(({ path }) => path === name)?.id ?? ''
  const copyOf = (name: string): string => found.find(({ path }) => path === name)?.mine.path ?? ''
  expect(await ask('resolveConflict', { conflictId: idOf('mine'), keep: 'mine' })).toEqual({ path: 'mine' })
  expect(await ask('resolveConflict', { conflictId: idOf('theirs'), keep: 'theirs' })).toEqual({ path: 'theirs' })
  expect(await ask('resolveConflict', { conflictId: idOf('both'), keep: 'both' })).toEqual({ path: copyOf('both') })
  await ask('rename', { path: copyOf('renamed'), to: 'kept', replace: false })
  expect(await ask('conflicts', { limit: 10 })).toEqual([])
  await expect(ask('resolveConflict', { conflictId: idOf('mine'), keep: 'mine' })).rejects.toMatchObject({ kind: 'not-found' })
  await drained()
  expect(here()).toEqual(['both', copyOf('both'), 'kept', 'mine', 'renamed', 'theirs'])
  const text = (name: string): string => readFileSync(join(cloud, name), 'utf8')
  expect([text('mine'), text('theirs'), text('both'), text(copyOf('both')), text('kept')]).toEqual([
    'ours',
    'theirs, longer',
    'theirs, longer',
    'ours',
    'ours',
  ])
  expect(await ask('confirmSafe', {})).toMatchObject({ onDisk: true, uploaded: true, files: 0, bytes: 0, conflicts: 0 })
})

test('changes to a version that the provider does not have any more are listed, and kept or given up', async () => {
  const names = ['both', 'gone', 'mine', 'theirs']
  for (const name of names) writeFileSync(join(cloud, name), 'x'.repeat(300_000))
  await start()
  const { filesystem } = drive
  expect((await ask('listFolder', { path: '', after: 0, limit: 10 })).entries).toHaveLength(4)
  for (const name of names) {
    rmSync(join(cloud, name))
    if (name !== 'gone') writeFileSync(join(cloud, name), 'theirs')
    const node = await filesystem.lookup(root, Buffer.from(name))
    const { fh } = await filesystem.open(node?.id ?? 0, { flags: 1, killPrivileges: false })
    await filesystem.write(fh, Buffer.from('ours'), 0, 4, 100, { cached: false, killPrivileges: false })
    await filesystem.release(fh)
  }
  drained().catch(() => undefined)
  await expect.poll(() => ask('conflicts', { limit: 10 }), { timeout: 5000 }).toHaveLength(4)
  const found = await ask('conflicts', { limit: 10 })
  expect(found.map(({ path, kind, mine }) => [path, kind, mine.size])).toEqual(names.map((name) => [name, 'both-changed', 300_000]))
  expect(await ask('confirmSafe', {})).toMatchObject({ conflicts: 4, uploaded: false })
  const ours = `${'\0'.repeat(100)}ours${'\0'.repeat(300_000 - 104)}`
  const kept = new Map<string, string>()
  for (const { id, path } of found) {
    const keep = path === 'gone' ? 'mine' : (path as 'mine' | 'theirs' | 'both')
    kept.set(path, (await ask('resolveConflict', { conflictId: id, keep })).path)
  }
  expect(await ask('conflicts', { limit: 10 })).toEqual([])
  await drained()
  const copy = kept.get('both') ?? ''
  expect(here()).toEqual(['both', copy, 'gone', 'mine', 'theirs'])
  const text = (name: string): string => readFileSync(join(cloud, name), 'utf8')
  expect([text('both'), text('theirs')]).toEqual(['theirs', 'theirs'])
  expect([text(copy), text('gone'), text('mine')].every((one) => one === ours)).toBe(true)
  expect(await ask('confirmSafe', {})).toMatchObject({ conflicts: 0, uploaded: true })
})

/** What a power loss leaves: the machine's next boot has another id. */
async function losePower(): Promise<void> {
  const copy = join(folder, 'copy')
  // The disk as it is now, without the sync that closing does.
  cpSync(join(folder, 'state'), copy, { recursive: true })
  await drive.close()
  rmSync(join(folder, 'state'), { recursive: true })
  cpSync(copy, join(folder, 'state'), { recursive: true })
  const sql = new Database(join(folder, 'state', 'drive.sqlite'))
  sql.prepare("UPDATE meta SET value = 'another' WHERE key = 'boot_id'").run()
  sql.close()
  await start()
}

test('what a power loss left unproved is listed, and comes back as it is chosen', async () => {
  await start()
  for (const name of ['mine', 'theirs', 'both']) await write(name, 'base')
  await drained()
  const large = 'large '.repeat(400_000)
  await write('mine', large)
  await write('theirs', 'unproved')
  await write('both', 'unproved')
  await write('new', 'unproved')
  await losePower()
  const found = await ask('conflicts', { limit: 10 })
  expect(found.map(({ path, kind, mine, theirs }) => [path, kind, mine.size, theirs?.size]).sort()).toEqual([
    ['both', 'unproved', 8, 4],
    ['mine', 'unproved', large.length, 4],
    ['new', 'unproved', 8, undefined],
    ['theirs', 'unproved', 8, 4],
  ])
  // What lies in quarantine is no transfer: nothing of it will go by itself.
  expect(drive.transfers(10).every(({ id, size }) => id > 0 && size === 4)).toBe(true)
  for (const { id, path } of found) {
    await ask('resolveConflict', { conflictId: id, keep: path === 'new' ? 'mine' : (path as 'mine' | 'theirs' | 'both') })
  }
  expect(await ask('conflicts', { limit: 10 })).toEqual([])
  expect(readdirSync(join(folder, 'state', 'quarantine'))).toEqual([])
  await drained()
  const text = (name: string): string => readFileSync(join(cloud, name), 'utf8')
  const [copy = ''] = here().filter((name) => name.startsWith('both (conflict'))
  expect(here()).toEqual(['both', copy, 'mine', 'new', 'theirs'])
  expect([text('mine') === large, text('theirs'), text('both'), text(copy), text('new')]).toEqual([
    true,
    'base',
    'base',
    'unproved',
    'unproved',
  ])
  for (const name of here()) expect((await drive.fileState(name)).state).not.toBe('error')
})

test('pinned files are fetched and kept, freed ones go, changed ones never', async () => {
  mkdirSync(join(cloud, 'd'))
  for (const name of ['a', 'b']) writeFileSync(join(cloud, 'd', name), 'x'.repeat(100_000))
  await start()
  const list = async (): Promise<readonly (readonly [string, string, number])[]> =>
    (await ask('listFolder', { path: 'd', after: 0, limit: 10 })).entries
      .map(({ name, state, localBytes }) => [name, state, localBytes] as const)
      .sort()
  expect((await list()).map(([, state]) => state)).toEqual(['online', 'online'])
  expect(await ask('pin', { path: 'd', pinned: true })).toEqual({ files: 2 })
  await expect.poll(list).toEqual([
    ['a', 'pinned', 102_400],
    ['b', 'pinned', 102_400],
  ])
  expect(await ask('clearCache', {})).toEqual({ bytes: 0, kept: 2 })
  expect(await ask('cacheUse', {})).toMatchObject({ bytes: 204_800, dirtyBytes: 0, pinnedBytes: 204_800 })
  await drive.close()
  // Pins outlive the process, and what was dropped behind their back comes again.
  await start()
  expect((await list()).map(([, state]) => state)).toEqual(['pinned', 'pinned'])
  expect(await ask('free', { path: 'd/a' })).toEqual({ bytes: 102_400, kept: 0 })
  expect((await list()).map(([name, state, bytes]) => `${name} ${state} ${bytes}`)).toContain('a online 0')
  await write('dirty', 'only here')
  expect(await ask('free', { path: '' })).toMatchObject({ kept: 1 })
  expect(await ask('clearCache', {})).toEqual({ bytes: 0, kept: 1 })
  expect((await drive.fileState('dirty')).localBytes).toBeGreaterThan(0)
})

test('folders are listed and searched in pages; names are renamed and removed with the rules of a program', async () => {
  mkdirSync(join(cloud, 'd', 'e'), { recursive: true })
  for (let number = 0; number < 7; number++) writeFileSync(join(cloud, 'd', `File ${number}`), 'x')
  writeFileSync(join(cloud, 'd', 'e', 'a file'), 'x')
  await start()
  const seen: string[] = []
  let after = 0
  do {
    const page = await ask('listFolder', { path: 'd', after, limit: 3 })
    expect(page.entries.length).toBeLessThanOrEqual(3)
    seen.push(...page.entries.map(({ path }) => path))
    after = page.next
  } while (after !== 0)
  expect(seen.sort()).toEqual([...Array.from({ length: 7 }, (_, number) => `d/File ${number}`), 'd/e'])
  await ask('listFolder', { path: 'd/e', after: 0, limit: 3 })
  const first = await ask('search', { path: '', text: 'FILE', after: 0, limit: 5 })
  const rest = await ask('search', { path: '', text: 'FILE', after: first.next, limit: 5 })
  expect([...first.entries, ...rest.entries]).toHaveLength(8)
  expect(rest.next).toBe(0)
  expect((await ask('search', { path: 'd/e', text: 'file', after: 0, limit: 5 })).entries.map(({ path }) => path)).toEqual(['d/e/a file'])
  await expect(ask('rename', { path: 'd/File 0', to: 'd/File 1', replace: false })).rejects.toMatchObject({ kind: 'exists' })
  await ask('rename', { path: 'd/File 0', to: 'd/File 1', replace: true })
  await expect(ask('remove', { path: 'd', recursive: false })).rejects.toMatchObject({ kind: 'not-empty' })
  await expect(ask('remove', { path: '', recursive: true })).rejects.toMatchObject({ kind: 'invalid' })
  await expect(ask('listFolder', { path: 'd/..', after: 0, limit: 3 })).rejects.toMatchObject({ kind: 'invalid' })
  expect(await ask('remove', { path: 'd/e', recursive: true })).toEqual({ removed: 2 })
  await drained()
  expect(existsSync(join(cloud, 'd', 'e'))).toBe(false)
  expect(readdirSync(join(cloud, 'd')).sort()).toEqual(['File 1', 'File 2', 'File 3', 'File 4', 'File 5', 'File 6'])
  expect(statSync(join(cloud, 'd', 'File 1')).size).toBe(1)
  await drive.close()
  await start({ readOnly: true })
  await expect(ask('remove', { path: 'd/File 1', recursive: false })).rejects.toMatchObject({ kind: 'read-only' })
})
