import { expect, it } from 'vitest'
import { judge, median, mostDiscards, needsMore, spread } from './statistics.ts'

const beside = (native: number, value = native): { value: number; native: number } => ({ value, native })

it('takes the middle, or the mean of the two in the middle', () => {
  expect(median([3, 1, 2])).toBe(2)
  expect(median([10, 1, 2, 3])).toBe(2.5)
  expect(median([])).toBeNaN()
})

it('spreads around the median', () => {
  expect(spread([90, 100, 110])).toBeCloseTo(0.1)
  expect(spread([5])).toBe(0)
})

it('throws away what was measured while the native disk was off', () => {
  const judged = judge([beside(100, 1), beside(102, 2), beside(300, 9), beside(98, 3)], 3)
  expect(judged).toEqual({ kept: [1, 2, 3], discarded: 1, noisy: false })
})

it('keeps what has no native row', () => {
  expect(
    judge(
      [
        { value: 1, native: null },
        { value: 9, native: null },
      ],
      3,
    ),
  ).toEqual({ kept: [1, 9], discarded: 0, noisy: false })
})

it('keeps a trial at the edge of the tolerance, not one beyond it', () => {
  expect(judge([beside(100), beside(100), beside(115)], 3).discarded).toBe(0)
  expect(judge([beside(100), beside(100), beside(116)], 3).discarded).toBe(1)
})

it('asks for more until enough are left, and gives up as noisy', () => {
  const trials = [beside(100), beside(100)]
  expect(needsMore(trials, 3)).toBe(true)
  expect(needsMore([...trials, beside(101)], 3)).toBe(false)
  for (let i = 0; i < mostDiscards; i += 1) {
    expect(needsMore(trials, 8)).toBe(true)
    trials.push(beside(i % 2 === 0 ? 10 : 1000))
  }
  expect(needsMore(trials, 8)).toBe(false)
  expect(judge(trials, 8)).toMatchObject({ noisy: true, discarded: mostDiscards, kept: expect.objectContaining({ length: 7 }) })
})
