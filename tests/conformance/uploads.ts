import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import { CloudError } from '../../src-service/common/errors.ts'
import type { UploadHandle, UploadSource } from '../../src-service/drive/connectors/connector.ts'
import { absent, at, contentsAt, put, readAll, refusal, signal, sourceOf, writeOptions } from './candidate.ts'
import type { Ground } from './connector-conformance.ts'

const mebi = 2 ** 20

/** Uploads appear whole or not at all, and go on where they were. */
export function uploadTests({ bench, has, testOf }: Ground): void {
  describe('uploads', () => {
    test('an overtaken upload leaves the old version', async () => {
      const { connector } = bench()
      const { rev } = await put(connector, at('overtaken'), 'old')
      const overtaken: UploadSource = {
        size: 3 * mebi,
        read: async (start, end) => {
          if (start >= mebi) throw new CloudError('cancelled', 'overtaken')
          return Buffer.alloc(Math.min(end, mebi) - start)
        },
      }
      const writing = connector.write(at('overtaken'), 'file', overtaken, writeOptions({ kind: 'rev', rev }), signal)
      expect(['cancelled', 'internal']).toContain(await refusal(writing))
      expect(await contentsAt(connector, at('overtaken'))).toBe('old')
    })

    test('an aborted upload leaves nothing under its name', async () => {
      const { connector } = bench()
      const abort = new AbortController()
      const slow: UploadSource = {
        size: 12 * mebi,
        read: async (start, end) => {
          if (end > 6 * mebi) abort.abort()
          return Buffer.alloc(end - start)
        },
      }
      expect(await refusal(connector.write(at('cut-short'), 'file', slow, writeOptions(absent), abort.signal))).toBe('cancelled')
      expect(await connector.stat(at('cut-short'), 'any', signal)).toBeNull()
    })

    test('progress grows to the size', async () => {
      const { connector } = bench()
      const contents = randomBytes(2 * mebi)
      const seen: number[] = []
      await connector.write(
        at('progress'),
        'file',
        sourceOf(contents),
        { ...writeOptions(absent), onProgress: (bytes) => seen.push(bytes) },
        signal,
      )
      expect(seen.at(-1)).toBe(contents.length)
      expect([...seen].sort((a, b) => a - b)).toEqual(seen)
    })

    testOf('resumable')('an upload that was killed sends only what is missing', async () => {
      const { connector, other, received } = bench()
      const contents = randomBytes(12 * mebi)
      const abort = new AbortController()
      let handle: UploadHandle | null = null
      let confirmed = 0
      const first = connector.write(
        at('killed'),
        'file',
        sourceOf(contents),
        {
          ...writeOptions(absent),
          saveHandle: async (saved) => {
            handle = saved
          },
          onProgress: (bytes) => {
            confirmed = bytes
            abort.abort()
          },
        },
        abort.signal,
      )
      expect(await refusal(first)).toBe('cancelled')
      expect(handle).not.toBeNull()
      expect(confirmed).toBeGreaterThan(0)
      expect(confirmed).toBeLessThan(contents.length)
      expect(await other.stat(at('killed'), 'any', signal)).toBeNull()

      const before = await settled(received)
      const entry = await other.write(at('killed'), 'file', sourceOf(contents), { ...writeOptions(absent), resume: handle }, signal)
      // Room for what goes beside the contents: requests that list and complete.
      expect(received() - before).toBeLessThan(contents.length - confirmed + 64 * 1024)
      expect((await readAll(connector, at('killed'), 0, contents.length, entry.rev)).equals(contents)).toBe(true)
    })

    testOf('resumable')('other contents are not mixed with the parts of an older try', async () => {
      const { connector, other } = bench()
      if (!has('server-conditions') || connector.type === 'memory') return
      const abort = new AbortController()
      let handle: UploadHandle | null = null
      const first = connector.write(
        at('mixed'),
        'file',
        sourceOf(Buffer.alloc(12 * mebi, 'a')),
        { ...writeOptions(absent), saveHandle: async (saved) => void (handle = saved), onProgress: () => abort.abort() },
        abort.signal,
      )
      expect(await refusal(first)).toBe('cancelled')
      const contents = Buffer.alloc(12 * mebi, 'b')
      const entry = await other.write(at('mixed'), 'file', sourceOf(contents), { ...writeOptions(absent), resume: handle }, signal)
      expect((await readAll(other, at('mixed'), 0, contents.length, entry.rev)).equals(contents)).toBe(true)
    })

    testOf('resumable')('a handle that leads nowhere starts anew', async () => {
      const { connector } = bench()
      for (const [index, resume] of ['nonsense', '{}', '{"uploadId":"x","bucket":"y","key":"z","partSize":5242880}'].entries()) {
        const contents = randomBytes(6 * mebi)
        const place = at(`anew-${index}`)
        const entry = await connector.write(place, 'file', sourceOf(contents), { ...writeOptions(absent), resume }, signal)
        expect((await readAll(connector, place, 0, contents.length, entry.rev)).equals(contents)).toBe(true)
      }
    })

    testOf('resumable')('an abandoned upload is gone, and abandoning it twice is no error', async () => {
      const { connector, received } = bench()
      const abort = new AbortController()
      let handle: UploadHandle = ''
      const options = {
        ...writeOptions(absent),
        saveHandle: async (saved: UploadHandle) => {
          handle = saved
        },
        onProgress: () => abort.abort(),
      }
      const contents = randomBytes(12 * mebi)
      expect(await refusal(connector.write(at('abandoned'), 'file', sourceOf(contents), options, abort.signal))).toBe('cancelled')
      const before = await settled(received)
      await connector.abandon?.(handle, signal)
      await connector.abandon?.(handle, signal)
      await connector.write(at('abandoned'), 'file', sourceOf(contents), { ...writeOptions(absent), resume: handle }, signal)
      expect(received() - before).toBeGreaterThanOrEqual(contents.length)
    })

    testOf('resumable')('a large upload keeps its condition', async () => {
      const { connector, other } = bench()
      await put(connector, at('large-conflict'), 'first')
      const contents = Buffer.alloc(12 * mebi)
      expect(await refusal(put(other, at('large-conflict'), contents, absent))).toBe('conflict')
      expect(await contentsAt(connector, at('large-conflict'))).toBe('first')
    })
  })
}

/** What was on its way when an upload was killed still arrives for a moment. */
async function settled(received: () => number): Promise<number> {
  for (let last = -1; last !== received(); ) {
    last = received()
    await sleep(200)
  }
  return received()
}
