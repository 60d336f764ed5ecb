import { setTimeout as sleep } from 'node:timers/promises'
import { beforeEach, describe, expect, test } from 'vitest'
import {
  absent,
  at,
  drain,
  listAll,
  put,
  readAll,
  refusal,
  signal,
  sourceOf,
  statOf,
  writeOptions,
} from '../../../tests/conformance/candidate.ts'
import { failingConnector, Faults } from '../../../tests/support/failing-connector.ts'
import { MemoryCloud } from '../../../tests/support/memory-cloud.ts'
import { MemoryConnector } from '../../../tests/support/memory-connector.ts'
import { CloudError } from '../../common/errors.ts'
import type { Connector } from './connector.ts'
import { RateLimiter } from './rate-limiter.ts'
import { withDeadline } from './with-deadline.ts'
import { newMetrics, withMetrics } from './with-metrics.ts'
import { withRateLimit } from './with-rate-limit.ts'
import { defaultRetry, withRetry } from './with-retry.ts'

const quick = { ...defaultRetry, base: 1, cap: 5 }

let cloud: MemoryCloud
let faults: Faults
let failing: Connector

beforeEach(() => {
  cloud = new MemoryCloud()
  faults = new Faults()
  failing = failingConnector(new MemoryConnector(cloud), faults)
})

