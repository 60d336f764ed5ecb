import { describe, expect, test } from 'vitest'
import type { Attributes } from '../vfs/filesystem.ts'
import { DirectoryWriter } from './directory-writer.ts'
import { ReplyWriter, lifetimeOf } from './replies.ts'

const attributes: Attributes = {
  id: 2 ** 40 + 5,
  ino: 2 ** 40 + 1,
  mode: 0o100640,
  nlink: 2,
  uid: 7,
  gid: 8,
  rdev: 9,
  size: 2 ** 45 + 3,
  blocks: 17,
  atimeSec: -2,
  atimeNsec: 3,
  mtimeSec: 5_000_000_000,
  mtimeNsec: 4,
  ctimeSec: 6,
  ctimeNsec: 5,
}

const writer = (): ReplyWriter => new ReplyWriter(4096, lifetimeOf(1500))

describe('attributes', () => {
  test('lie where struct fuse_attr has them', () => {
    const reply = writer()
    expect(reply.attributes(attributes)).toBe(104)
    const b = reply.bytes
    expect(b.readBigUInt64LE(0)).toBe(1n)
    expect(b.readUInt32LE(8)).toBe(500_000_000)
    expect(b.readBigUInt64LE(16)).toBe(2n ** 40n + 1n)
    expect(b.readBigUInt64LE(24)).toBe(2n ** 45n + 3n)
    expect(b.readBigUInt64LE(32)).toBe(17n)
    expect([b.readBigInt64LE(40), b.readBigInt64LE(48), b.readBigInt64LE(56)]).toEqual([-2n, 5_000_000_000n, 6n])
    expect([64, 68, 72, 76, 80, 84, 88, 92, 96, 100].map((at) => b.readUInt32LE(at))).toEqual([3, 4, 5, 0o100640, 2, 7, 8, 9, 65536, 0])
  })
})

describe('entries', () => {
  test('carry node and lifetimes', () => {
    const reply = writer()
    expect(reply.entry(attributes)).toBe(128)
    const b = reply.bytes
    expect([0, 8, 16, 24].map((at) => b.readBigUInt64LE(at))).toEqual([2n ** 40n + 5n, 0n, 1n, 1n])
    expect([b.readUInt32LE(32), b.readUInt32LE(36)]).toEqual([500_000_000, 500_000_000])
    expect(b.readUInt32LE(40 + 60)).toBe(0o100640)
  })

  test('an absent name is node 0 with a lifetime', () => {
    const reply = writer()
    reply.entry(attributes)
    expect(reply.entry(null)).toBe(128)
    expect(reply.bytes.readBigUInt64LE(0)).toBe(0n)
    expect(reply.bytes.readBigUInt64LE(16)).toBe(1n)
    expect(reply.bytes.subarray(40, 128)).toEqual(Buffer.alloc(88))
  })
})

describe('opens', () => {
  const flagsOf = (fh: number, keepCache: boolean, backingId: number, passthrough: boolean): number[] => {
    const reply = writer()
    reply.passthrough = passthrough
    expect(reply.opened({ fh, keepCache, backingId, noFlush: (fh & 1) === 0 })).toBe(16)
    return [reply.bytes.readUInt32LE(8), reply.bytes.readInt32LE(12)]
  }

  test('a handle is flushed unless it has nothing to say', () => {
    expect(flagsOf(2, true, 0, false)).toEqual([0x22, 0])
    expect(flagsOf(3, true, 0, false)).toEqual([0x02, 0])
    expect(flagsOf(3, false, 0, false)).toEqual([0, 0])
  })

  test('passthrough only where it was negotiated, and never beside KEEP_CACHE', () => {
    expect(flagsOf(2, true, 5, true)).toEqual([0xa0, 5])
    expect(flagsOf(2, true, 5, false)).toEqual([0x22, 0])
  })

  test('CREATE has entry and handle', () => {
    const reply = writer()
    expect(reply.created({ attributes, opened: { fh: 11, keepCache: true, backingId: 0, noFlush: false } })).toBe(144)
    expect(reply.bytes.readBigUInt64LE(128)).toBe(11n)
  })
})

test('STATFS counts in blocks', () => {
  const reply = writer()
  expect(reply.statistics({ total: 40_960, free: 8192, files: 3, freeFiles: 4 })).toBe(80)
  expect([0, 8, 16, 24, 32].map((at) => reply.bytes.readBigUInt64LE(at))).toEqual([10n, 2n, 2n, 3n, 4n])
  expect([40, 44, 48].map((at) => reply.bytes.readUInt32LE(at))).toEqual([4096, 255, 4096])
})

test('attribute values: size, bytes, or too small', () => {
  const reply = writer()
  expect(reply.attributeValue(Buffer.from('hello'), 0)).toBe(8)
  expect(reply.bytes.readUInt32LE(0)).toBe(5)
  expect(reply.attributeValue(Buffer.from('hello'), 5)).toBe(5)
  expect(reply.bytes.toString('latin1', 0, 5)).toBe('hello')
  expect(() => reply.attributeValue(Buffer.from('hello'), 4)).toThrow(expect.objectContaining({ kind: 'range' }))
})

test('a target as long as a page is refused', () => {
  expect(writer().target(Buffer.alloc(4095, 'x'))).toBe(4095)
  expect(() => writer().target(Buffer.alloc(4096, 'x'))).toThrow(expect.objectContaining({ kind: 'name-too-long' }))
})

describe('folders', () => {
  test('READDIR records are padded and end where the room ends', () => {
    const listing = new DirectoryWriter(Buffer.alloc(256, 0xee), 80, false, lifetimeOf(0), { open: true })
    expect(listing.emit(Buffer.from('abc'), 7, attributes)).toBe(true)
    expect(listing.emit(Buffer.from('abcdefghi'), 2 ** 33 + 1, attributes)).toBe(true)
    expect(listing.emit(Buffer.from('x'), 9, attributes)).toBe(false)
    expect(listing.length).toBe(32 + 40)
    const b = listing.buffer
    expect([b.readBigUInt64LE(0), b.readBigUInt64LE(8)]).toEqual([2n ** 40n + 1n, 7n])
    expect([b.readUInt32LE(16), b.readUInt32LE(20)]).toEqual([3, 8])
    expect(b.subarray(24, 32)).toEqual(Buffer.from('abc\0\0\0\0\0'))
    expect(b.readBigUInt64LE(32 + 8)).toBe(2n ** 33n + 1n)
  })

  test('READDIRPLUS brings nodes, but none for the dots', () => {
    const listing = new DirectoryWriter(Buffer.alloc(1024, 0xee), 1024, true, lifetimeOf(1000), { open: true })
    for (const [i, name] of ['.', '..', '...'].entries()) listing.emit(Buffer.from(name), i + 1, attributes)
    expect(listing.length).toBe(3 * 160)
    expect([0, 160, 320].map((at) => listing.buffer.readBigUInt64LE(at))).toEqual([0n, 0n, 2n ** 40n + 5n])
  })

  test('nothing is taken once the request is closed', () => {
    const request = { open: true }
    const listing = new DirectoryWriter(Buffer.alloc(256), 256, false, lifetimeOf(0), request)
    request.open = false
    expect(listing.emit(Buffer.from('late'), 1, attributes)).toBe(false)
  })
})
