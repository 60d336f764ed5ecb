/** What the local connector must withstand: symlinks that lead out, writers that die, disks that vanish, attributes by others. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, lstat, mkdir, mkdtemp, readdir, readFile, rename, rm, symlink, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CloudError } from '../../src-service/common/errors.ts'
import type { OpenConnector } from '../../src-service/drive/connectors/registry.ts'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import {
  absent,
  any,
  at,
  contentsAt,
  listAll,
  namesIn,
  put,
  readAll,
  refusal,
  signal,
  sourceOf,
  statOf,
  writeOptions,
} from './candidate.ts'

let scratch: string
let root: string
let connector: OpenConnector

function open(path: string, remoteRoot = '', create = false): OpenConnector {
  return openConnector('local', { settings: { options: { path, create }, secret: () => undefined }, remoteRoot, log: () => undefined })
}

beforeEach(async () => {
  scratch = await mkdtemp(join(tmpdir(), 'cloudmoor-local-'))
  root = join(scratch, 'root')
  await mkdir(root)
  connector = open(root)
})

afterEach(async () => {
  await connector.close()
  await rm(scratch, { recursive: true, force: true })
})

test('paths longer than the kernel takes: folders are made, listed and removed, files written, read and moved', async () => {
  const names = Array.from({ length: 25 }, (_, level) => `${level}-`.padEnd(200, 'x'))
  for (let depth = 1; depth <= names.length; depth++) await connector.makeFolder(at(...names.slice(0, depth)), {}, signal)
  await put(connector, at(...names, 'a'), 'far away')
  await move(at(...names, 'a'), at('near'), 'file')
  await move(at('near'), at(...names, 'b'), 'file')
  const { rev } = await statOf(connector, at(...names, 'b'))
  expect((await readAll(connector, at(...names, 'b'), 0, 8, rev)).toString()).toBe('far away')
  expect((await listAll(connector, at(...names))).map(({ name }) => name.toString())).toEqual(['b'])
  await symlink(root, join(root, 'door'))
  expect(['access', 'not-a-folder']).toContain(await refusal(listAll(connector, at('door', ...names))))
  await connector.remove(at(...names, 'b'), 'file', any, signal)
  for (let depth = names.length; depth > 0; depth--) await connector.remove(at(...names.slice(0, depth)), 'folder', any, signal)
  expect(await listAll(connector, at())).toMatchObject([{ type: 'symlink' }])
})

describe('nothing leads out of the root', () => {
  beforeEach(async () => {
    await mkdir(join(scratch, 'outside'))
    await writeFile(join(scratch, 'outside', 'secret'), 'secret')
    await symlink(join(scratch, 'outside'), join(root, 'door'))
    await mkdir(join(root, 'folder'))
    await symlink(join(scratch, 'outside', 'secret'), join(root, 'window'))
  })

  test('a symlink to a folder is a symlink, and nothing is behind it', async () => {
    expect(await statOf(connector, at('door'))).toMatchObject({ type: 'symlink' })
    expect(['access', 'not-a-folder']).toContain(await refusal(listAll(connector, at('door'))))
    expect(['access', 'not-a-folder']).toContain(await refusal(put(connector, at('door', 'new'), 'x')))
    expect(['access', 'not-a-folder']).toContain(await refusal(connector.makeFolder(at('door', 'new'), {}, signal)))
    expect(['access', 'not-a-folder']).toContain(await refusal(connector.remove(at('door', 'secret'), 'file', any, signal)))
    expect(await readdir(join(scratch, 'outside'))).toEqual(['secret'])
  })

  test('also deeper on the way', async () => {
    await mkdir(join(scratch, 'outside', 'deep'))
    expect(await refusal(listAll(connector, at('door', 'deep')))).toBe('access')
    expect(await refusal(put(connector, at('door', 'deep', 'x'), 'x'))).toBe('access')
    expect(await refusal(move(at('folder'), at('door', 'deep', 'x'), 'folder'))).toBe('access')
  })

  test('a symlink to a file is not read, written or attributed through', async () => {
    const { rev } = await statOf(connector, at('window'))
    await refusal(readAll(connector, at('window'), 0, 6, rev))
    await put(connector, at('window'), 'mine', any)
    expect(await readFile(join(scratch, 'outside', 'secret'), 'utf8')).toBe('secret')
    expect(await contentsAt(connector, at('window'))).toBe('mine')
  })

  test('the root itself may be reached over a symlink, the remote root below it may not', async () => {
    await symlink(root, join(scratch, 'alias'))
    const alias = open(join(scratch, 'alias'))
    await put(alias, at('by-alias'), 'x')
    expect(await readdir(root)).toContain('by-alias')
    expect(await refusal(listAll(open(root, 'door'), at()))).not.toBe('internal')
    expect(['access', 'not-a-folder']).toContain(await refusal(open(root, 'door').check(signal)))
    expect(await refusal(open(root, '../outside').check(signal))).toBe('name-invalid')
  })
})

describe('settings', () => {
  test('a folder that does not exist is said, and created when asked', async () => {
    const caught: unknown = await open(join(scratch, 'new'))
      .check(signal)
      .catch((error: unknown) => error)
    expect(caught).toMatchObject({ kind: 'not-found' })
    expect((caught as CloudError).hint).toContain('create=true')
    await open(join(scratch, 'new'), '', true).check(signal)
    expect((await lstat(join(scratch, 'new'))).mode & 0o777).toBe(0o700)
  })

  test('a relative path and a file are refused', async () => {
    expect(await refusal(open('relative').check(signal))).toBe('invalid')
    await writeFile(join(scratch, 'file'), '')
    expect(await refusal(open(join(scratch, 'file')).check(signal))).toBe('not-a-folder')
  })

  test('a folder below the root can be the mount', async () => {
    await put(open(root), at('top'), 'x')
    await mkdir(join(root, 'sub'))
    await put(open(root, 'sub'), at('file'), 'below')
    expect(await contentsAt(connector, at('sub', 'file'))).toBe('below')
    expect(await namesIn(open(root, '/sub/'), at())).toEqual(['file'])
  })
})

describe('a disk that vanishes', () => {
  test('is offline, and not an empty folder', async () => {
    await put(connector, at('file'), 'x')
    await mkdir(join(root, 'folder'))
    await rename(root, join(scratch, 'elsewhere'))
    expect(await refusal(listAll(connector, at()))).toBe('offline')
    expect(await refusal(connector.stat(at('file'), 'any', signal))).toBe('offline')
    await mkdir(root)
    expect(await refusal(listAll(connector, at()))).toBe('offline')
    expect(await refusal(listAll(connector, at('folder')))).toBe('offline')
    expect(await refusal(connector.stat(at('file'), 'any', signal))).toBe('offline')
  })
})

describe('unfinished files', () => {
  const program = `
    import { openConnector } from ${JSON.stringify(new URL('../../src-service/drive/connectors/registry.ts', import.meta.url).href)}
    const connector = openConnector('local', { settings: { options: { path: process.argv[1] }, secret: () => undefined }, remoteRoot: '', log: () => undefined })
    const source = { size: 2 ** 30, read: async (start, end) => Buffer.alloc(end - start) }
    const options = { precondition: { kind: 'any' }, posix: {}, resume: null, saveHandle: async () => undefined, onProgress: (bytes) => bytes > 2 ** 22 && process.stdout.write('.') }
    await connector.write({ path: [Buffer.from('file')], id: null, parentId: null }, 'file', source, options, new AbortController().signal)
  `

  test('a writer that dies leaves the old version, and its rest is swept', async () => {
    await put(connector, at('file'), 'old')
    const child = spawn(process.execPath, ['--input-type=module', '-e', program, root], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    child.kill('SIGKILL')
    await once(child, 'exit')
    const left = (await readdir(root)).filter((name) => name.startsWith('.cloudmoor-tmp-'))
    expect(left.length).toBe(1)
    expect(await contentsAt(connector, at('file'))).toBe('old')
    expect(await namesIn(connector, at())).toEqual(['file'])
    await connector.check(signal)
    expect(await readdir(root)).toEqual(['file'])
  })

  test('one that is being written is neither listed nor swept', async () => {
    const writing = connector.write(
      at('file'),
      'file',
      {
        size: 3 * 2 ** 20,
        read: async (start, end) => {
          if (start === 2 ** 20) {
            await open(root).check(signal)
            expect(await namesIn(connector, at())).toEqual([])
            expect((await readdir(root)).length).toBe(1)
          }
          return Buffer.alloc(end - start)
        },
      },
      writeOptions(absent),
      signal,
    )
    expect(await writing).toMatchObject({ size: 3 * 2 ** 20 })
    expect(await readdir(root)).toEqual(['file'])
  })

  test('an old one of an unknown writer is swept, also where it keeps a folder from being removed', async () => {
    await mkdir(join(root, 'folder'))
    const rest = join(root, 'folder', '.cloudmoor-tmp-00000000-1-abc')
    await writeFile(rest, '')
    expect(await refusal(connector.remove(at('folder'), 'folder', any, signal))).toBe('not-empty')
    await utimes(rest, 0, 0)
    await connector.remove(at('folder'), 'folder', any, signal)
    expect(await readdir(root)).toEqual([])
  })

  test('their names cannot be used', async () => {
    expect(await refusal(put(connector, at('.cloudmoor-tmp-x'), 'x'))).toBe('name-invalid')
  })

  test('a failed write leaves nothing', async () => {
    await refusal(connector.write(at('link'), 'symlink', sourceOf(''), writeOptions(absent), signal))
    await put(connector, at('taken'), 'x')
    await refusal(put(connector, at('taken'), 'y'))
    expect(await readdir(root)).toEqual(['taken'])
  })
})

describe('others work in the folder too', () => {
  test('a file that is changed while it is read ends the read, and no mix goes out', async () => {
    const contents = Buffer.alloc(6 * 2 ** 20, 'a')
    const { rev } = await put(connector, at('file'), contents)
    const chunks = connector.read(at('file'), 0, contents.length, rev, signal)
    let bytes = 0
    const reading = async () => {
      for await (const chunk of chunks) {
        if (bytes === 0) await writeFile(join(root, 'file'), Buffer.alloc(6 * 2 ** 20, 'b'))
        expect(Buffer.from(chunk).includes('b')).toBe(false)
        bytes += chunk.byteLength
      }
    }
    expect(await refusal(reading())).toBe('conflict')
    expect(bytes).toBeLessThan(contents.length)
  })

  test('a change that keeps size and time is a change', async () => {
    await put(connector, at('file'), 'aaaa')
    const before = await statOf(connector, at('file'))
    await writeFile(join(root, 'file'), 'bbbb')
    await utimes(join(root, 'file'), before.mtime.sec, before.mtime.sec)
    expect((await statOf(connector, at('file'))).rev).not.toBe(before.rev)
  })

  test('a native change of a mode wins over the one that was kept', async () => {
    await connector.write(at('file'), 'file', sourceOf('x'), writeOptions(absent, { mode: 0o4000, uid: 4242 }), signal)
    expect((await lstat(join(root, 'file'))).mode & 0o7777).toBe(0o600)
    expect((await statOf(connector, at('file'))).posix.mode).toBe(0o4000)
    await chmod(join(root, 'file'), 0o640)
    expect((await statOf(connector, at('file'))).posix).toMatchObject({ mode: 0o640, uid: 4242 })
  })

  test('what is kept beside a file survives a move and a later change', async () => {
    await connector.write(at('node'), 'char', sourceOf(''), writeOptions(absent, { mode: 0o6600, rdev: 5 }), signal)
    await move(at('node'), at('moved'), 'char')
    await connector.setAttributes?.(at('moved'), 'char', { uid: 7 }, any, signal)
    expect(await statOf(connector, at('moved'))).toMatchObject({ type: 'char', posix: { mode: 0o6600, rdev: 5, uid: 7 } })
    expect((await lstat(join(root, 'moved'))).isFile()).toBe(true)
  })
})

function move(from: ReturnType<typeof at>, to: ReturnType<typeof at>, type: 'file' | 'folder' | 'char'): Promise<unknown> {
  return connector.move?.(from, to, type, any, null, signal) ?? Promise.reject(new CloudError('internal', 'no move'))
}
