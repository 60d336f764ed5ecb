import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { CloudError } from '../../common/errors.ts'
import type { Contents } from '../cache/contents.ts'
import { type DriveDatabase, openDriveDatabase } from '../cache/database.ts'
import { openRequestLog } from '../cache/request-log.ts'
import type { UploadQueue, Listings } from '../cache/sync.ts'
import { rootNode, Tree } from '../cache/tree.ts'
import type { Attributes, Commit, Filesystem, Maybe } from './filesystem.ts'
import type { RequestLog } from '../cache/request-log.ts'
import { openVfs } from './vfs.ts'

const caller = { uid: 1000, gid: 1000, pid: 1 }
const names = { caseSensitive: true, unicode: 'bytes', maxBytes: 255, maxPathBytes: 4096, forbidden: '', trimsTrailing: false } as const

function bytes(text: string): Buffer {
  return Buffer.from(text)
}

/** Contents that keep sizes only, and a queue that records what it is told. */
function fakes(): { contents: Contents; queue: UploadQueue; listings: Listings; told: string[] } {
  const told: string[] = []
  const open = new Map<number, number>()
  const contents = {
    opened: (node: number) => open.set(node, (open.get(node) ?? 0) + 1),
    released: (node: number) => open.set(node, (open.get(node) ?? 0) - 1),
    openCount: (node: number) => open.get(node) ?? 0,
    create: (node: number) => told.push(`create ${node}`),
    forget: (node: number) => told.push(`forget ${node}`),
    live: () => undefined,
    settle: () => undefined,
    truncate: () => Promise.resolve(),
    isWhole: () => false,
  }
  const queue = {
    nameChanged: (name: number) => told.push(`changed ${name}`),
    nodeChanged: () => undefined,
    nameRemoved: (name: number) => told.push(`removed ${name}`),
    touched: () => undefined,
  }
  return {
    contents: contents as unknown as Contents,
    queue: queue as unknown as UploadQueue,
    listings: { ready: () => undefined } as unknown as Listings,
    told,
  }
}

let folder: string
let database: DriveDatabase
let log: RequestLog
let fs: Filesystem
let tree: Tree
let told: string[]
let unique = 2

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'vfs-'))
  database = openDriveDatabase(join(folder, 'drive.sqlite'))
  tree = new Tree(database)
  const time = { sec: 1, nsec: 0 }
  tree.insertNode({ mode: 0o40755, uid: 0, gid: 0, mtime: time, ctime: time, listedAt: 1 })
  log = openRequestLog(database)
  const parts = fakes()
  told = parts.told
  const dropNode = (node: number): void => {
    if (parts.contents.openCount(node) > 0 || tree.namesOf(node).length > 0) return
    parts.contents.forget(node)
    tree.deleteNode(node)
  }
  const context = {
    database,
    tree,
    ...parts,
    capabilities: { names } as never,
    settings: { readOnly: false, fsync: 'local', freshness: 'relaxed', xattrs: true } as const,
    pathBytes: () => 0,
    dropNode,
    folders: { folderOpened: () => undefined, folderReleased: () => undefined },
  }
  fs = openVfs(context, null, () => ({ total: 0, free: 0, files: 0, freeFiles: 0 })).filesystem
})

afterEach(async () => {
  await database.close()
  rmSync(folder, { recursive: true })
})

/** Runs a change as the door does. */
async function run<T>(change: () => Maybe<Commit<T>>): Promise<T> {
  unique += 2
  let result: T | undefined
  let thrown: Error | undefined
  const commit = await change()
  log.run(
    unique,
    Buffer.alloc(0),
    () => {
      result = commit()
      return 0
    },
    (error) => {
      thrown = CloudError.from(error)
      return 1
    },
  )
  if (thrown !== undefined) throw thrown
  return result as T
}

async function kindOf(work: () => Promise<unknown>): Promise<string> {
  try {
    await work()
  } catch (error) {
    return CloudError.from(error).kind
  }
  return 'done'
}

