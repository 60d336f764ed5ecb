import { expect, it } from 'vitest'
import type { TestResult } from './results.ts'
import { counts, details, suiteLine } from './results.ts'

const results: readonly TestResult[] = [
  { state: 'passed', name: 'a' },
  { state: 'failed', name: 'b', output: 'expected 1\nto be 2\n' },
  { state: 'skipped', name: 'c', reason: 'no /dev/fuse' },
  { state: 'skipped', name: 'd', reason: 'no /dev/fuse' },
]

it('sums up', () => {
  expect(counts(results)).toBe('1 passed, 1 failed, 2 skipped')
  expect(suiteLine({ suite: 'unit', results, milliseconds: 1234 })).toBe('unit: 1 passed, 1 failed, 2 skipped (1.2 s)')
})

it('lists failures with their output, and skips under their reason', () => {
  expect(details(results)).toEqual(['FAILED b', '  expected 1', '  to be 2', 'skipped, no /dev/fuse:', '  c', '  d'])
})
