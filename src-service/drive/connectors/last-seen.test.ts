import { expect, it } from 'vitest'
import { LastSeen } from './last-seen.ts'

it.each([
  ['never', undefined, 0, 0, false],
  ['just now', 0, 0, 0, true],
  ['seconds ago', 0, 59_000, 59_000, true],
  ['a minute ago', 0, 60_000, 60_000, false],
  ['hours ago, and the clock was set back by as much', 0, -59_000, 7_200_000, false],
  ['hours ago, while the machine slept', 0, 7_200_000, 10, false],
  ['just now, and the clock was set back by an hour', 0, -3_600_000, 10, false],
])('what was seen %s', (_, seenAt, wall, steady, expected) => {
  let [now, monotonic] = [1_700_000_000_000, 5000]
  const seen = new LastSeen(
    () => now,
    () => monotonic,
  )
  if (seenAt !== undefined) seen.note()
  now += wall
  monotonic += steady
  expect(seen.isWithin(60_000)).toBe(expected)
})