const mkdir = (parent: number, name: string): Promise<Attributes> => run(() => fs.mkdir(caller, parent, bytes(name), 0o755))
const create = async (parent: number, name: string): Promise<Attributes> => {
  const made = await run(() => fs.create(caller, parent, bytes(name), 0o644, { flags: 2, killPrivileges: false }))
  await fs.release(made.opened.fh)
  return made.attributes
}
const rename = (parent: number, name: string, to: number, newName: string, flags = 0): Promise<void> =>
  run(() => fs.rename(parent, bytes(name), to, bytes(newName), flags))
const list = (folderNode: number): string[] => {
  const seen: string[] = []
  void fs.readdir(folderNode, 0, (name) => {
    seen.push(name.toString())
    return true
  })
  return seen
}

describe('names', () => {
  test('what was made is found, listed and counted', async () => {
    const a = await mkdir(rootNode, 'a')
    const f = await create(a.id, 'f')
    expect(await fs.lookup(a.id, bytes('f'))).toMatchObject({ id: f.id, nlink: 1, mode: 0o100644, uid: 1000 })
    expect(await fs.lookup(a.id, bytes('g'))).toBeNull()
    expect(list(a.id)).toEqual(['.', '..', 'f'])
    expect(await fs.getattr(rootNode)).toMatchObject({ nlink: 3 })
  })

  test('a taken name is refused and nothing changes', async () => {
    await mkdir(rootNode, 'a')
    expect(await kindOf(() => mkdir(rootNode, 'a'))).toBe('exists')
    expect(list(rootNode)).toEqual(['.', '..', 'a'])
  })

  test('hard links share a node until the last name goes', async () => {
    const f = await create(rootNode, 'f')
    await run(() => fs.link(f.id, rootNode, bytes('g')))
    expect(await fs.getattr(f.id)).toMatchObject({ nlink: 2 })
    await run(() => fs.unlink(rootNode, bytes('f')))
    expect(await fs.getattr(f.id)).toMatchObject({ nlink: 1 })
    await run(() => fs.unlink(rootNode, bytes('g')))
    expect(told).toContain(`forget ${f.id}`)
    expect(() => fs.getattr(f.id)).toThrow(expect.objectContaining({ kind: 'stale' }))
  })

  test('an unlinked file lives as long as it is open', async () => {
    const f = await create(rootNode, 'f')
    const { fh } = await fs.open(f.id, { flags: 0, killPrivileges: false })
    await run(() => fs.unlink(rootNode, bytes('f')))
    expect(await fs.getattr(f.id)).toMatchObject({ nlink: 0 })
    await fs.release(fh)
    expect(() => fs.getattr(f.id)).toThrow(CloudError)
  })

  test('rmdir refuses files and full folders', async () => {
    const a = await mkdir(rootNode, 'a')
    await create(a.id, 'f')
    expect(await kindOf(() => run(() => fs.rmdir(rootNode, bytes('a'))))).toBe('not-empty')
    expect(await kindOf(() => run(() => fs.rmdir(a.id, bytes('f'))))).toBe('not-a-folder')
    expect(await kindOf(() => run(() => fs.unlink(rootNode, bytes('a'))))).toBe('is-a-folder')
    expect(await kindOf(() => run(() => fs.unlink(rootNode, bytes('none'))))).toBe('not-found')
  })
})

