import { expect, test } from 'vitest'
import { readMountOptions } from './mount-options.ts'

test('defaults', () => {
  expect(readMountOptions({})).toEqual({
    fsync: 'local',
    attributes: 'listing',
    freshness: 'relaxed',
    xattrs: false,
    driver: 'auto',
    writeBackSeconds: 5,
  })
})

test('values come as words from a command line, and typed from the API', () => {
  expect(readMountOptions({ xattrs: 'on', writeBackSeconds: '0', fsync: 'remote' })).toMatchObject({
    xattrs: true,
    writeBackSeconds: 0,
    fsync: 'remote',
  })
  expect(readMountOptions({ xattrs: true, writeBackSeconds: 30 })).toMatchObject({ xattrs: true, writeBackSeconds: 30 })
})

test('an unknown option names the nearest one', () => {
  expect(() => readMountOptions({ fsinc: 'remote' })).toThrow(
    expect.objectContaining({ code: 'UNKNOWN_OPTION', hint: "Did you mean 'fsync'?" }),
  )
  expect(() => readMountOptions({ constructor: 'x' })).toThrow(expect.objectContaining({ code: 'UNKNOWN_OPTION' }))
})

test.each([
  [{ fsync: 'never' }],
  [{ xattrs: 'maybe' }],
  [{ writeBackSeconds: '-1' }],
  [{ writeBackSeconds: 1.5 }],
  [{ writeBackSeconds: '' }],
])('%j is refused', (given) =>
  expect(() => readMountOptions(given as Record<string, string>)).toThrow(expect.objectContaining({ kind: 'invalid' })),
)
