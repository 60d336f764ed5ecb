import Database from 'better-sqlite3'
import { randomBytes } from 'node:crypto'
import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ManualClock, turns } from '../../../tests/support/manual-clock.ts'
import type { AuditFilter } from '../store/access-records.ts'
import { openStore } from '../store/open-store.ts'
import type { Store } from '../store/store.ts'
import { openAudit } from './audit.ts'
import type { Audit, AuditFact } from './audit.ts'

let folder: string
let store: Store
let clock: ManualClock
let audit: Audit
const key = randomBytes(32)
const logged: string[] = []
const writable: boolean[] = []
const dayMs = 24 * 3600 * 1000

const fact: AuditFact = {
  ...{ principal: 'local:1', origin: 'socket', action: 'A', class: 'change', result: 'ok' },
  ...{ mountId: '', providerId: '', target: '', correlationId: 'c' },
}
const all: AuditFilter = { after: 0, since: 0, until: 0, principal: '', mountId: '', action: '', correlationId: '', begun: true }

const open = (keptDays = 400) =>
  openAudit({
    table: store.audit,
    key,
    clock,
    log: (_, message) => void logged.push(message),
    keptDays,
    onWritable: (is) => writable.push(is),
  })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'audit-'))
  await mkdir(join(folder, 'backups'))
  store = await openStore({ database: join(folder, 'x.db'), backups: join(folder, 'backups'), lock: join(folder, 'lock'), lockWaitMs: 0 })
  clock = new ManualClock()
  logged.length = 0
  writable.length = 0
  audit = await open()
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})

/** Changes the database behind the service's back. */
function tamper(sql: string): void {
  const database = new Database(join(folder, 'x.db'))
  database.exec(sql)
  database.close()
}

it('chains its lines over days and restarts; heads stand in the log too', async () => {
  await audit.write(fact)
  await audit.write({ ...fact, target: 'x' })
  await clock.advance(dayMs)
  audit = await open()
  await Promise.all([audit.write(fact), audit.write(fact)])
  const lines = await audit.read(all, 100)
  expect(lines.map(({ sequence, segment }) => [sequence, segment])).toEqual([
    [1, 1],
    [2, 1],
    [3, 2],
    [4, 2],
  ])
  expect(logged).toEqual(['audit segment 1 opens after nothing', `audit segment 2 opens after ${lines[1]?.mac}`])
  expect(await audit.verify()).toEqual({ lines: 4, wholeSince: lines[0]?.at, brokenAt: 0, head: lines[3]?.mac })
})

it.each([
  ['a changed line', "UPDATE audit SET principal = 'nobody' WHERE sequence = 3", 3],
  ['a removed line', 'DELETE FROM audit WHERE sequence = 3', 4],
  ['a changed opening', "UPDATE audit_segments SET opens_with = 'x' WHERE number = 2", 5],
  ['swapped parts of two fields', "UPDATE audit SET principal = 'local:', origin = '1socket' WHERE sequence = 2", 2],
  ['a line with the mac of another', 'UPDATE audit SET mac = (SELECT mac FROM audit WHERE sequence = 1) WHERE sequence = 2', 2],
  ['a removed beginning', 'DELETE FROM audit WHERE sequence <= 2', 3],
])('finds %s', async (_, sql, brokenAt) => {
  for (let count = 0; count < 4; count++) await audit.write(fact)
  await clock.advance(dayMs)
  await audit.write(fact)
  expect((await audit.verify()).brokenAt).toBe(0)
  tamper(sql)
  expect((await audit.verify()).brokenAt).toBe(brokenAt)
})

it('drops whole days that are older than what is kept, and is whole since then', async () => {
  audit = await open(2)
  for (let day = 0; day < 5; day++) {
    await audit.write(fact)
    await clock.advance(dayMs)
  }
  const lines = await audit.read(all, 100)
  expect(lines.map(({ sequence }) => sequence)).toEqual([2, 3, 4, 5])
  expect(await audit.verify()).toMatchObject({ lines: 4, wholeSince: lines[0]?.at, brokenAt: 0 })
})

it('sums repeated refusals of a minute', async () => {
  for (let count = 0; count < 50; count++) audit.refused({ ...fact, result: 'PERMISSION' })
  audit.refused({ ...fact, result: 'LOGIN_NEEDED' })
  await clock.advance(60_000)
  await turns(50)
  await audit.write(fact)
  expect((await audit.read(all, 100)).map(({ result, times }) => [result, times])).toEqual([
    ['PERMISSION', 1],
    ['LOGIN_NEEDED', 1],
    ['PERMISSION', 49],
    ['ok', 1],
  ])
})

it('bounds how many kinds of refusals it sums: a flood of names is one line', async () => {
  for (let count = 0; count < 5000; count++) audit.refused({ ...fact, target: `name ${count}`, result: 'LOGIN_NEEDED' })
  await audit.close()
  const lines = await audit.read(all, 10_000)
  expect(lines.length).toBeLessThan(250)
  expect(lines.reduce((sum, line) => sum + line.times, 0)).toBe(5000)
})

it('says when it cannot be written', async () => {
  tamper("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END")
  await expect(audit.write(fact)).rejects.toMatchObject({ kind: 'unavailable', code: 'AUDIT_UNAVAILABLE' })
  tamper('DROP TRIGGER full')
  await audit.write(fact)
  await audit.write(fact)
  expect(await audit.verify()).toMatchObject({ lines: 2, brokenAt: 0 })
  expect(writable).toEqual([false, true])
})

it('filters', async () => {
  await audit.write({ ...fact, mountId: 'm1', result: 'begun' })
  await audit.write({ ...fact, mountId: 'm1' })
  await audit.write({ ...fact, principal: 'user:anna', action: 'B', correlationId: 'd' })
  const count = async (filter: Partial<AuditFilter>) => (await audit.tail({ ...all, ...filter }, 100)).length
  expect(await count({ begun: false })).toBe(2)
  expect(await count({ mountId: 'm1' })).toBe(2)
  expect(await count({ principal: 'user:anna' })).toBe(1)
  expect(await count({ action: 'B' })).toBe(1)
  expect(await count({ correlationId: 'd' })).toBe(1)
  expect(await count({ until: clock.now() - 1 })).toBe(0)
})
