import { describe, expect, test } from 'vitest'
import { CloudError, type ErrorKind } from '../../../common/errors.ts'
import { afterError } from './after-error.ts'

const now = 1_000_000
const fresh = { tries: 0, refusals: 0 }

function after(kind: ErrorKind, row = fresh, retryAfterMs?: number): ReturnType<typeof afterError> {
  return afterError(row, new CloudError(kind, kind, retryAfterMs === undefined ? {} : { retryAfterMs }), now, () => 1)
}

describe('what an error means for an item', () => {
  test.each<ErrorKind>(['offline', 'sign-in', 'cancelled'])('%s counts no try', (kind) => {
    const next = after(kind)
    expect(next.kind).toBe('later')
    expect(next.notBefore - now).toBeLessThanOrEqual(1000)
  })

  test.each<ErrorKind>(['timeout', 'unavailable', 'garbage', 'throttled', 'conflict', 'not-found', 'io', 'busy'])(
    '%s is tried again, later each time, at most every five minutes',
    (kind) => {
      const waits = [0, 1, 2, 5, 30].map((tries) => after(kind, { tries, refusals: 0 }).notBefore - now)
      expect(waits).toEqual([1000, 2000, 4000, 32_000, 300_000])
      expect(after(kind)).toMatchObject({ kind: 'retry', tries: 1 })
    },
  )

  test('without room in the cache it is tried again every ten seconds at most: other uploads make room', () => {
    const waits = [0, 1, 2, 5, 30].map((tries) => after('no-space', { tries, refusals: 0 }).notBefore - now)
    expect(waits).toEqual([1000, 2000, 4000, 10_000, 10_000])
    expect(after('no-space')).toMatchObject({ kind: 'retry', tries: 1 })
  })

  test.each<ErrorKind>(['invalid', 'name-invalid', 'access', 'unsupported', 'too-large', 'internal', 'damaged'])(
    '%s parks the item at the fifth time',
    (kind) => {
      expect(after(kind)).toMatchObject({ kind: 'refused', refusals: 1, parked: false })
      expect(after(kind, { tries: 0, refusals: 3 })).toMatchObject({ refusals: 4, parked: false })
      expect(after(kind, { tries: 0, refusals: 4 })).toMatchObject({ refusals: 5, parked: true, reason: kind })
    },
  )

  test('a full provider is asked again every half minute at most', () => {
    expect(after('quota').notBefore - now).toBe(30_000)
    expect(after('quota')).toMatchObject({ kind: 'retry', reason: 'quota' })
  })

  test('Retry-After wins, up to an hour', () => {
    expect(after('throttled', fresh, 7000).notBefore - now).toBe(7000)
    expect(after('unavailable', { tries: 9, refusals: 0 }, 7000).notBefore - now).toBe(7000)
    expect(after('throttled', fresh, 10 ** 9).notBefore - now).toBe(3_600_000)
  })

  test('waits are spread by chance', () => {
    const low = afterError(fresh, new CloudError('timeout', ''), now, () => 0)
    expect(low.notBefore - now).toBeLessThan(1000)
    expect(low.notBefore).toBeGreaterThan(now)
  })
})