describe('rename', () => {
  test('replaces a file, and its object is to be removed', async () => {
    const f = await create(rootNode, 'f')
    const g = await create(rootNode, 'g')
    await rename(rootNode, 'f', rootNode, 'g')
    expect(await fs.lookup(rootNode, bytes('g'))).toMatchObject({ id: f.id })
    expect(await fs.lookup(rootNode, bytes('f'))).toBeNull()
    expect(told).toContain(`forget ${g.id}`)
  })

  test('moves folders with their link counts', async () => {
    const a = await mkdir(rootNode, 'a')
    const b = await mkdir(rootNode, 'b')
    await rename(rootNode, 'a', b.id, 'a')
    expect(await fs.getattr(rootNode)).toMatchObject({ nlink: 3 })
    expect(await fs.getattr(b.id)).toMatchObject({ nlink: 3 })
    expect(await kindOf(() => rename(rootNode, 'b', a.id, 'b'))).toBe('invalid')
  })

  test('a folder replaces an empty folder only', async () => {
    await mkdir(rootNode, 'a')
    const b = await mkdir(rootNode, 'b')
    await create(b.id, 'f')
    expect(await kindOf(() => rename(rootNode, 'a', rootNode, 'b'))).toBe('not-empty')
    await run(() => fs.unlink(b.id, bytes('f')))
    await rename(rootNode, 'a', rootNode, 'b')
    expect(list(rootNode)).toEqual(['.', '..', 'b'])
    expect(await fs.getattr(rootNode)).toMatchObject({ nlink: 3 })
  })

  test('NOREPLACE refuses, EXCHANGE swaps', async () => {
    const f = await create(rootNode, 'f')
    const a = await mkdir(rootNode, 'a')
    expect(await kindOf(() => rename(rootNode, 'f', rootNode, 'a', 1))).toBe('exists')
    await rename(rootNode, 'f', rootNode, 'a', 2)
    expect(await fs.lookup(rootNode, bytes('a'))).toMatchObject({ id: f.id })
    expect(await fs.lookup(rootNode, bytes('f'))).toMatchObject({ id: a.id })
  })

  test('of two names of one file does nothing', async () => {
    const f = await create(rootNode, 'f')
    await run(() => fs.link(f.id, rootNode, bytes('g')))
    await rename(rootNode, 'f', rootNode, 'g')
    expect(list(rootNode)).toEqual(['.', '..', 'f', 'g'])
  })
})

describe('attributes', () => {
  test('chown takes the set-id bits of a file away, as asked by the kernel', async () => {
    const f = await create(rootNode, 'f')
    await run(() => fs.setattr(caller, f.id, { mode: 0o6755, killPrivileges: false }))
    const after = await run(() => fs.setattr(caller, f.id, { uid: 5, killPrivileges: true }))
    expect(after.mode & 0o7777).toBe(0o755)
    expect(after.uid).toBe(5)
  })

  test('times keep their nanoseconds', async () => {
    const f = await create(rootNode, 'f')
    const after = await run(() => fs.setattr(caller, f.id, { mtime: { sec: 5, nsec: 123_456_789 }, killPrivileges: false }))
    expect(after).toMatchObject({ mtimeSec: 5, mtimeNsec: 123_456_789 })
  })

  test('a new node in a set-group-id folder takes its group', async () => {
    const a = await mkdir(rootNode, 'a')
    await run(() => fs.setattr(caller, a.id, { mode: 0o2755, gid: 77, killPrivileges: false }))
    const b = await mkdir(a.id, 'b')
    expect(b).toMatchObject({ gid: 77 })
    expect(b.mode & 0o2000).toBe(0o2000)
    expect(await create(a.id, 'f')).toMatchObject({ gid: 77 })
  })

  test('xattrs are kept, listed and refused as asked', async () => {
    const f = await create(rootNode, 'f')
    await run(() => fs.setxattr(f.id, bytes('user.a'), bytes('1'), 1))
    expect(await kindOf(() => run(() => fs.setxattr(f.id, bytes('user.a'), bytes('2'), 1)))).toBe('exists')
    expect((await fs.listxattr(f.id)).toString()).toBe('user.a\0')
    expect((await fs.getxattr(f.id, bytes('user.a'))).toString()).toBe('1')
    await run(() => fs.removexattr(f.id, bytes('user.a')))
    expect(() => fs.getxattr(f.id, bytes('user.a'))).toThrow(expect.objectContaining({ kind: 'no-attribute' }))
  })
})

describe('request log', () => {
  test('keeps answers, refusals too, until the kernel has them', async () => {
    await mkdir(rootNode, 'a')
    expect(log.find(unique)).toMatchObject({ errno: 0 })
    const done = unique
    expect(await kindOf(() => mkdir(rootNode, 'a'))).toBe('exists')
    expect(log.find(unique)).toMatchObject({ errno: 1 })
    log.finished(done)
    await mkdir(rootNode, 'b')
    expect(log.find(done)).toBeUndefined()
  })
})
