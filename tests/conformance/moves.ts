import { describe, expect } from 'vitest'
import { absent, any, at, contentsAt, listAll, namesIn, put, refusal, signal, statOf } from './candidate.ts'
import type { Connector } from '../../src-service/drive/connectors/connector.ts'
import type { Ground } from './connector-conformance.ts'

/** Moves and copies by the server. */
export function moveTests({ bench, has, testOf }: Ground): void {
  describe('moves', () => {
    const moving = testOf('move')
    const unlessTree = has('tree-move') ? () => undefined : moving
    moving('a file has its new name, and not its old one', async () => {
      const { connector, other } = bench()
      const { rev } = await put(connector, at('old-name'), 'contents')
      const moved = await moverOf(connector)(at('old-name'), at('new-name'), 'file', { kind: 'rev', rev }, null, signal)
      expect(moved).toMatchObject({ type: 'file', size: 8, name: Buffer.from('new-name') })
      expect(moved.rev).toBe((await statOf(other, at('new-name'))).rev)
      expect(await contentsAt(other, at('new-name'))).toBe('contents')
      expect(await other.stat(at('old-name'), 'any', signal)).toBeNull()
    })

    moving('into another folder', async () => {
      const { connector } = bench()
      await connector.makeFolder(at('from-folder'), {}, signal)
      await connector.makeFolder(at('to-folder'), {}, signal)
      await put(connector, at('from-folder', 'file'), 'contents')
      await moverOf(connector)(at('from-folder', 'file'), at('to-folder', 'caf\u00e9 +%'), 'file', any, null, signal)
      expect(await listAll(connector, at('from-folder'))).toEqual([])
      expect(await contentsAt(connector, at('to-folder', 'caf\u00e9 +%'))).toBe('contents')
    })

    moving('a name that is taken is not replaced unasked', async () => {
      const { connector } = bench()
      await put(connector, at('mover'), 'mover')
      await put(connector, at('sitter'), 'sitter')
      expect(await refusal(moverOf(connector)(at('mover'), at('sitter'), 'file', any, null, signal))).toBe('exists')
      expect(await contentsAt(connector, at('sitter'))).toBe('sitter')
      expect(await contentsAt(connector, at('mover'))).toBe('mover')
    })

    moving('a name that is taken is replaced at the version that was meant', async () => {
      const { connector, other } = bench()
      await put(connector, at('mover-2'), 'mover')
      const first = await put(connector, at('sitter-2'), 'first')
      const second = await put(other, at('sitter-2'), 'second', { kind: 'rev', rev: first.rev })
      const stale = moverOf(connector)(at('mover-2'), at('sitter-2'), 'file', any, { kind: 'rev', rev: first.rev }, signal)
      expect(await refusal(stale)).toBe('conflict')
      await moverOf(connector)(at('mover-2'), at('sitter-2'), 'file', any, { kind: 'rev', rev: second.rev }, signal)
      expect(await contentsAt(other, at('sitter-2'))).toBe('mover')
      expect(await other.stat(at('mover-2'), 'any', signal)).toBeNull()
    })

    moving('a version that is no longer there is not moved', async () => {
      const { connector, other } = bench()
      const { rev } = await put(connector, at('changed'), 'first')
      await put(other, at('changed'), 'second', { kind: 'rev', rev })
      expect(await refusal(moverOf(connector)(at('changed'), at('moved'), 'file', { kind: 'rev', rev }, null, signal))).toBe('conflict')
      expect(await connector.stat(at('moved'), 'any', signal)).toBeNull()
    })

    moving('what is absent is not moved', async () => {
      const { connector } = bench()
      expect(await refusal(moverOf(connector)(at('missing'), at('moved-2'), 'file', any, null, signal))).toBe('not-found')
    })

    testOf('tree-move')('a folder goes with all that is in it', async () => {
      const { connector } = bench()
      await connector.makeFolder(at('tree'), {}, signal)
      await connector.makeFolder(at('tree', 'branch'), {}, signal)
      await put(connector, at('tree', 'branch', 'leaf'), 'leaf')
      await moverOf(connector)(at('tree'), at('tree-2'), 'folder', any, null, signal)
      expect(await contentsAt(connector, at('tree-2', 'branch', 'leaf'))).toBe('leaf')
      expect(await connector.stat(at('tree'), 'any', signal)).toBeNull()
      await connector.makeFolder(at('tree-3'), {}, signal)
      expect(await refusal(moverOf(connector)(at('tree-2'), at('tree-3'), 'folder', any, null, signal))).toBe('exists')
    })

    unlessTree('a folder is not moved in one step', async () => {
      const { connector } = bench()
      await connector.makeFolder(at('no-tree'), {}, signal)
      expect(await refusal(moverOf(connector)(at('no-tree'), at('no-tree-2'), 'folder', any, null, signal))).toBe('unsupported')
    })
  })

  describe('copies', () => {
    const copying = testOf('copy')

    copying('a copy has the contents, and its own life', async () => {
      const { connector } = bench()
      const source = await put(connector, at('copied'), 'contents')
      const copy = await copierOf(connector)(at('copied'), at('copy'), source.rev, {}, absent, signal)
      expect(copy).toMatchObject({ type: 'file', size: 8, name: Buffer.from('copy') })
      expect(copy.rev).toBe((await statOf(connector, at('copy'))).rev)
      await put(connector, at('copied'), 'changed', { kind: 'rev', rev: source.rev })
      expect(await contentsAt(connector, at('copy'))).toBe('contents')
    })

    copying('a copy replaces nothing unasked, and comes from the version that was meant', async () => {
      const { connector } = bench()
      const source = await put(connector, at('copied-2'), 'first')
      await put(connector, at('copy-2'), 'sitter')
      expect(await refusal(copierOf(connector)(at('copied-2'), at('copy-2'), source.rev, {}, absent, signal))).toBe('conflict')
      await put(connector, at('copied-2'), 'second', { kind: 'rev', rev: source.rev })
      expect(await refusal(copierOf(connector)(at('copied-2'), at('copy-3'), source.rev, {}, absent, signal))).toBe('conflict')
      expect(await namesIn(connector, at())).not.toContain('copy-3')
      expect(await contentsAt(connector, at('copy-2'))).toBe('sitter')
    })
  })
}

function moverOf(connector: Connector): NonNullable<Connector['move']> {
  if (!connector.move) throw new Error('the connector does not move')
  return connector.move.bind(connector)
}

function copierOf(connector: Connector): NonNullable<Connector['copy']> {
  if (!connector.copy) throw new Error('the connector does not copy')
  return connector.copy.bind(connector)
}
