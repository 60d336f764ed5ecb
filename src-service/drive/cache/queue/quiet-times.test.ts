import { expect, it } from 'vitest'
import type { Clock } from '../../../common/clock.ts'
import { QuietTimes } from './quiet-times.ts'

it('gives whole milliseconds, though the clock that only grows counts parts of them', () => {
  let monotonic = 1000.25
  const clock: Clock = { now: () => 1_795_489_043_437, monotonic: () => monotonic, after: () => () => undefined }
  const quiet = new QuietTimes({ writerCount: () => 0, lastWrite: () => 0 }, clock, 5000)
  quiet.touch(1)
  monotonic += 0.3125
  expect(quiet.until(1)).toBe(1_795_489_048_437)
  monotonic += 4999.6875
  expect(quiet.until(1)).toBe(0)
})
