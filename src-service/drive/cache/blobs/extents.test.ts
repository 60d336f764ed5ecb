import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BlockMap } from './block-map.ts'
import { Extents } from './extents.ts'

const small = fc.nat(60)
const change = fc.record({ add: fc.boolean(), start: small, length: fc.nat(20) })

test('extents agree with a set of bytes', () => {
  fc.assert(
    fc.property(fc.array(change, { maxLength: 30 }), small, small, (changes, a, b) => {
      const extents = new Extents()
      const bytes = new Set<number>()
      for (const { add, start, length } of changes) {
        if (add) extents.add(start, start + length)
        else extents.remove(start, start + length)
        for (let at = start; at < start + length; at += 1) {
          if (add) bytes.add(at)
          else bytes.delete(at)
        }
      }
      const again = Extents.decode(extents.encode())
      expect([...again]).toEqual([...extents])
      let last = -1
      for (const [start, end] of extents) {
        expect(start).toBeGreaterThan(last)
        expect(end).toBeGreaterThan(start)
        last = end
      }
      const [from, to] = [Math.min(a, b), Math.max(a, b)]
      const inside = Array.from({ length: to - from }, (_, index) => bytes.has(from + index))
      expect(extents.covers(from, to)).toBe(inside.every(Boolean))
      expect(extents.overlaps(from, to)).toBe(inside.some(Boolean))
      const missing = new Set(
        extents.gaps(from, to).flatMap(([start, end]) => Array.from({ length: end - start }, (_, index) => start + index)),
      )
      inside.forEach((has, index) => expect(missing.has(from + index)).toBe(!has))
    }),
  )
})

test('extents keep places beyond 4 GiB', () => {
  const extents = new Extents()
  extents.add(2 ** 40 + 3, 2 ** 41)
  expect([...Extents.decode(extents.encode())]).toEqual([[2 ** 40 + 3, 2 ** 41]])
})

test('a block map agrees with a set of numbers', () => {
  const step = fc.record({ kind: fc.constantFrom('add', 'delete', 'range', 'truncate', 'keep'), a: small, b: small })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 30 }), small, small, (steps, from, to) => {
      let map = new BlockMap()
      let set = new Set<number>()
      for (const { kind, a, b } of steps) {
        if (kind === 'add') expect(map.add(a)).toBe(!set.has(a))
        if (kind === 'add') set.add(a)
        if (kind === 'delete') expect(map.delete(a)).toBe(set.delete(a))
        if (kind === 'range') {
          map.addRange(a, b)
          for (let at = a; at < b; at += 1) set.add(at)
        }
        if (kind === 'truncate') {
          map.truncate(a)
          set = new Set([...set].filter((at) => at < a))
        }
        if (kind === 'keep') {
          const other = BlockMap.full(b)
          other.delete(a)
          map.keepOnly(other)
          set = new Set([...set].filter((at) => at < b && at !== a))
        }
        map = BlockMap.decode(map.clone().encode(), Infinity)
      }
      expect(map.count).toBe(set.size)
      for (let at = 0; at < 100; at += 1) expect(map.has(at)).toBe(set.has(at))
      let missing = -1
      for (let at = to - 1; at >= from; at -= 1) if (!set.has(at)) missing = at
      expect(map.firstMissing(from, to)).toBe(missing)
    }),
  )
})
