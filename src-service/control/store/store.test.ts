import Database from 'better-sqlite3'
import { getTableConfig } from 'drizzle-orm/sqlite-core'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { migrations } from './migrations.ts'
import type { Migration } from './migrations.ts'
import { openDatabase } from './open-database.ts'
import { openStore } from './open-store.ts'
import type { NewMount, NewProvider, RequestKey, VaultChange } from './records.ts'
import type { StoreOptions } from './store-messages.ts'
import type { Store } from './store.ts'
import * as tables from './tables.ts'

let folder: string
let options: StoreOptions
let store: Store

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'store-'))
  await mkdir(join(folder, 'backups'))
  options = { database: join(folder, 'service.db'), backups: join(folder, 'backups'), lock: join(folder, 'service.lock'), lockWaitMs: 0 }
  store = await openStore(options)
})
afterEach(async () => {
  await store.close().catch(() => {})
  await rm(folder, { recursive: true })
})

const account: NewProvider = {
  id: 'p1',
  name: 'work',
  type: 's3',
  options: { bucket: 'b', pathStyle: true },
  secretRefs: {},
  managedBy: 'api',
  managedFile: '',
}
const drive: NewMount = {
  id: 'm1',
  name: 'drive',
  providerId: 'p1',
  remoteRoot: 'a/b',
  path: '/mnt/drive',
  cacheSize: 10_000_000_000,
  cacheDir: '',
  readOnly: false,
  access: 'owner',
  uid: 1000,
  gid: 1000,
  umask: 0o22,
  shared: false,
  labels: [],
  options: { fsync: 'remote' },
  enabled: false,
  managedBy: 'api',
  managedFile: '',
}

describe('providers and mounts', () => {
  it('come back as they were put, also after reopening', async () => {
    const saved = await store.providers.insert(account, null)
    expect(saved).toMatchObject({ ...account, revision: 1 })
    const mount = await store.mounts.insert(drive, null)
    await store.close()
    store = await openStore(options)
    expect(await store.providers.list()).toEqual([saved])
    expect(await store.mounts.get('m1')).toEqual(mount)
  })

  it('change under their revision only', async () => {
    await store.providers.insert(account, null)
    const second = await store.providers.update('p1', 1, { options: { bucket: 'c' } }, false)
    expect(second).toMatchObject({ revision: 2, options: { bucket: 'c' }, name: 'work' })
    await expect(store.providers.update('p1', 1, { name: 'x' }, false)).rejects.toMatchObject({ kind: 'conflict' })
    await expect(store.providers.remove('p1', 1)).rejects.toMatchObject({ kind: 'conflict' })
    await expect(store.providers.update('p2', null, {}, false)).rejects.toMatchObject({ kind: 'not-found' })
  })

  it('have names of their own', async () => {
    await store.providers.insert(account, null)
    await expect(store.providers.insert({ ...account, id: 'p2' }, null)).rejects.toMatchObject({ kind: 'exists', code: 'NAME_TAKEN' })
    await store.providers.insert({ ...account, id: 'p2', name: 'home' }, null)
    await expect(store.providers.update('p2', null, { name: 'work' }, false)).rejects.toMatchObject({ code: 'NAME_TAKEN' })
    expect(await store.providers.update('p2', null, { name: 'home' }, false)).toMatchObject({ name: 'home' })
  })

  it('hold each other: no mount without its provider', async () => {
    await expect(store.mounts.insert(drive, null)).rejects.toMatchObject({ kind: 'not-found', message: 'there is no such provider' })
    await store.providers.insert(account, null)
    await store.mounts.insert(drive, null)
    await expect(store.providers.remove('p1', null)).rejects.toMatchObject({
      code: 'PROVIDER_IN_USE',
      message: expect.stringContaining('drive'),
    })
    await store.mounts.remove('m1', 1)
    await store.providers.remove('p1', null)
    expect(await store.providers.list()).toEqual([])
  })

  it('keep their revision when only the wish to be mounted changes', async () => {
    await store.providers.insert(account, null)
    await store.mounts.insert(drive, null)
    expect(await store.mounts.update('m1', null, { enabled: true })).toMatchObject({ enabled: true, revision: 1 })
    expect(await store.mounts.update('m1', 1, { readOnly: true })).toMatchObject({ readOnly: true, enabled: true, revision: 2 })
  })
})

it('remembers a request for a day, with what it made', async () => {
  const request: RequestKey = { method: 'CreateProvider', requestId: 'r1', digest: 'd1' }
  expect(await store.requests.find(request)).toBeNull()
  await store.providers.insert(account, request)
  expect(await store.requests.find(request)).toBe('p1')
  await expect(store.requests.find({ ...request, digest: 'd2' })).rejects.toMatchObject({ code: 'REQUEST_ID_REUSED' })
  await store.close()
  const raw = new Database(options.database)
  raw.exec('UPDATE request_ids SET created_at = created_at - 24 * 3600 * 1000')
  raw.close()
  store = await openStore(options)
  expect(await store.requests.find(request)).toBeNull()
  await store.providers.insert({ ...account, id: 'p2', name: 'two' }, request)
  expect(await store.requests.find(request)).toBe('p2')
})