describe('retry', () => {
  test.each(['offline', 'timeout', 'throttled', 'unavailable', 'garbage'] as const)('a stat passes over %s', async (kind) => {
    cloud.put('a', 'x')
    faults.plan({ operation: 'stat', kind, times: 3 })
    await statOf(withRetry(failing, quick), at('a'))
    expect(faults.fired).toBe(3)
  })

  test('few tries, and then the error itself', async () => {
    faults.plan({ operation: 'stat', kind: 'unavailable', times: 100 })
    expect(await refusal(withRetry(failing, quick).stat(at('a'), 'any', signal))).toBe('unavailable')
    expect(faults.fired).toBe(quick.tries)
  })

  test.each(['not-found', 'access', 'sign-in', 'conflict', 'invalid'] as const)('%s is final', async (kind) => {
    faults.plan({ operation: 'stat', kind, times: 100 })
    expect(await refusal(withRetry(failing, quick).stat(at('a'), 'any', signal))).toBe(kind)
    expect(faults.fired).toBe(1)
  })

  test.each(['offline', 'timeout', 'unavailable', 'garbage'] as const)(
    'a change whose outcome is unknown (%s) is not repeated',
    async (kind) => {
      const connector = withRetry(failing, quick)
      for (const operation of ['write', 'remove', 'move', 'makeFolder'] as const) faults.plan({ operation, kind, when: 'after' })
      cloud.put('old', 'x')
      expect(await refusal(put(connector, at('a'), 'x'))).toBe(kind)
      expect(await refusal(connector.makeFolder(at('folder'), {}, signal))).toBe(kind)
      expect(await refusal(moved(connector))).toBe(kind)
      expect(await refusal(connector.remove(at('a'), 'file', { kind: 'any' }, signal))).toBe(kind)
      expect(faults.fired).toBe(4)
      expect([...faults.calls.values()]).toEqual([1, 1, 1, 1])
      expect(cloud.paths()).toEqual(['folder', 'new'])
    },
  )

  test('a change that surely was not done is repeated', async () => {
    faults.plan({ operation: 'write', kind: 'throttled' }, { operation: 'remove', kind: 'throttled' })
    const connector = withRetry(failing, quick)
    await put(connector, at('a'), 'x')
    await connector.remove(at('a'), 'file', { kind: 'any' }, signal)
    expect(faults.fired).toBe(2)
    expect(cloud.paths()).toEqual([])
  })

  test('a refused connection is surely not done', async () => {
    let tries = 0
    const refusing: Connector = Object.create(failing, {
      makeFolder: {
        value: async (...args: Parameters<Connector['makeFolder']>) => {
          if (++tries === 1) throw new CloudError('offline', 'refused', { code: 'ECONNREFUSED' })
          return await failing.makeFolder(...args)
        },
      },
    }) as Connector
    await withRetry(refusing, quick).makeFolder(at('a'), {}, signal)
    expect(tries).toBe(2)
  })

  test('a read goes on where it broke off', async () => {
    const contents = 'x'.repeat(200_000)
    const { rev } = cloud.put('a', contents)
    faults.plan({ operation: 'read', kind: 'offline', when: 'midway', times: 2 })
    const read = await readAll(withRetry(failing, quick), at('a'), 0, contents.length, rev)
    expect(faults.fired).toBe(2)
    expect(read.toString()).toBe(contents)
  })

  test('a read that broke off does not go on in another version', async () => {
    const { rev } = cloud.put('a', 'x'.repeat(200_000))
    faults.plan({ operation: 'read', kind: 'offline', when: 'midway' })
    const chunks = withRetry(failing, quick).read(at('a'), 0, 200_000, rev, signal)[Symbol.asyncIterator]()
    await chunks.next()
    cloud.put('a', 'y'.repeat(200_000))
    expect(await refusal(drain({ [Symbol.asyncIterator]: () => chunks }))).toBe('conflict')
    expect(faults.fired).toBe(1)
  })

  test('a listing is fetched again only before its first page', async () => {
    for (let index = 0; index < 250; index++) cloud.put(`f${index}`, '')
    const connector = withRetry(failing, quick)
    faults.plan({ operation: 'list', kind: 'unavailable', times: 2 })
    expect((await listAll(connector, at())).length).toBe(250)
    expect(faults.fired).toBe(2)
    faults.plan({ operation: 'list', kind: 'unavailable', nth: 2 })
    expect(await refusal(listAll(connector, at()))).toBe('unavailable')
    expect(faults.fired).toBe(3)
  })

  test('a throttled upload goes on with its handle', async () => {
    const contents = Buffer.alloc(12 * 2 ** 20, 'x')
    let saved = 0
    const connector = withRetry(failing, quick)
    const options = {
      ...writeOptions(absent),
      saveHandle: async () => {
        if (++saved === 3) throw new CloudError('throttled', 'slow down')
      },
    }
    await connector.write(at('a'), 'file', sourceOf(contents), options, signal)
    expect(cloud.received).toBe(contents.length)
    expect(cloud.objects.get('a')?.contents.equals(contents)).toBe(true)
  })

  test('a long pause that the provider asks for is not waited for', async () => {
    faults.plan({ operation: 'stat', kind: 'throttled', retryAfterMs: 60_000 })
    const begun = performance.now()
    const error = await withRetry(failing, quick)
      .stat(at('a'), 'any', signal)
      .catch((caught: unknown) => caught)
    expect(error).toMatchObject({ kind: 'throttled', retryAfterMs: 60_000 })
    expect(performance.now() - begun).toBeLessThan(1000)
  })

  test('the pause is at least what the provider asks for, and random otherwise', async () => {
    faults.plan({ operation: 'stat', kind: 'throttled', retryAfterMs: 120 })
    const begun = performance.now()
    await withRetry(failing, quick).stat(at('a'), 'any', signal)
    expect(performance.now() - begun).toBeGreaterThanOrEqual(115)
    faults.plan({ operation: 'stat', kind: 'offline', times: 2 })
    const jitter: number[] = []
    const random = () => (jitter.push(1), 0)
    await withRetry(failing, { ...defaultRetry, random }).stat(at('a'), 'any', signal)
    expect(jitter.length).toBe(2)
  })

  test('an abort ends the pause', async () => {
    faults.plan({ operation: 'stat', kind: 'offline', times: 9 })
    const abort = new AbortController()
    setTimeout(() => abort.abort(), 20)
    const connector = withRetry(failing, { ...quick, base: 10_000, cap: 10_000, random: () => 0.9 })
    expect(await refusal(connector.stat(at('a'), 'any', abort.signal))).toBe('cancelled')
  })
})

