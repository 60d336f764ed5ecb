import { expect, test } from 'vitest'
import { nearestName } from './nearest-name.ts'

const names = ['fsync', 'attributes', 'freshness', 'xattrs', 'pathStyle']

test.each([
  ['fsinc', 'fsync'],
  ['atributes', 'attributes'],
  ['PathStile', 'pathStyle'],
  ['xattr', 'xattrs'],
])('%s is meant to be %s', (given, meant) => expect(nearestName(given, names)).toBe(meant))

test.each(['', 'speed', 'x'])('%j is nothing like them', (given) => expect(nearestName(given, names)).toBeUndefined())
