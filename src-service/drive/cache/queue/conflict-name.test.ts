import { expect, test } from 'vitest'
import { conflictName } from './conflict-name.ts'

const now = Date.UTC(2026, 10, 21, 15, 30, 0)

function named(name: string, host = 'DESK', taken: readonly string[] = [], maxBytes = 255): string {
  return conflictName(Buffer.from(name), host, now, maxBytes, (candidate) => taken.includes(candidate.toString())).toString()
}

test('host and time in UTC are in the name, before the extension', () => {
  expect(named('report.txt')).toBe('report (conflict DESK 2026-11-21 153000).txt')
})

test('a second conflict within a second gets a number', () => {
  const first = named('a')
  expect(named('a', 'DESK', [first])).toBe('a (conflict DESK 2026-11-21 153000 2)')
})

test('the name keeps within its bounds, whatever the host is called', () => {
  const name = named('n'.repeat(255), 'a host/with "odd" letters and a very long name indeed')
  expect(Buffer.byteLength(name)).toBe(255)
  expect(name).toMatch(/\(conflict [A-Za-z0-9-]{1,32} 2026-11-21 153000\)$/)
  expect(Buffer.byteLength(named('n'.repeat(90), 'h', [], 100))).toBeLessThanOrEqual(100)
})
