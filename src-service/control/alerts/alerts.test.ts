import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { ManualClock } from '../../../tests/support/manual-clock.ts'
import { CloudError } from '../../common/errors.ts'
import { openStore } from '../store/open-store.ts'
import type { Store } from '../store/store.ts'
import type { AlertNews, Alerts } from './alerts.ts'
import { openAlerts } from './alerts.ts'

let folder: string
let store: Store
let clock: ManualClock
let alerts: Alerts
let news: AlertNews[]

const lastLines = () => Promise.resolve(['1', '2', '3', '4', '5', '6', 'x'.repeat(1000)])
const open = async () => {
  alerts = await openAlerts({ table: store.alerts, clock, log: () => {}, lastLines })
  alerts.onNews((one) => news.push(one))
}
const cut = { severity: 'warning', mountId: 'm', reason: 'disconnected', message: 'cut' } as const
const told = () => news.map(({ what, alert }) => `${what} ${alert.message} ${alert.times}`)

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'alerts-'))
  const files = { database: join(folder, 'd.db'), backups: join(folder, 'backups'), lock: join(folder, 'lock') }
  store = await openStore({ ...files, lockWaitMs: 0 })
  clock = new ManualClock()
  news = []
  await open()
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})

it('keeps one open alert of a mount and a reason, with what the log said when it came up', async () => {
  alerts.raise(cut)
  alerts.raise({ ...cut, message: 'cut again' })
  alerts.raise({ ...cut, mountId: 'other' })
  await alerts.settled()
  alerts.raise({ ...cut, message: 'cut still, see https://ada:pass@host/x?sig=abc' })
  await alerts.settled()
  const found = await alerts.list(false)
  expect(found.map(({ mountId, times, resolvedAt }) => [mountId, times, resolvedAt]).sort()).toEqual([
    ['m', 3, 0],
    ['other', 1, 0],
  ])
  const own = found.find(({ mountId }) => mountId === 'm')
  expect(own?.message).toBe('cut still, see https://[hidden]@host/x?[hidden]')
  expect(own?.lines.slice(0, 4)).toEqual(['3', '4', '5', '6'])
  expect(own?.lines[4]).toHaveLength(501)
  expect(own?.correlationId).toMatch(/^[0-9a-z]{16}$/)
  expect(news.map(({ what }) => what)).toEqual(['raised', 'raised', 'repeated'])
})

it('ends by itself, is known to somebody, is ended by somebody, and comes up anew', async () => {
  alerts.raise(cut)
  await alerts.settled()
  alerts.over('m', 'disconnected')
  alerts.over('m', 'never')
  await alerts.settled()
  expect(await alerts.list(false)).toEqual([])
  expect(await alerts.list(true)).toMatchObject([{ resolvedBy: '', message: 'cut' }])
  alerts.raise({ ...cut, message: 'second' })
  await alerts.settled()
  const [second] = await alerts.list(false)
  expect(await alerts.acknowledge(second?.id ?? '', 'user:ada')).toMatchObject({ acknowledgedBy: 'user:ada', resolvedAt: 0 })
  expect(await alerts.acknowledge(second?.id ?? '', 'user:ben')).toMatchObject({ acknowledgedBy: 'user:ada' })
  expect(await alerts.resolve(second?.id ?? '', 'user:ben')).toMatchObject({ resolvedBy: 'user:ben' })
  alerts.raise({ ...cut, message: 'third' })
  await alerts.settled()
  expect(told()).toEqual([
    'raised cut 1',
    'resolved cut 1',
    'raised second 1',
    'acknowledged second 1',
    'acknowledged second 1',
    'resolved second 1',
    'raised third 1',
  ])
  await expect(alerts.acknowledge('absent', 'x')).rejects.toMatchObject({ kind: 'not-found' })
})

it('what comes up again before its end is stored stays open', async () => {
  alerts.raise(cut)
  alerts.over('m', 'disconnected')
  alerts.raise(cut)
  await alerts.settled()
  expect(await alerts.list(false)).toMatchObject([{ times: 2 }])
  alerts.raise(cut)
  alerts.over('m', 'disconnected')
  await alerts.settled()
  expect(await alerts.list(false)).toEqual([])
})

it('goes on with the open ones after a restart, and ends those of a mount that is gone', async () => {
  alerts.raise(cut)
  alerts.raise({ ...cut, reason: 'conflict' })
  await alerts.settled()
  await open()
  alerts.raise(cut)
  await alerts.settled()
  expect((await alerts.list(false)).map(({ reason, times }) => [reason, times]).sort()).toEqual([
    ['conflict', 1],
    ['disconnected', 2],
  ])
  alerts.mountGone('m')
  await alerts.settled()
  expect(await alerts.list(false)).toEqual([])
})

it('is bounded: what is over goes first, the oldest of it first', async () => {
  for (let number = 0; number < 1005; number++) {
    await store.alerts.raise({ ...cut, id: `a${number}`, mountId: `m${number}`, lines: [], correlationId: '', times: 1 }, number)
    if (number === 7 || number === 9) await store.alerts.resolve(`a${number}`, '', number)
  }
  const ids = (await alerts.list(true)).map(({ id }) => id)
  expect(ids).toHaveLength(1000)
  expect(['a7', 'a9', 'a0', 'a1', 'a2', 'a3', 'a4'].map((id) => ids.includes(id))).toEqual([false, false, false, false, false, true, true])
})

it('is told also when it cannot be stored', async () => {
  const broken = () => Promise.reject(new CloudError('no-space', 'full'))
  const lone = await openAlerts({ table: { ...store.alerts, raise: broken }, clock, log: () => {}, lastLines: broken })
  lone.onNews((one) => news.push(one))
  lone.raise(cut)
  await lone.settled()
  expect(told()).toEqual(['raised cut 1'])
})
