/** What things cost: requests are counted at the server's door, and a number that grows is a test that fails. */
import { describe, expect, test } from 'vitest'
import type { Connector } from '../../src-service/drive/connectors/connector.ts'
import { any, at, listAll, put, readAll, signal } from './candidate.ts'
import { withMinio } from './s3-bench.ts'

withMinio((s3) => {
  /** `METHOD operation` of each request that `run` caused, in order. */
  const requestsOf = async (run: () => Promise<unknown>): Promise<string[]> => {
    s3.bench.proxy.seen.length = 0
    await run()
    return s3.bench.proxy.seen.map(({ method, url }) => [method, operationOf(url)].filter((word) => word !== '').join(' '))
  }
  const each = (count: number, run: (index: number) => Promise<unknown>) =>
    Promise.all(Array.from({ length: count }, (_, index) => run(index)))
  /** In the shape of a folder with 50 times 200 files, 40 requests at a time. */
  const fill = async (connector: Connector, folder: string, count: number) => {
    for (let start = 0; start < count; start += 40) {
      await each(Math.min(40, count - start), (index) => put(connector, at(folder, `file-${start + index}`), '', any))
    }
  }

  describe('requests', () => {
    test('opening and reading a small file: one, when a listing has told of it', async () => {
      await put(s3.connector, at('counted', 'small'), 'contents')
      const [entry] = await listAll(s3.connector, at('counted'))
      expect(entry?.name.toString()).toBe('small')
      const read = await requestsOf(() => readAll(s3.connector, at('counted', 'small'), 0, 8, entry?.rev ?? ''))
      expect(read).toEqual(['GET'])
    })

    test('a file that is only asked for: one', async () => {
      await put(s3.connector, at('asked-for'), 'x')
      expect(await requestsOf(() => s3.connector.stat(at('asked-for'), 'file', signal))).toEqual(['HEAD'])
      expect(await requestsOf(() => s3.connector.stat(at('not-there'), 'file', signal))).toEqual(['HEAD'])
    })

    test('creating a small file: one', async () => {
      expect(await requestsOf(() => put(s3.connector, at('created'), 'contents'))).toEqual(['PUT'])
    })

    test('making a folder: its name is looked up, then one', async () => {
      expect(await requestsOf(() => s3.connector.makeFolder(at('made'), {}, signal))).toEqual(['HEAD', 'HEAD', 'GET list-type', 'PUT'])
    })

    test('a listing of 10,000 (1,200 here, 10,000 in the proof): one for each 1,000', async () => {
      const count = process.env['CLOUDMOOR_PROOF'] === '1' ? 10_000 : 1200
      await fill(s3.connector, 'many', count)
      let entries = 0
      const listed = await requestsOf(async () => {
        entries = (await listAll(s3.connector, at('many'))).length
      })
      expect(entries).toBe(count)
      expect(listed).toEqual(Array.from({ length: Math.ceil(count / 1000) }, () => 'GET list-type'))
    })

    test('renaming a folder of 100 files: three for each (source, target, copy), and the removals together', async () => {
      await fill(s3.connector, 'renamed', 100)
      const entries = await listAll(s3.connector, at('renamed'))
      const copies = await requestsOf(() =>
        each(entries.length, async (index) => {
          const { name, rev } = entries[index] ?? { name: '', rev: '' }
          await s3.connector.copy?.(at('renamed', name), at('renamed-to', name), rev, {}, { kind: 'absent' }, signal)
        }),
      )
      expect(tally(copies)).toEqual({ HEAD: 200, PUT: 100 })
      const removals = await requestsOf(() =>
        each(entries.length, (index) => s3.connector.remove(at('renamed', entries[index]?.name ?? ''), 'file', any, signal)),
      )
      expect(removals.length).toBeLessThanOrEqual(5)
      expect(new Set(removals)).toEqual(new Set(['POST delete']))
      expect((await listAll(s3.connector, at('renamed-to'))).length).toBe(100)
    })

    test('measuring a server: at most 25, once', async () => {
      let kept: string | undefined
      const facts = { get: () => kept, set: (value: string) => void (kept = value) }
      const first = s3.bench.open({}, '', facts)
      const measured = await requestsOf(() => put(first, at('measured'), 'x'))
      expect(measured.length).toBeGreaterThan(15)
      expect(measured.length).toBeLessThanOrEqual(25)
      expect(await requestsOf(() => put(first, at('measured-2'), 'x'))).toEqual(['PUT'])
      expect(first.sheet?.length).toBe(12)
      const later = s3.bench.open({}, '', facts)
      expect(later.sheet).toEqual(first.sheet)
      expect(await requestsOf(() => put(later, at('measured-3'), 'x'))).toEqual(['PUT'])
    })
  })
})

/** The query that says what is meant, without its value. */
function operationOf(url: string): string {
  const query = new URL(url, 'http://host').searchParams
  return ['list-type', 'delete', 'uploads', 'partNumber', 'uploadId', 'versioning'].find((name) => query.has(name)) ?? ''
}

function tally(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {}
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1
  return counts
}
