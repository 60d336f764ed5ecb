import { describe, expect, test } from 'vitest'
import type { Connector, PosixAttributes, RemoteEntry, RemoteType } from '../../src-service/drive/connectors/connector.ts'
import { absent, any, at, contentsAt, listAll, put, refusal, signal, sourceOf, statOf, writeOptions } from './candidate.ts'
import type { Ground } from './connector-conformance.ts'

const mtime = { sec: 1_234_567_890, nsec: 123_456_789 }
const early = { sec: -1, nsec: 500_000_000 }
const owner = { uid: 4242, gid: 4343 }

/** POSIX facts for which the cloud has a place come back; those for which it has none are refused or said to be lost. */
export function attributeTests({ bench, has, testOf }: Ground): void {
  describe('attributes', () => {
    const writeFile = (name: string, posix: PosixAttributes) => write(bench().connector, name, 'file', posix)

    testOf('mode')('modes, with all twelve bits', async () => {
      for (const mode of [0o644, 0o000, 0o400, 0o777, 0o4755, 0o2711, 0o1777]) {
        await writeFile(`mode-${mode}`, { mode })
        expect((await statOf(bench().other, at(`mode-${mode}`))).posix.mode, mode.toString(8)).toBe(mode)
        expect(await contentsAt(bench().other, at(`mode-${mode}`))).toBe('contents')
      }
    })

    testOf('owner')('owners', async () => {
      await writeFile('owned', owner)
      expect((await statOf(bench().other, at('owned'))).posix).toMatchObject(owner)
    })

    testOf('mtime')('times, as finely as declared', async () => {
      const step = bench().connector.capabilities.mtimePrecisionNs
      for (const [name, time] of [
        ['timed', mtime],
        ['timed-early', early],
      ] as const) {
        await writeFile(name, { mtime: time })
        const found = (await statOf(bench().other, at(name))).posix.mtime
        expect(found, name).toEqual({ sec: time.sec, nsec: time.nsec - (time.nsec % step) })
      }
    })

    testOf('mode')('attributes of a folder', async () => {
      const { connector, other } = bench()
      await connector.makeFolder(at('attributed'), { mode: 0o1770, ...(has('owner') && owner) }, signal)
      expect((await statOf(other, at('attributed'))).posix).toMatchObject({ mode: 0o1770, ...(has('owner') && owner) })
      await put(connector, at('attributed', 'file'), 'x')
      expect((await statOf(other, at('attributed'))).posix).toMatchObject({ mode: 0o1770 })
    })

    test('listings carry attributes exactly where declared', async () => {
      const { connector, other } = bench()
      if (!has('mode')) return
      await writeFile('listed', { mode: 0o640 })
      await connector.makeFolder(at('listed-folder'), {}, signal)
      const listed = (await listAll(other, at())).find((entry) => entry.name.toString() === 'listed')
      expect(listed?.posix.mode).toBe(has('attributes-in-listings') ? 0o640 : undefined)
    })

    testOf('symlinks')('symlinks with any target', async () => {
      const targets = [Buffer.from('../a b/caf\u00e9'), Buffer.from([0x2f, 0xff, 0xfe]), Buffer.alloc(4000, 'x')]
      for (const [index, target] of targets.entries()) {
        const written = await write(bench().connector, `link-${index}`, 'symlink', { target })
        const found = await statOf(bench().other, at(`link-${index}`))
        expect(found).toMatchObject({ type: 'symlink', size: 0, rev: written.rev })
        expect(found.posix.target?.equals(target), `target ${index}`).toBe(true)
      }
    })

    testOf('symlinks')('a symlink is replaced and removed, never followed', async () => {
      const { connector } = bench()
      await put(connector, at('aim'), 'aim')
      await write(connector, 'arrow', 'symlink', { target: Buffer.from('aim') })
      await connector.write(at('arrow'), 'file', sourceOf('file'), writeOptions(any), signal)
      expect(await contentsAt(connector, at('aim'))).toBe('aim')
      expect(await statOf(connector, at('arrow'))).toMatchObject({ type: 'file', size: 4 })
      await write(connector, 'arrow-2', 'symlink', { target: Buffer.from('aim') })
      await connector.remove(at('arrow-2'), 'symlink', any, signal)
      expect(await contentsAt(connector, at('aim'))).toBe('aim')
    })

    testOf('special-nodes')('special nodes', async () => {
      const nodes: readonly (readonly [RemoteType, PosixAttributes])[] = [
        ['fifo', { mode: 0o620 }],
        ['socket', { mode: 0o755 }],
        ['char', { mode: 0o666, rdev: 0x103 }],
        ['block', { mode: 0o660, rdev: 0xfe00001 }],
      ]
      for (const [type, posix] of nodes) {
        await write(bench().connector, `node-${type}`, type, posix)
        const found = await statOf(bench().other, at(`node-${type}`))
        expect(found, type).toMatchObject({ type, size: 0, posix })
        const listed = (await listAll(bench().other, at())).find((entry) => entry.name.toString() === `node-${type}`)
        if (has('attributes-in-listings')) expect(listed).toMatchObject({ type, size: 0 })
      }
    })

    testOf('xattrs')('extended attributes', async () => {
      const xattrs = new Map([
        ['user.text', Buffer.from('x')],
        ['user.bytes', Buffer.from([0, 255, 1])],
        ['user.empty', Buffer.alloc(0)],
      ])
      await writeFile('xattrs', { xattrs })
      expect((await statOf(bench().other, at('xattrs'))).posix.xattrs).toEqual(xattrs)
    })

    testOf('set-attributes')('attributes change without the contents', async () => {
      const { connector, other } = bench()
      const written = await writeFile('changed-mode', { mode: 0o600, mtime })
      const changed = await setterOf(connector)(at('changed-mode'), 'file', { mode: 0o444 }, { kind: 'rev', rev: written.rev }, signal)
      const found = await statOf(other, at('changed-mode'))
      expect(found).toMatchObject({ size: 8, rev: changed.rev, posix: { mode: 0o444, mtime } })
      expect(await contentsAt(other, at('changed-mode'))).toBe('contents')
      expect(
        await refusal(setterOf(connector)(at('changed-mode'), 'file', { mode: 0 }, { kind: 'rev', rev: 'of another version' }, signal)),
      ).toBe('conflict')
      expect(await refusal(setterOf(connector)(at('changed-not'), 'file', { mode: 0 }, any, signal))).toBe('not-found')
    })

    testOf('set-attributes')('attributes of folders and symlinks change', async () => {
      const { connector, other } = bench()
      await connector.makeFolder(at('changed-folder'), { mode: 0o700 }, signal)
      await put(connector, at('changed-folder', 'file'), 'x')
      await setterOf(connector)(at('changed-folder'), 'folder', { mode: 0o751 }, any, signal)
      expect((await statOf(other, at('changed-folder'))).posix.mode).toBe(0o751)
      if (!has('symlinks')) return
      await write(connector, 'changed-link', 'symlink', { target: Buffer.from('aim') })
      await setterOf(connector)(at('changed-link'), 'symlink', { mtime }, any, signal)
      const link = await statOf(other, at('changed-link'))
      expect(link).toMatchObject({ type: 'symlink', posix: { mtime } })
      expect(link.posix.target?.toString()).toBe('aim')
    })

    test('what it has no place for is refused', async () => {
      const { connector } = bench()
      if (!has('symlinks')) expect(await refusal(write(connector, 'no-link', 'symlink', { target: Buffer.from('x') }))).toBe('unsupported')
      if (!has('special-nodes')) expect(await refusal(write(connector, 'no-fifo', 'fifo', {}))).toBe('unsupported')
      expect(await refusal(write(connector, 'no-folder-write', 'folder', {}))).toBe('invalid')
      for (const name of ['no-link', 'no-fifo', 'no-folder-write']) expect(await connector.stat(at(name), 'any', signal)).toBeNull()
    })
  })
}

function write(connector: Connector, name: string, type: RemoteType, posix: PosixAttributes): Promise<RemoteEntry> {
  return connector.write(at(name), type, sourceOf(type === 'file' ? 'contents' : ''), writeOptions(absent, posix), signal)
}

function setterOf(connector: Connector): NonNullable<Connector['setAttributes']> {
  if (!connector.setAttributes) throw new Error('the connector sets no attributes')
  return connector.setAttributes.bind(connector)
}
