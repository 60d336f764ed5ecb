import { describe, expect, it } from 'vitest'
import { formatDuration, formatSize, parseDuration, parseSize } from './sizes.ts'

describe('parseSize', () => {
  it.each([
    ['4096', 4096],
    ['10G', 10 * 1024 ** 3],
    ['10g', 10 * 1024 ** 3],
    ['512MiB', 512 * 1024 ** 2],
    ['512 MB', 512 * 1024 ** 2],
    ['1.5T', 1.5 * 1024 ** 4],
    ['0', 0],
  ])('%s', (text, bytes) => {
    expect(parseSize(text)).toBe(bytes)
  })

  it.each(['', 'ten', '-1', '10X', '1e9', '10 GG', '99999999P'])('refuses %j', (text) => {
    expect(parseSize(text)).toBeUndefined()
  })
})

describe('formatSize', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [10 * 1024 ** 3, '10 GiB'],
    [123 * 1024 ** 2, '123 MiB'],
  ])('%d', (bytes, text) => {
    expect(formatSize(bytes)).toBe(text)
  })
})

describe('durations', () => {
  it.each([
    ['90', 90],
    ['30s', 30],
    ['5m', 300],
    ['2h', 7200],
    ['1d', 86_400],
    ['soon', undefined],
  ])('parses %s', (text, seconds) => {
    expect(parseDuration(text)).toBe(seconds)
  })

  it.each([
    [0, '0 s'],
    [59, '59 s'],
    [3700, '1 h 1 min'],
    [86_400 * 3 + 7200 + 5, '3 d 2 h'],
    [3605, '1 h'],
  ])('formats %d', (seconds, text) => {
    expect(formatDuration(seconds)).toBe(text)
  })
})
