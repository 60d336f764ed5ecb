import fc from 'fast-check'
import { expect, test } from 'vitest'
import { backoffDelay } from './backoff.ts'

const backoff = { base: 1000, cap: 300_000 }

test('doubles up to the cap, half of it chance', () => {
  expect([1, 2, 3, 20].map((attempt) => backoffDelay(backoff, attempt, () => 1))).toEqual([1000, 2000, 4000, 300_000])
  expect([1, 2, 3, 20].map((attempt) => backoffDelay(backoff, attempt, () => 0))).toEqual([500, 1000, 2000, 150_000])
})

test('is always a wait within the cap', () => {
  fc.assert(
    fc.property(fc.integer({ min: -5, max: 1e9 }), fc.double({ min: 0, max: 1, noNaN: true }), (attempt, chance) => {
      const delay = backoffDelay(backoff, attempt, () => chance)
      expect(delay).toBeGreaterThanOrEqual(500)
      expect(delay).toBeLessThanOrEqual(300_000)
    }),
  )
})
