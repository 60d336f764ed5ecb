import { writeSync } from 'node:fs'
import { describe, expect, test } from 'vitest'
import { loadNative } from '../../common/native/load-native.ts'
import { header } from '../../common/native/native.ts'
import { bookDeath, DeathRate, holdsRequests } from './death-record.ts'

function page(fields: { dispatching?: bigint; answered?: bigint } = {}): Buffer {
  const buffer = Buffer.alloc(4096)
  buffer.writeBigUInt64LE(fields.dispatching ?? 0n, header.dispatching)
  buffer.writeBigUInt64LE(fields.answered ?? 0n, header.answered)
  return buffer
}

describe('booking a death', () => {
  test('counts deaths that name the same request', () => {
    const memory = page({ dispatching: 7n })
    expect(bookDeath(memory, true)).toMatchObject({ named: 7n, namedTimes: 1 })
    expect(memory.readBigUInt64LE(header.dispatching)).toBe(0n)
    memory.writeBigUInt64LE(7n, header.dispatching)
    expect(bookDeath(memory, true)).toMatchObject({ named: 7n, namedTimes: 2 })
    expect(memory.readBigUInt64LE(header.blamedUnique)).toBe(7n)
    memory.writeBigUInt64LE(8n, header.dispatching)
    expect(bookDeath(memory, true)).toMatchObject({ named: 8n, namedTimes: 1 })
  })

  test('a death that names nobody blames nobody', () => {
    const memory = page()
    expect(bookDeath(memory, true)).toEqual({ fruitless: 1, named: 0n, namedTimes: 0 })
    expect(memory.readUInt32LE(header.blamedDeaths)).toBe(0)
  })

  test('deaths are fruitless while nothing is answered in between', () => {
    const memory = page({ answered: 5n })
    expect([1, 2, 3].map(() => bookDeath(memory, true).fruitless)).toEqual([1, 2, 3])
    memory.writeBigUInt64LE(6n, header.answered)
    expect(bookDeath(memory, true).fruitless).toBe(1)
  })

  test('the death of an idle worker proves nothing', () => {
    const memory = page({ answered: 5n })
    expect([1, 2, 3].map(() => bookDeath(memory, false).fruitless)).toEqual([0, 0, 0])
  })
})

test('requests left in a slot or a slab are seen', () => {
  const native = loadNative()
  for (const place of ['none', 'slot', 'slab'] as const) {
    const fd = native.createRequestMemory({ slabCount: 2, slabSize: 8192, slotCount: 4, slotSize: 4096 })
    const memory = native.mapHeader(fd)
    const unique = Buffer.alloc(8)
    unique.writeBigUInt64LE(99n)
    if (place === 'slot') writeSync(fd, unique, 0, 8, memory.readUInt32LE(header.slotsOffset) + 3 * 4096 + 8)
    if (place === 'slab') writeSync(fd, unique, 0, 8, memory.readUInt32LE(header.slabsOffset) + 8192 + 8)
    expect(holdsRequests(fd, memory)).toBe(place !== 'none')
    native.closeFd(fd)
  }
})

test('the rate forgets what is older than a minute', () => {
  const rate = new DeathRate()
  expect([0, 10_000, 20_000].map((now) => rate.record(now))).toEqual([1, 2, 3])
  expect(rate.record(65_000)).toBe(3)
})
