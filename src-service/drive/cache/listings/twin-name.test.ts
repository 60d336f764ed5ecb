import { expect, test } from 'vitest'
import { freeName, nameWithSuffix } from './twin-name.ts'

function suffixed(name: string, maxBytes = 255): string {
  return nameWithSuffix(Buffer.from(name), 'file', maxBytes).toString()
}

test('the suffix comes before the extension', () => {
  expect(suffixed('a.txt')).toBe('a (file).txt')
  expect(suffixed('a.tar.gz')).toBe('a.tar (file).gz')
  expect(suffixed('Makefile')).toBe('Makefile (file)')
  expect(suffixed('.profile')).toBe('.profile (file)')
  expect(suffixed('what. this is no extension')).toBe('what. this is no extension (file)')
})

test('a long name is cut to what fits, between characters', () => {
  const long = suffixed(`${'ü'.repeat(130)}.txt`)
  expect(Buffer.byteLength(long)).toBeLessThanOrEqual(255)
  expect(long).toMatch(/^ü+ \(file\)\.txt$/)
  expect(Buffer.byteLength(suffixed('x'.repeat(255)))).toBe(255)
  expect(suffixed('abcdefghij.txt', 16)).toBe('abcde (file).txt')
})

test('numbers are counted up until one is free', () => {
  const taken = new Set(['a (file)', 'a (file 2)'])
  expect(freeName(Buffer.from('a'), 'file', 255, (name) => taken.has(name.toString())).toString()).toBe('a (file 3)')
})
