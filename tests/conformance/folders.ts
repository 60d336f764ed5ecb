import { describe, expect, test } from 'vitest'
import { any, at, listAll, namesIn, put, refusal, signal, statOf } from './candidate.ts'
import type { Ground } from './connector-conformance.ts'

/** Folders are there when empty, list all that is in them, and are removed only when empty. */
export function folderTests({ bench, testOf }: Ground): void {
  describe('folders', () => {
    test('the root is a folder', async () => {
      expect(await statOf(bench().connector, at())).toMatchObject({ type: 'folder' })
    })

    test('an empty folder is there, for others too', async () => {
      const { connector, other } = bench()
      expect(await connector.makeFolder(at('empty'), {}, signal)).toMatchObject({ type: 'folder', name: Buffer.from('empty'), size: 0 })
      expect(await statOf(other, at('empty'))).toMatchObject({ type: 'folder' })
      expect(await listAll(other, at('empty'))).toEqual([])
      expect((await namesIn(other, at())).includes('empty')).toBe(true)
    })

    test('a name that is taken is refused', async () => {
      const { connector } = bench()
      await connector.makeFolder(at('taken'), {}, signal)
      expect(await refusal(connector.makeFolder(at('taken'), {}, signal))).toBe('exists')
      await put(connector, at('taken-file'), 'x')
      expect(await refusal(connector.makeFolder(at('taken-file'), {}, signal))).toBe('exists')
    })

    test('folders nest, and a listing is one level deep', async () => {
      const { connector } = bench()
      await connector.makeFolder(at('outer'), {}, signal)
      await connector.makeFolder(at('outer', 'inner'), {}, signal)
      await put(connector, at('outer', 'inner', 'file'), 'x')
      await put(connector, at('outer', 'file'), 'x')
      expect(await namesIn(connector, at('outer'))).toEqual(['file', 'inner'])
      expect(await namesIn(connector, at('outer', 'inner'))).toEqual(['file'])
    })

    test('what is absent is absent, and said so', async () => {
      const { connector } = bench()
      expect(await connector.stat(at('nowhere'), 'any', signal)).toBeNull()
      expect(await connector.stat(at('nowhere', 'below'), 'any', signal)).toBeNull()
      expect(await refusal(listAll(connector, at('nowhere')))).toBe('not-found')
    })

    test('stat finds only the type that was asked for', async () => {
      const { connector } = bench()
      await connector.makeFolder(at('typed-folder'), {}, signal)
      await put(connector, at('typed-file'), 'x')
      expect(await connector.stat(at('typed-folder'), 'file', signal)).toBeNull()
      expect(await connector.stat(at('typed-file'), 'folder', signal)).toBeNull()
      expect(await connector.stat(at('typed-file'), 'file', signal)).toMatchObject({ type: 'file' })
      expect(await connector.stat(at('typed-folder'), 'folder', signal)).toMatchObject({ type: 'folder' })
    })

    test('only an empty folder is removed', async () => {
      const { connector } = bench()
      await connector.makeFolder(at('full'), {}, signal)
      await put(connector, at('full', 'file'), 'x')
      expect(await refusal(connector.remove(at('full'), 'folder', any, signal))).toBe('not-empty')
      await connector.remove(at('full', 'file'), 'file', any, signal)
      await connector.remove(at('full'), 'folder', any, signal)
      await connector.remove(at('full'), 'folder', any, signal)
      expect(await connector.stat(at('full'), 'any', signal)).toBeNull()
    })

    test('a large folder is listed whole', async () => {
      const { connector } = bench()
      await connector.makeFolder(at('large'), {}, signal)
      const names = Array.from({ length: 1100 }, (_, index) => `file-${String(index).padStart(4, '0')}`)
      for (let start = 0; start < names.length; start += 20) {
        await Promise.all(names.slice(start, start + 20).map((name) => put(connector, at('large', name), '')))
      }
      expect(await namesIn(connector, at('large'))).toEqual(names)
    })

    testOf('real-folders')('nothing can be put into a folder that is absent', async () => {
      const { connector } = bench()
      expect(await refusal(put(connector, at('no-folder', 'file'), 'x'))).toBe('not-found')
      expect(await refusal(connector.makeFolder(at('no-folder', 'folder'), {}, signal))).toBe('not-found')
    })

    testOf('twins')('a file and a folder of one name are both shown', async () => {
      const { connector } = bench()
      await connector.makeFolder(at('twins'), {}, signal)
      await put(connector, at('twins', 'a'), 'file')
      await put(connector, at('twins', 'a', 'b'), 'below')
      const twins = await listAll(connector, at('twins'))
      expect(twins.map((entry) => `${entry.type} ${entry.name.toString()}`).sort()).toEqual(['file a', 'folder a'])
      expect(await connector.stat(at('twins', 'a'), 'file', signal)).toMatchObject({ type: 'file', size: 4 })
      expect(await connector.stat(at('twins', 'a'), 'folder', signal)).toMatchObject({ type: 'folder' })
      expect(await namesIn(connector, at('twins', 'a'))).toEqual(['b'])
    })
  })
}