it('makes nothing when the request cannot be remembered', async () => {
  const request: RequestKey = { method: 'CreateProvider', requestId: 'r1', digest: 'd1' }
  await store.providers.insert(account, request)
  await expect(store.providers.insert({ ...account, id: 'p2', name: 'two' }, request)).rejects.toThrow()
  expect((await store.providers.list()).map((provider) => provider.id)).toEqual(['p1'])
})

it('keeps settings', async () => {
  await store.settings.set('stopTimeout', '30')
  await store.settings.set('stopTimeout', '40')
  expect(await store.settings.get('stopTimeout')).toBe('40')
  expect(await store.settings.get('other')).toBeNull()
})

describe('the vault', () => {
  const secret = {
    id: 's1',
    owner: 'p1',
    name: 'password',
    version: 1,
    createdAt: 5,
    dataKey: new Uint8Array([1, 2]),
    sealed: new Uint8Array([3]),
  }
  const slot = { id: 'a', kind: 'key-file', params: '{}', publicKey: new Uint8Array([4]), rootKey: new Uint8Array([5]), createdAt: 6 }
  const vault = { id: 'v1', counter: 1, catalogue: new Uint8Array([7]), createdAt: 8, rotatedAt: 9 }
  const first: VaultChange = { expected: 0, vault, slots: [slot], secrets: [secret], removeSlots: [], removeSecrets: [] }
  const plain = (row: object | null) =>
    JSON.parse(JSON.stringify(row, (_, value: unknown) => (value instanceof Uint8Array ? [...value] : value))) as object

  it('changes in one step, and only as it was known', async () => {
    expect(await store.vault.read()).toBeNull()
    await store.vault.commit(first)
    expect(plain(await store.vault.read())).toEqual(plain({ vault, slots: [slot] }))
    expect(plain(await store.vault.secret('s1'))).toEqual(plain(secret))
    expect(await store.vault.secrets()).toEqual([{ id: 's1', owner: 'p1', name: 'password', version: 1, createdAt: 5 }])
    await expect(store.vault.commit(first)).rejects.toMatchObject({ kind: 'conflict' })
    const renewed = { ...secret, sealed: new Uint8Array([33]) }
    const others = { slots: [{ ...slot, id: 'b' }], removeSlots: ['a', 'absent'], secrets: [renewed], removeSecrets: [] }
    await store.vault.commit({ ...others, expected: 1, vault: { ...vault, counter: 2 } })
    expect(plain(await store.vault.secret('s1'))).toMatchObject({ sealed: [33] })
    expect(await store.vault.read()).toMatchObject({ vault: { counter: 2 }, slots: [{ id: 'b' }] })
    await store.vault.commit({ ...first, expected: 2, vault: { ...vault, counter: 3 }, slots: [], secrets: [], removeSecrets: ['s1'] })
    expect(await store.vault.secret('s1')).toBeNull()
  })

  it('keeps everything as it was if a part of a change cannot be made', async () => {
    await store.vault.commit(first)
    const twice = [
      { ...secret, id: 's2', name: 'canary-name' },
      { ...secret, id: 's3', name: 'canary-name' },
    ]
    const error: unknown = await store.vault
      .commit({ ...first, expected: 1, vault: { ...vault, counter: 2 }, secrets: twice, removeSecrets: ['s1'] })
      .catch((caught: unknown) => caught)
    expect(String(error)).toContain('UNIQUE')
    // What was to be written is not told.
    expect(String(error)).not.toContain('canary-name')
    expect(plain(await store.vault.read())).toEqual(plain({ vault, slots: [slot] }))
    expect((await store.vault.secrets()).map((row) => row.id)).toEqual(['s1'])
  })
})

describe('a second service on the same home', () => {
  it('is told which process has it', async () => {
    await expect(openStore(options)).rejects.toMatchObject({
      kind: 'busy',
      code: 'HOME_IN_USE',
      message: expect.stringContaining(`process ${process.pid}`),
    })
  })

  it('waits for a predecessor that goes', async () => {
    const next = openStore({ ...options, lockWaitMs: 5000 })
    await store.close()
    store = await next
    expect(await store.providers.list()).toEqual([])
  })

  it('comes in after the first was killed', async () => {
    await store.close()
    const script = `import { openStore } from ${JSON.stringify(new URL('./open-store.ts', import.meta.url).href)}
      await openStore(${JSON.stringify(options)}); console.log('open'); setInterval(() => {}, 1000)`
    const other = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const exited = once(other, 'exit')
    await once(other.stdout, 'data')
    await expect(openStore(options)).rejects.toMatchObject({ message: expect.stringContaining(`process ${other.pid}`) })
    other.kill('SIGKILL')
    await exited
    store = await openStore(options)
    expect(await store.mounts.list()).toEqual([])
  })
})

