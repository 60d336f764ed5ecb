import { constants } from 'node:os'
import { expect, test } from 'vitest'
import { CloudError, isUnknown } from '../../common/errors.ts'
import type { ErrorKind } from '../../common/errors.ts'
import { errno, errnoOf, errnoTable } from './errno.ts'

const kinds = Object.keys(errnoTable) as ErrorKind[]

test('numbers are those of this system', () => {
  const system: Readonly<Record<string, number | undefined>> = constants.errno
  for (const [name, number] of Object.entries(errno)) if (system[name] !== undefined) expect([name, number]).toEqual([name, system[name]])
})

test('only what is surely absent is ENOENT', () => {
  expect(kinds.filter((kind) => errnoTable[kind] === errno.ENOENT)).toEqual(['not-found'])
  expect(kinds.filter(isUnknown).every((kind) => errnoTable[kind] !== errno.ENOENT)).toBe(true)
})

test('no kind becomes an errno that the kernel or a program takes for something else', () => {
  const [EINTR, EAGAIN] = [4, 11]
  for (const kind of kinds) expect([EINTR, EAGAIN, errno.ENOSYS, 0]).not.toContain(errnoTable[kind])
})

test('anything thrown has a number', () => {
  expect(errnoOf(new CloudError('not-empty', 'x'))).toBe(39)
  expect(errnoOf(new Error('bug'))).toBe(errno.EIO)
  expect(errnoOf('text')).toBe(errno.EIO)
  expect(errnoOf(new CloudError('unsupported', 'x'))).toBe(errno.EOPNOTSUPP)
  expect(errnoOf(new CloudError('unsupported', 'x'), errno.ENOSYS)).toBe(errno.ENOSYS)
})
