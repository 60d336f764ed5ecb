import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { FakeCloud } from '../../../tests/support/fake-cloud.ts'
import { ManualClock, turns } from '../../../tests/support/manual-clock.ts'
import { CloudError } from '../../common/errors.ts'
import { Reachability } from './reachability.ts'

let cloud: FakeCloud
let clock: ManualClock
let way: Reachability
let opened: number
let told: string[]
let secrets: boolean

function checks(): number {
  return cloud.calls.filter((call) => call === 'check').length
}

beforeEach(() => {
  cloud = new FakeCloud()
  clock = new ManualClock()
  opened = 0
  told = []
  secrets = true
  way = new Reachability({
    ...{ connector: cloud, clock, probeMs: 1000, onChange: () => undefined },
    tell: ({ message }) => told.push(message),
    hasSecrets: () => secrets,
  })
  way.onOpen(() => {
    opened++
  })
})

afterEach(() => way.close())

describe('whether the provider can be reached', () => {
  test('one call that fails is probed; if the probe succeeds nothing happened', async () => {
    way.failed(new CloudError('timeout', 'no answer'))
    way.failed(new CloudError('offline', 'reset'))
    await turns(5)
    expect(checks()).toBe(1)
    expect(way.failFast()).toBeUndefined()
    expect(way.conditions()).toEqual([])
  })

  test('while the way is closed calls fail fast, and one probe after the other looks whether it opens', async () => {
    cloud.online = false
    way.failed(new CloudError('offline', 'no network'))
    await turns(5)
    expect(way.failFast()).toMatchObject({ kind: 'offline' })
    expect(way.conditions()).toMatchObject([{ kind: 'offline' }])
    await clock.advance(60_000)
    const soFar = checks()
    expect(soFar).toBeGreaterThan(4)
    // Backed off: between 15 and 30 seconds by now.
    await clock.advance(60_000)
    expect(checks() - soFar).toBeLessThanOrEqual(4)
    cloud.online = true
    await clock.advance(30_000)
    expect(way.failFast()).toBeUndefined()
    expect(opened).toBe(1)
  })

  test('asked from outside, it finds out also while nothing failed; attempts while it is lost are counted apart', async () => {
    await way.probe()
    expect(way.counts).toMatchObject({ probes: 1, probeFailures: 0, reconnects: 0 })
    cloud.online = false
    await way.probe()
    expect(way.conditions()).toMatchObject([{ kind: 'offline' }])
    expect(way.counts).toMatchObject({ probes: 2, probeFailures: 1, reconnects: 0 })
    await way.probe()
    cloud.online = true
    await way.probe()
    expect(way.conditions()).toEqual([])
    expect(way.counts).toMatchObject({ probes: 4, probeFailures: 2, reconnects: 2, reconnectFailures: 1 })
  })

  test('what is wrong is told, once a minute', async () => {
    for (const message of ['a web page', 'another one']) way.failed(new CloudError('garbage', message))
    way.failed(new CloudError('unavailable', 'status 500'))
    for (const kind of ['not-found', 'conflict', 'cancelled'] as const) way.failed(new CloudError(kind, kind))
    expect(told).toEqual(['a web page', 'status 500'])
    await clock.advance(60_000)
    way.failed(new CloudError('garbage', 'still a web page'))
    expect(told).toEqual(['a web page', 'status 500', 'still a web page'])
  })

  test('credentials that are refused close it too, until somebody gives new ones', async () => {
    const check = cloud.check.bind(cloud)
    let tries = 0
    cloud.check = () => {
      tries++
      return Promise.reject(new CloudError('sign-in', 'expired'))
    }
    way.failed(new CloudError('sign-in', 'expired'))
    expect(way.failFast()).toMatchObject({ kind: 'sign-in' })
    expect(way.conditions()).toEqual([{ kind: 'needs-sign-in', reason: 'expired' }])
    secrets = false
    await clock.advance(3_600_000)
    expect(tries).toBe(1)
    await way.probe()
    expect(tries).toBe(2)
    secrets = true
    await way.probe()
    await clock.advance(3_600_000)
    // Backed off: once in five minutes at the most.
    expect(tries).toBeGreaterThan(10)
    expect(tries).toBeLessThan(40)
    expect(way.failFast()).toMatchObject({ kind: 'sign-in' })
    cloud.check = check
    way.retry()
    await turns(5)
    expect(way.conditions()).toEqual([])
    expect(opened).toBe(1)
  })

  test.each(['not-found', 'access', 'unavailable', 'garbage'] as const)(
    'an answer %s comes from the provider: it is reached',
    async (kind) => {
      cloud.check = () => Promise.reject(new CloudError(kind, kind))
      way.failed(new CloudError('timeout', 'no answer'))
      await turns(5)
      expect(way.failFast()).toBeUndefined()
    },
  )

  test('a provider that wants to be left alone is, for at most an hour', async () => {
    way.failed(new CloudError('throttled', 'slow down', { retryAfterMs: 10 ** 9 }))
    expect(way.throttledUntil() - clock.now()).toBe(3_600_000)
    expect(way.conditions()).toMatchObject([{ kind: 'throttled' }])
    expect(way.failFast()).toBeUndefined()
    await clock.advance(3_600_001)
    expect(way.throttledUntil()).toBe(0)
  })

  test('takes as long when the clock is set back meanwhile', async () => {
    way.failed(new CloudError('throttled', 'slow down', { retryAfterMs: 60_000 }))
    clock.jump(-3_600_000)
    await clock.advance(59_000)
    expect(way.throttledUntil()).toBeGreaterThan(0)
    await clock.advance(1001)
    expect([way.throttledUntil(), way.conditions()]).toEqual([0, []])
  })
})
