import Database from 'better-sqlite3'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { Secret } from '../../common/secret.ts'
import type { QueueCounts } from '../../common/drive-state.ts'
import type { MountManager } from '../mounts/mount-manager-contract.ts'
import { openStore } from '../store/open-store.ts'
import type { Store } from '../store/store.ts'
import { type Backups, createBackups } from './backups.ts'

const passphrase = new Secret('correct horse battery')
const signal = new AbortController().signal

let folder: string
let store: Store
let backups: Backups
let file: string
let options: Parameters<typeof openStore>[0]

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'backups-'))
  const places = {
    database: join(folder, 'service.db'),
    backups: join(folder, 'backups'),
    keyFile: join(folder, 'secrets.key'),
    auditKey: join(folder, 'audit.key'),
  }
  mkdirSync(places.backups)
  writeFileSync(places.keyFile, 'key of the vault', { mode: 0o600 })
  options = { database: places.database, backups: places.backups, lock: join(folder, 'lock'), lockWaitMs: 0 }
  store = await openStore(options)
  await store.settings.set('auditDays', '7')
  backups = createBackups({ copies: store.copies, mounts: withOrphan, places, version: '1.2.3', now: () => 5000 })
  file = join(folder, 'a.backup')
})
afterEach(async () => {
  await store.close().catch(() => {})
  rmSync(folder, { recursive: true, force: true })
})

const queue: QueueCounts = { files: 3, bytes: 30, parked: 0, uploading: 0 }
const never = () => Promise.reject(new Error('nobody asks this'))
const orphan = { id: 'o', name: 'old', folder: '/o', path: '/p', provider: null, remoteRoot: '', queue, conflicts: 0, reason: '' }
const withOrphan: Pick<MountManager, 'list' | 'orphans'> = {
  list: () => Promise.resolve([]),
  orphans: { list: () => Promise.resolve([orphan]), adopt: never, export: never, discard: never },
}

it('says what is in it, what is not, and is closed to others', async () => {
  const head = await backups.create(file, null, signal)
  expect(head).toMatchObject({ program: '1.2.3', createdAt: 5000, keys: null, unsent: [{ name: 'old', files: 3, bytes: 30 }] })
  expect(statSync(file).mode & 0o777).toBe(0o600)
  expect(await backups.verify(file, null)).toEqual(head)
  await expect(backups.create(file, null, signal)).rejects.toMatchObject({ kind: 'exists' })
})

it('takes the key files along under a passphrase, never in clear', async () => {
  await backups.create(file, passphrase, signal)
  expect(readFileSync(file, 'latin1')).not.toContain('key of the vault')
  expect((await backups.verify(file, passphrase))?.keys).not.toBeNull()
  await expect(backups.verify(file, new Secret('another passphrase'))).rejects.toMatchObject({ kind: 'sign-in' })
  await expect(backups.create(join(folder, 'b'), new Secret('short'), signal)).rejects.toMatchObject({ kind: 'invalid' })
  const staged = await backups.stage({ path: file, passphrase })
  await staged.commit()
  expect(readFileSync(join(folder, 'service.db.restore', 'secrets.key'), 'utf8')).toBe('key of the vault')
})

it('comes back with everything, and nobody is logged in', async () => {
  const session = { id: 's', hash: 'h', principal: 'user:ada', role: 'admin', userId: 'u', address: 'a' } as const
  await store.sessions.insert({ ...session, createdAt: Date.now(), expiresAt: Date.now() + 60_000, lastUsedAt: Date.now() })
  await backups.create(file, null, signal)
  await store.settings.set('auditDays', '8')
  await (await backups.stage({ path: file, passphrase: null })).commit()
  await store.close()
  store = await openStore(options)
  expect(await store.settings.get('auditDays')).toBe('7')
  expect(await store.sessions.list()).toEqual([])
})

it('finds every bit that was changed, and a missing end', async () => {
  await backups.create(file, null, signal)
  const good = readFileSync(file)
  const spread = Array.from({ length: 60 }, (_, index) => Math.floor((index / 60) * good.length))
  for (const at of [...spread, 5, 30, 90, 200, good.length - 1]) {
    const bad = Buffer.from(good)
    bad.writeUInt8(bad.readUInt8(at) ^ 1, at)
    writeFileSync(file, bad)
    await expect(backups.verify(file, null), `byte ${at}`).rejects.toMatchObject({ kind: expect.stringMatching(/damaged|invalid/) })
    await expect(backups.stage({ path: file, passphrase: null }), `byte ${at}`).rejects.toMatchObject({ kind: expect.any(String) })
  }
  writeFileSync(file, good.subarray(0, -100))
  await expect(backups.verify(file, null)).rejects.toMatchObject({ kind: 'damaged' })
})

it('refuses a newer database, what is no backup, and takes a plain copy', async () => {
  const copy = join(folder, 'plain.db')
  await store.copies.make(copy)
  expect(await backups.verify(copy, null)).toBeNull()
  const newer = new Database(copy)
  newer.pragma('user_version = 9999')
  newer.close()
  await expect(backups.stage({ path: copy, passphrase: null })).rejects.toMatchObject({ code: 'DATABASE_NEWER' })
  writeFileSync(file, 'hello\n')
  await expect(backups.verify(file, null)).rejects.toMatchObject({ kind: 'invalid' })
  await expect(backups.verify(join(folder, 'absent'), null)).rejects.toMatchObject({ kind: 'not-found' })
})
