import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { absent, any, at, contentsAt, drain, listAll, put, readAll, refusal, signal, sourceOf, statOf, writeOptions } from './candidate.ts'
import type { Ground } from './connector-conformance.ts'

/** Bytes go out as they came in, in any range, of the version that was asked for. */
export function contentsTests({ bench, sheet }: Ground): void {
  describe('contents', () => {
    test('check passes on a place that is there', async () => {
      await bench().connector.check(signal)
    })

    test.each([0, 1, 65_537, 2 ** 20 + 3])('%i bytes come back as they were', async (size) => {
      const { connector, other } = bench()
      const place = at(`size-${size}`)
      const contents = randomBytes(size)
      const written = await put(connector, place, contents)
      expect(written).toMatchObject({ type: 'file', size, name: Buffer.from(`size-${size}`) })
      const found = await statOf(other, place)
      expect(found).toMatchObject({ type: 'file', size, rev: written.rev })
      expect((await readAll(other, place, 0, size, written.rev)).equals(contents)).toBe(true)
    })

    test('any range of a file can be read', async () => {
      const { connector } = bench()
      const contents = randomBytes(300_000)
      const { rev } = await put(connector, at('ranges'), contents)
      const ranges = [
        [0, 1],
        [299_999, 300_000],
        [1000, 1000],
        [12_345, 123_456],
        [65_536, 300_000],
      ] as const
      for (const [start, end] of ranges) {
        const read = await readAll(connector, at('ranges'), start, end, rev)
        expect(read.equals(contents.subarray(start, end)), `${start}-${end}`).toBe(true)
      }
    })

    test('a reader that stops early leaves the connector usable', async () => {
      const { connector } = bench()
      const contents = randomBytes(2 ** 20)
      const { rev } = await put(connector, at('early'), contents)
      for (let round = 0; round < 20; round++) {
        for await (const chunk of connector.read(at('early'), 0, contents.length, rev, signal)) {
          expect(chunk.byteLength).toBeGreaterThan(0)
          break
        }
      }
      expect((await readAll(connector, at('early'), 0, 10, rev)).equals(contents.subarray(0, 10))).toBe(true)
    })

    test('another version than the one asked for is a conflict, before the first byte', async () => {
      const { connector, other } = bench()
      const { rev } = await put(connector, at('versions'), 'first')
      await put(other, at('versions'), 'other', { kind: 'rev', rev })
      let bytes = 0
      const reading = async () => {
        for await (const chunk of connector.read(at('versions'), 0, 5, rev, signal)) bytes += chunk.byteLength
      }
      expect(await refusal(reading())).toBe('conflict')
      expect(bytes).toBe(0)
    })

    test('reading what is absent is refused', async () => {
      expect(['not-found', 'conflict']).toContain(await refusal(readAll(bench().connector, at('nothing'), 0, 1, 'no rev')))
    })

    test('a listing and a stat say the same', async () => {
      const { connector } = bench()
      await put(connector, at('said-twice'), 'contents')
      const listed = (await listAll(connector, at())).find((entry) => entry.name.toString() === 'said-twice')
      const { type, size, rev } = await statOf(connector, at('said-twice'))
      expect(listed).toMatchObject({ type, size, rev })
    })

    test('the rev changes with the contents', async () => {
      const { connector } = bench()
      const first = await put(connector, at('revs'), 'aaaa')
      const second = await put(connector, at('revs'), 'bbbb', { kind: 'rev', rev: first.rev })
      expect(second.rev).not.toBe(first.rev)
      expect(await contentsAt(connector, at('revs'))).toBe('bbbb')
    })

    test('an aborted call is cancelled', async () => {
      const { connector } = bench()
      const { rev } = await put(connector, at('aborted'), 'contents')
      const gone = AbortSignal.abort()
      expect(await refusal(connector.stat(at('aborted'), 'any', gone))).toBe('cancelled')
      expect(await refusal(connector.write(at('never'), 'file', sourceOf('x'), writeOptions(absent), gone))).toBe('cancelled')
      const reading = async () => {
        await drain(connector.read(at('aborted'), 0, 8, rev, gone))
      }
      const listing = async () => {
        await drain(connector.list(at(), gone))
      }
      expect(await refusal(reading())).toBe('cancelled')
      expect(await refusal(listing())).toBe('cancelled')
      expect(await connector.stat(at('never'), 'any', signal)).toBeNull()
    })

    test('usage says numbers or nothing', async () => {
      const { total, used, free } = await bench().connector.usage(signal)
      for (const number of [total, used, free]) expect(number === null || number >= 0).toBe(true)
    })

    test('what it measures is the pinned sheet, and nothing is left behind', async () => {
      const { connector } = bench()
      const before = (await listAll(connector, at())).length
      const checks = (await connector.measure?.(true, signal)) ?? []
      expect(Object.fromEntries(checks.map((check) => [check.name, check.result]))).toEqual(sheet)
      expect((await listAll(connector, at())).length).toBe(before)
    })

    test('removing is done once, and done twice is no error', async () => {
      const { connector } = bench()
      await put(connector, at('removed'), 'x')
      await connector.remove(at('removed'), 'file', any, signal)
      await connector.remove(at('removed'), 'file', any, signal)
      expect(await connector.stat(at('removed'), 'any', signal)).toBeNull()
    })
  })
}