describe('deadline', () => {
  const short = { metadata: 40, read: 40, write: 40, copying: 40, grace: 40 }
  const never = () => new Promise<never>(() => undefined)

  test('a call that hangs and ignores its signal ends', async () => {
    const hanging = Object.create(failing, { stat: { value: never }, copy: { value: never } }) as Connector
    const connector = withDeadline(hanging, short)
    expect(await refusal(connector.stat(at('a'), 'any', signal))).toBe('timeout')
    expect(await refusal(connector.copy?.(at('a'), at('b'), '', {}, absent, signal) ?? Promise.resolve())).toBe('timeout')
  })

  test('the call below sees the abort', async () => {
    let reason: unknown
    const listening = Object.create(failing, {
      check: {
        value: (inner: AbortSignal) => {
          inner.addEventListener('abort', () => {
            reason = inner.reason
          })
          return never()
        },
      },
    }) as Connector
    expect(await refusal(withDeadline(listening, short).check(signal))).toBe('timeout')
    expect(reason).toMatchObject({ kind: 'timeout' })
  })

  test('a stream may take long as long as it moves', async () => {
    const dripping = Object.create(failing, {
      read: {
        value: async function* () {
          for (let index = 0; index < 5; index++) {
            await sleep(120)
            yield Buffer.from('x')
          }
        },
      },
    }) as Connector
    expect((await readAll(withDeadline(dripping, { ...short, read: 500 }), at('a'), 0, 5, '')).toString()).toBe('xxxxx')
  })

  test('a stream that stops is ended, and a reader that stops is not', async () => {
    const stuck = Object.create(failing, {
      read: {
        value: async function* () {
          yield Buffer.from('x')
          yield Buffer.from('y')
          await never()
        },
      },
    }) as Connector
    const chunks = withDeadline(stuck, short).read(at('a'), 0, 5, '', signal)[Symbol.asyncIterator]()
    await chunks.next()
    await sleep(80)
    await chunks.next()
    expect(await refusal(chunks.next())).toBe('timeout')
  })

  test('an upload that moves is not ended, and one that stops is', async () => {
    const source = (pause: number) => ({
      size: 12 * 2 ** 20,
      read: async (start: number, end: number) => {
        await sleep(pause)
        return Buffer.alloc(end - start)
      },
    })
    const connector = withDeadline(failing, { ...short, write: 1500 })
    await connector.write(at('slow'), 'file', source(1000), writeOptions(absent), signal)
    expect(await refusal(connector.write(at('stuck'), 'file', source(10_000), writeOptions(absent), signal))).toBe('timeout')
  })

  test('an abort from outside is cancelled, at once', async () => {
    const hanging = Object.create(failing, { stat: { value: never } }) as Connector
    const abort = new AbortController()
    setTimeout(() => abort.abort(), 10)
    expect(await refusal(withDeadline(hanging).stat(at('a'), 'any', abort.signal))).toBe('cancelled')
  })

  test.each(['abort', 'deadline'])('a change that was given up (%s) has ended before its caller goes on', async (by) => {
    let ended = false
    const slowly = async () => {
      await sleep(90)
      ended = true
    }
    const slow = Object.create(failing, { write: { value: slowly }, makeFolder: { value: slowly } }) as Connector
    const connector = withDeadline(slow, { ...short, grace: 1000 })
    for (const change of [
      (abort: AbortSignal) => put(connector, at('a'), '', absent, abort),
      (abort: AbortSignal) => connector.makeFolder(at('a'), {}, abort),
    ]) {
      const abort = new AbortController()
      if (by === 'abort') setTimeout(() => abort.abort(), 10)
      ended = false
      expect(await refusal(change(abort.signal))).toBe(by === 'abort' ? 'cancelled' : 'timeout')
      expect(ended).toBe(true)
    }
  })

  test('but its caller does not wait for ever', async () => {
    const hanging = Object.create(failing, { write: { value: never } }) as Connector
    expect(await refusal(put(withDeadline(hanging, short), at('a'), ''))).toBe('timeout')
  })
})