it('fails at once after it was closed', async () => {
  await store.close()
  await expect(store.providers.list()).rejects.toMatchObject({ kind: 'unavailable' })
})

describe('the database file', () => {
  it('is closed to others, with its journal', async () => {
    await store.providers.insert(account, null)
    for (const name of ['service.db', 'service.db-wal', 'service.lock'])
      expect((await stat(join(folder, name))).mode & 0o777, name).toBe(0o600)
  })

  it('is refused when a newer version wrote it', async () => {
    await store.close()
    const raw = new Database(options.database)
    raw.pragma('user_version = 99')
    raw.close()
    await expect(openStore(options)).rejects.toMatchObject({ code: 'DATABASE_NEWER', message: expect.stringMatching(/schema 99/) })
  })

  it('is refused with a way out when it is damaged', async () => {
    for (let number = 0; number < 200; number++) await store.settings.set(`setting ${number}`, 'x'.repeat(200))
    await store.close()
    const bytes = await readFile(options.database)
    bytes.fill(0xff, 8192, bytes.length - 4096)
    await writeFile(options.database, bytes)
    await expect(openStore(options)).rejects.toMatchObject({ kind: 'damaged', hint: expect.stringContaining(options.backups) })
    await writeFile(options.database, 'this is no database, but long enough to be taken for the header of one')
    await expect(openStore(options)).rejects.toMatchObject({ kind: 'damaged' })
  })
})

describe('migrations', () => {
  const last = migrations.at(-1)?.version ?? 0
  const more = { version: last + 1, sql: 'CREATE TABLE more (a INTEGER)' }
  const later: Migration[] = [...migrations, more, { version: last + 2, sql: 'CREATE TABLE most (a INTEGER)' }]

  it('make the tables that the code knows', () => {
    const database = openDatabase(join(folder, 'other.db'), options.backups, migrations, 0)
    for (const table of Object.values(tables)) {
      const { name, columns } = getTableConfig(table)
      expect(database.prepare('SELECT name FROM pragma_table_info(?)').pluck().all(name).sort()).toEqual(
        columns.map((column) => column.name).sort(),
      )
    }
    database.close()
  })

  it.each([
    ['stopTimeoutSeconds auditDays', '{"stopTimeoutSeconds":"","auditDays":""}'],
    ['', '{}'],
  ])('keep what files of an older version named (%j), each with a file that is not known', (names, kept) => {
    const path = join(folder, 'older.db')
    const older = openDatabase(
      path,
      options.backups,
      migrations.filter(({ version }) => version < 6),
      1,
    )
    older.prepare("INSERT INTO settings VALUES ('settingsOfFiles', ?), ('auditDays', '7 8')").run(names)
    older.prepare("INSERT INTO providers VALUES ('p1', 'work', 'local', '{}', '{}', 3, 'file', 1, 1)").run()
    older.close()
    const database = openDatabase(path, options.backups, migrations, 2)
    expect(database.prepare('SELECT value FROM settings ORDER BY name DESC').pluck().all()).toEqual([kept, '7 8'])
    expect(database.prepare('SELECT managed_by, managed_file FROM providers').all()).toEqual([{ managed_by: 'file', managed_file: '' }])
    database.close()
  })

  it('begin with a backup of what was there, and keep five', async () => {
    await store.providers.insert(account, null)
    await store.close()
    const steps = [...migrations]
    for (let version = last + 1; version <= last + 7; version++) {
      steps.push({ version, sql: `CREATE TABLE t${version} (a INTEGER)` })
      openDatabase(options.database, options.backups, steps, version * 1000).close()
    }
    const backups = (await readdir(options.backups)).sort()
    expect(backups).toHaveLength(5)
    expect(backups.at(-1)).toMatch(new RegExp(`^service-1970-01-01T.*Z-v${last + 6}.db$`))
    const copy = new Database(join(options.backups, backups[0] ?? ''))
    expect(copy.prepare('SELECT name FROM providers').pluck().all()).toEqual(['work'])
    expect(copy.pragma('user_version', { simple: true })).toBe(last + 2)
    copy.close()
  })

  it('go on where they were stopped', async () => {
    await store.close()
    const half = { version: last + 2, sql: 'CREATE TABLE half (a INTEGER); CREATE TABLE more (a INTEGER)' }
    const broken: Migration[] = [...migrations, more, half]
    expect(() => openDatabase(options.database, options.backups, broken, 1)).toThrow(/already exists/)
    const database = openDatabase(options.database, options.backups, later, 2)
    const names = database.prepare("SELECT name FROM sqlite_schema WHERE name IN ('half', 'more', 'most') ORDER BY name").pluck().all()
    expect(names).toEqual(['more', 'most'])
    database.close()
  })
})
