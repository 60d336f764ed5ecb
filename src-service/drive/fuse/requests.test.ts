import { describe, expect, test } from 'vitest'
import { body, requestBytes, text, u32, u64 } from '../../../tests/fuse/frames.ts'
import { RequestReader } from './requests.ts'

function reading(content: Buffer, at = 64): RequestReader {
  const frame = requestBytes({ opcode: 1, unique: 6, node: 3, body: content })
  const memory = Buffer.alloc(at + frame.length + 64, 0x41)
  frame.copy(memory, at)
  const reader = new RequestReader(memory)
  expect(reader.open(at, frame.length)).toBe(true)
  return reader
}

describe('header', () => {
  test('gives what the kernel wrote', () => {
    const reader = reading(u32(1, 2))
    expect({ opcode: reader.opcode, unique: reader.unique, node: reader.node, length: reader.bodyLength }).toEqual({
      opcode: 1,
      unique: 6,
      node: 3,
      length: 8,
    })
    expect(reader.caller()).toEqual({ uid: 1000, gid: 1001, pid: 4242 })
  })

  test('a request shorter than a header is none', () => {
    expect(new RequestReader(Buffer.alloc(100)).open(0, 39)).toBe(false)
  })

  test('a length that contradicts the header leaves nothing to read', () => {
    const frame = requestBytes({ opcode: 1, unique: 6, node: 3, body: u32(7) })
    frame.writeUInt32LE(frame.length + 8, 0)
    const reader = new RequestReader(frame)
    reader.open(0, frame.length)
    expect(reader.bodyLength).toBe(0)
    expect(() => reader.u32(0)).toThrow('too short')
  })

  test('extensions do not count as body', () => {
    const frame = requestBytes({ opcode: 1, unique: 6, node: 3, body: body(text('file'), Buffer.alloc(3), u64(1)) })
    frame.writeUInt16LE(1, 36)
    const reader = new RequestReader(frame)
    reader.open(0, frame.length)
    expect(reader.bodyLength).toBe(8)
  })
})

describe('numbers', () => {
  test('are read up to 2^53 and refused beyond', () => {
    const most = Number.MAX_SAFE_INTEGER
    expect(reading(u64(most)).u64(0)).toBe(most)
    expect(() => reading(u64(2n ** 53n)).u64(0)).toThrow(expect.objectContaining({ kind: 'invalid' }))
    expect(() => reading(u64(2n ** 53n)).position(0)).toThrow(expect.objectContaining({ kind: 'too-large' }))
    expect(() => reading(u64(2n ** 63n)).handle(0)).toThrow(expect.objectContaining({ kind: 'bad-handle' }))
  })

  test('times may lie before 1970', () => {
    expect(reading(u64(-1n)).seconds(0)).toBe(-1)
    expect(reading(u64(-5_000_000_000n)).seconds(0)).toBe(-5_000_000_000)
    expect(() => reading(u64(2n ** 62n)).seconds(0)).toThrow('out of range')
  })

  test('never read past the request', () => {
    expect(() => reading(u32(1)).u32(4)).toThrow('too short')
    expect(() => reading(u32(1)).u64(0)).toThrow('too short')
    expect(() => reading(u32(1)).bytes(0, 5)).toThrow('too short')
    expect(() => reading(u32(1)).dataPlace(2, 3)).toThrow('too short')
  })
})

describe('names', () => {
  test('are copies of the bytes', () => {
    const reader = reading(Buffer.from([0xff, 0xc3, 0x28, 0]))
    const name = reader.name(0)
    reader.memory.fill(0x42)
    expect(name).toEqual(Buffer.from([0xff, 0xc3, 0x28]))
  })

  test.each([
    ['empty', text('')],
    ['without end', Buffer.from('file')],
    ['with a slash', text('a/b')],
    ['with a NUL inside', text('a\0b')],
    ['a dot', text('.')],
    ['two dots', text('..')],
    ['missing', Buffer.alloc(0)],
  ])('%s is refused', (_what, content) => {
    expect(() => reading(content).name(0)).toThrow(expect.objectContaining({ kind: 'invalid' }))
  })

  test('have at most 255 bytes', () => {
    expect(reading(text('x'.repeat(255))).name(0)).toHaveLength(255)
    expect(() => reading(text('x'.repeat(256))).name(0)).toThrow(expect.objectContaining({ kind: 'name-too-long' }))
  })

  test('two in a row', () => {
    expect(reading(body(u64(9), text('from'), text('...'))).names(8)).toEqual([Buffer.from('from'), Buffer.from('...')])
    for (const bad of [body(text('from')), body(text('a'), text('')), body(text('a'), text('b'), text('c')), body(text(''), text('b'))]) {
      expect(() => reading(bad).names(0)).toThrow(expect.objectContaining({ kind: 'invalid' }))
    }
  })

  test('a target may have slashes', () => {
    expect(reading(body(text('link'), text('../a/b'))).nameAndTarget(0)).toEqual([Buffer.from('link'), Buffer.from('../a/b')])
    expect(() => reading(body(text('link'), text(''))).nameAndTarget(0)).toThrow('empty target')
    expect(() => reading(text('link')).nameAndTarget(0)).toThrow('empty target')
  })

  test('an attribute name ends at its NUL and within the request', () => {
    expect(reading(body(text('user.a/b'), Buffer.from('value'))).attributeName(0)).toEqual({ name: Buffer.from('user.a/b'), next: 9 })
    expect(() => reading(Buffer.from('user.x')).attributeName(0)).toThrow('attribute name')
    expect(() => reading(text('')).attributeName(0)).toThrow('attribute name')
  })
})

describe('SETATTR', () => {
  const setattr = (valid: number): RequestReader => {
    const content = Buffer.alloc(88)
    content.writeUInt32LE(valid, 0)
    content.writeBigUInt64LE(12345n, 16)
    content.writeBigInt64LE(-7n, 32)
    content.writeBigUInt64LE(8n, 40)
    content.writeUInt32LE(999_999_999, 56)
    content.writeUInt32LE(1, 60)
    content.writeUInt32LE(0o100644, 68)
    content.writeUInt32LE(11, 76)
    content.writeUInt32LE(12, 80)
    return reading(content)
  }

  test('gives the fields that are to change', () => {
    expect(setattr(0).attributeChange()).toEqual({ killPrivileges: false })
    expect(setattr(0b100000111111).attributeChange()).toEqual({
      mode: 0o644,
      uid: 11,
      gid: 12,
      size: 12345,
      atime: { sec: -7, nsec: 999_999_999 },
      mtime: { sec: 8, nsec: 1 },
      killPrivileges: true,
    })
    expect(setattr(0b110110000).attributeChange()).toEqual({ atime: 'now', mtime: 'now', killPrivileges: false })
  })
})