describe('rate limit', () => {
  test('requests come as fast as the rate after the first burst', async () => {
    const limiter = new RateLimiter(20)
    const connector = withRateLimit(failing, limiter)
    const begun = performance.now()
    await Promise.all(Array.from({ length: 30 }, () => connector.stat(at('a'), 'any', signal)))
    expect(performance.now() - begun).toBeGreaterThan(400)
    expect(performance.now() - begun).toBeLessThan(1500)
  })

  test('an answer that asks to slow down holds all of the account back', async () => {
    const limiter = new RateLimiter(1000)
    const [one, two] = [withRateLimit(failing, limiter), withRateLimit(new MemoryConnector(cloud), limiter)]
    faults.plan({ operation: 'list', kind: 'throttled', retryAfterMs: 150 })
    expect(await refusal(listAll(one, at()))).toBe('throttled')
    expect(limiter.throttledUntil).toBeGreaterThan(Date.now() + 50)
    expect(limiter.rate).toBeLessThanOrEqual(500)
    const begun = performance.now()
    await two.stat(at('a'), 'any', signal)
    expect(performance.now() - begun).toBeGreaterThan(100)
    expect(limiter.throttledUntil).toBeNull()
  })

  test('a long pause is a refusal with its length, not a hang', async () => {
    const limiter = new RateLimiter(1000)
    limiter.throttle(60_000)
    const error = await withRateLimit(failing, limiter)
      .stat(at('a'), 'any', signal)
      .catch((caught: unknown) => caught)
    expect(error).toMatchObject({ kind: 'throttled' })
    expect((error as CloudError).retryAfterMs).toBeGreaterThan(55_000)
    expect(faults.calls.size).toBe(0)
  })

  test('who reads comes before who scans and who uploads, and none starves', async () => {
    const limiter = new RateLimiter(50)
    limiter.throttle(30)
    const order: string[] = []
    const take = async (priority: 'reader' | 'ordinary' | 'upload') => {
      await limiter.take(priority, signal)
      order.push(priority)
    }
    await Promise.all([
      ...Array.from({ length: 3 }, () => take('upload')),
      ...Array.from({ length: 3 }, () => take('ordinary')),
      ...Array.from({ length: 12 }, () => take('reader')),
    ])
    expect(order.slice(0, 7)).toEqual(Array.from({ length: 7 }, () => 'reader'))
    expect(order[7]).toBe('upload')
    expect(order.slice(-4)).not.toContain('reader')
  })

  test('a call that sends several requests pays for all of them', async () => {
    const limiter = new RateLimiter(20)
    const chatty = Object.create(failing, {
      stat: {
        value: () => {
          for (let sent = 0; sent < 3; sent++) limiter.sent()
          return Promise.resolve(null)
        },
      },
    }) as Connector
    const connector = withRateLimit(chatty, limiter)
    const begun = performance.now()
    for (let call = 0; call < 12; call++) await connector.stat(at('a'), 'any', signal)
    // 36 requests, 20 of them at once.
    expect(performance.now() - begun).toBeGreaterThan(600)
    expect(performance.now() - begun).toBeLessThan(1500)
  })

  test('a share that shrinks counts at once, one that grows too', async () => {
    const limiter = new RateLimiter(1000)
    limiter.setShare(4)
    const begun = performance.now()
    const calls = Promise.all(Array.from({ length: 8 }, () => limiter.take('reader', signal)))
    setTimeout(() => limiter.setShare(1000), 300)
    await calls
    expect(performance.now() - begun).toBeGreaterThan(290)
    expect(performance.now() - begun).toBeLessThan(800)
    expect(limiter.demand(1)).toEqual({ reader: 8, other: 0 })
    expect(limiter.demand(1)).toEqual({ reader: 0, other: 0 })
  })

  test('who gives up leaves the line', async () => {
    const limiter = new RateLimiter(1)
    limiter.throttle(100)
    const abort = new AbortController()
    const waiting = refusal(limiter.take('reader', abort.signal))
    abort.abort()
    expect(await waiting).toBe('cancelled')
    await limiter.take('upload', signal)
  })
})

describe('metrics', () => {
  test('count requests, errors and bytes', async () => {
    const metrics = newMetrics()
    const connector = withMetrics(failing, metrics)
    const { rev } = await put(connector, at('a'), 'x'.repeat(1000))
    await readAll(connector, at('a'), 0, 600, rev)
    await listAll(connector, at())
    faults.plan({ operation: 'stat', kind: 'offline' })
    await refusal(connector.stat(at('a'), 'any', signal))
    expect(metrics).toMatchObject({
      requests: { write: 1, read: 1, list: 2, stat: 1 },
      errors: { offline: 1 },
      bytesIn: 600,
      bytesOut: 1000,
    })
    expect(metrics.latencyMs).toBeGreaterThan(0)
  })
})

function moved(connector: Connector): Promise<unknown> {
  return connector.move?.(at('old'), at('new'), 'file', { kind: 'any' }, null, signal) ?? Promise.resolve()
}
