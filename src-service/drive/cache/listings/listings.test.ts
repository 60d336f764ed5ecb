import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { FakeCloud } from '../../../../tests/support/fake-cloud.ts'
import { FakeContents, FakeDisk } from '../../../../tests/support/fake-contents.ts'
import { systemClock } from '../../../common/clock.ts'
import { CloudError } from '../../../common/errors.ts'
import { type DriveDatabase, openDriveDatabase } from '../database.ts'
import { Places } from '../places.ts'
import { Reachability } from '../reachability.ts'
import type { Listings } from '../sync.ts'
import type { SyncSettings } from '../sync-parts.ts'
import { rootNode, Tree } from '../tree.ts'
import { openListings } from './open-listings.ts'

const settings: SyncSettings = {
  readOnly: false,
  uid: 1000,
  gid: 1000,
  umask: 0o022,
  attributes: 'listing',
  xattrs: false,
  hostName: 'desk',
  writeBackSeconds: 0,
  deadlines: { metadataMs: 2000, readMs: 2000, writeMs: 2000 },
}

let folder: string
let database: DriveDatabase
let tree: Tree
let cloud: FakeCloud
let contents: FakeContents
let listings: Listings
let places: Places
let changedNames: number[]
let invalidated: string[]

function open(made: FakeCloud, more: Partial<SyncSettings> = {}): void {
  cloud = made
  const disk = new FakeDisk()
  contents = new FakeContents({
    tree,
    disk,
    now: () => Date.now(),
    host: {
      dirtied: () => undefined,
      remoteVersion: () => undefined,
      readRemote: () => {
        throw new CloudError('offline', 'no')
      },
    },
  })
  const reachability = new Reachability({ connector: cloud, clock: systemClock, probeMs: 1000, onChange: () => undefined })
  places = new Places(tree)
  listings = openListings({
    tree,
    database,
    contents,
    connector: cloud,
    places,
    reachability,
    clock: systemClock,
    settings: { ...settings, ...more },
    notifier: () => ({
      attributesChanged: () => undefined,
      entryChanged: (_, name) => invalidated.push(name.toString()),
      everythingChanged: () => undefined,
      knows: () => false,
    }),
    mayBeOpen: () => false,
    dropNode: (node) => {
      if (contents.openCount(node) === 0 && tree.namesOf(node).length === 0) tree.deleteNode(node)
    },
    onChange: () => undefined,
    alert: () => undefined,
    log: () => undefined,
    nameChanged: (name) => {
      changedNames.push(name)
      enqueue(name)
    },
  })
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'listings-'))
  database = openDriveDatabase(join(folder, 'drive.sqlite'))
  tree = new Tree(database)
  tree.insertNode({ mode: 0o40755, uid: 0, gid: 0, mtime: { sec: 1, nsec: 0 }, ctime: { sec: 1, nsec: 0 } })
  changedNames = []
  invalidated = []
})

afterEach(async () => {
  await listings.close()
  await database.close()
  rmSync(folder, { recursive: true, force: true })
})

function enqueue(name: number): void {
  database.sql.prepare('INSERT OR IGNORE INTO queue (name) VALUES (?)').run(name)
}

function refresh(at = rootNode): Promise<void> {
  return listings.refresh(at, AbortSignal.timeout(5000))
}

function nodeAt(path: string): number {
  let node = rootNode
  for (const part of path.split('/').filter((one) => one !== '')) {
    const row = tree.lookup(node, Buffer.from(part))
    if (row === undefined) return 0
    node = row.id
  }
  return node
}

function namesIn(path = ''): string[] {
  return tree
    .names(nodeAt(path))
    .map((row) => row.name.toString())
    .sort()
}

function nameId(path: string): number {
  const [row] = tree.namesOf(nodeAt(path))
  if (row === undefined) throw new Error(`no ${path}`)
  return row.id
}

test('a first listing shows what the provider has', async () => {
  open(new FakeCloud())
  cloud.put('a.txt', 'hello', { mode: 0o640, uid: 7 })
  cloud.put('docs/b.txt', 'b')
  expect(tree.needNode(rootNode).listed_at).toBe(0)
  await listings.ready(rootNode)
  expect(namesIn()).toEqual(['a.txt', 'docs'])
  const row = tree.needNode(nodeAt('a.txt'))
  expect([row.size, row.mode, row.uid, row.gid, row.nlink]).toEqual([5, 0o100640, 7, 1000, 1])
  expect(tree.needNode(nodeAt('docs')).mode).toBe(0o40755)
  expect(tree.needNode(nodeAt('docs')).listed_at).toBe(0)
  expect(listings.ready(rootNode)).toBeUndefined()
  expect(invalidated).toEqual([])
  await listings.ready(nodeAt('docs'))
  expect(namesIn('docs')).toEqual(['b.txt'])
})

test('an unchanged entry keeps its node and everything known of it', async () => {
  open(new FakeCloud())
  cloud.put('a', '1')
  await refresh()
  const before = tree.needNode(nodeAt('a'))
  database.sql.prepare('UPDATE node SET mtime_s = 5, mode = ? WHERE id = ?').run(0o100600, before.id)
  await refresh()
  expect(tree.needNode(nodeAt('a'))).toMatchObject({ id: before.id, mtime_s: 5, mode: 0o100600 })
})

test('a new version is a new node with the same inode number; the old one is superseded while it is open', async () => {
  open(new FakeCloud())
  cloud.put('a', '1')
  await refresh()
  const old = nodeAt('a')
  contents.opened(old, false)
  cloud.put('a', 'longer')
  await refresh()
  const made = tree.needNode(nodeAt('a'))
  expect(made.id).not.toBe(old)
  expect(made).toMatchObject({ size: 6, ino: old, nlink: 1 })
  expect(tree.needNode(old)).toMatchObject({ superseded: 1, nlink: 0 })
  expect(invalidated).toEqual(['a'])
  contents.released(old, false)
  cloud.put('a', 'again')
  await refresh()
  expect(tree.node(made.id)).toBeUndefined()
})

test.each(['queued', 'open for writing'])('a file that is %s is left to the queue', async (why) => {
  open(new FakeCloud())
  cloud.put('a', '1')
  cloud.put('b', '1')
  await refresh()
  const [a, b] = [nodeAt('a'), nodeAt('b')]
  if (why === 'queued') for (const path of ['a', 'b']) enqueue(nameId(path))
  else for (const node of [a, b]) contents.opened(node, true)
  cloud.put('a', '2')
  cloud.drop('b')
  await refresh()
  expect([nodeAt('a'), nodeAt('b')]).toEqual([a, b])
})

test('what is missing goes, with everything below it', async () => {
  open(new FakeCloud())
  cloud.put('a', '1')
  cloud.put('docs/deep/b', '1')
  cloud.put('docs/c', '1')
  for (const path of ['', 'docs', 'docs/deep']) await refresh(nodeAt(path))
  const links = tree.needNode(rootNode).nlink
  cloud.drop('a')
  cloud.drop('docs')
  await refresh()
  expect(namesIn()).toEqual([])
  expect(tree.needNode(rootNode).nlink).toBe(links - 1)
  expect(database.sql.prepare('SELECT count(*) AS n FROM remote').get()).toEqual({ n: 0 })
  expect(database.sql.prepare('SELECT count(*) AS n FROM node').get()).toEqual({ n: 1 })
})

test('a folder that vanished is made again when something below waits for the queue', async () => {
  open(new FakeCloud())
  cloud.put('docs/deep/b', '1')
  for (const path of ['', 'docs', 'docs/deep']) await refresh(nodeAt(path))
  enqueue(nameId('docs/deep/b'))
  cloud.drop('docs')
  await refresh()
  expect(nodeAt('docs/deep/b')).not.toBe(0)
  expect(changedNames).toEqual([nameId('docs')])
  expect(tree.nameById(nameId('docs'))?.remote).toBeNull()
})

test('a listing that breaks off changes and removes nothing', async () => {
  open(new FakeCloud())
  cloud.pageSize = 2
  for (const name of ['a', 'b', 'c', 'd']) cloud.put(name, '1')
  await refresh()
  const before = nodeAt('a')
  cloud.put('a', '2')
  cloud.drop('b')
  let pages = 0
  cloud.fault = (point) => (point.operation === 'page' && ++pages === 2 ? new CloudError('unavailable', '503') : undefined)
  await expect(refresh()).rejects.toMatchObject({ kind: 'unavailable' })
  expect(nodeAt('a')).toBe(before)
  expect(namesIn()).toEqual(['a', 'b', 'c', 'd'])
  cloud.fault = () => undefined
  await refresh()
  expect(nodeAt('a')).not.toBe(before)
  expect(namesIn()).toEqual(['a', 'c', 'd'])
})

test('losing most of a large folder needs a second listing that agrees', async () => {
  open(new FakeCloud())
  for (let index = 0; index < 150; index++) cloud.put(`f${index}`, '1')
  await refresh()
  const kept = [...cloud.objects]
  cloud.objects.clear()
  await refresh()
  expect(namesIn()).toHaveLength(150)
  for (const [path, object] of kept.slice(0, 30)) cloud.objects.set(path, object)
  await refresh()
  expect(namesIn()).toHaveLength(30)
})

test('a name that is taken by something not uploaded yet hides the new object until the name is free', async () => {
  open(new FakeCloud())
  await refresh()
  const mine = tree.insertNode({ mode: 0o100644, uid: 0, gid: 0, mtime: { sec: 1, nsec: 0 }, ctime: { sec: 1, nsec: 0 } })
  const name = tree.addName(rootNode, Buffer.from('a'), mine, 0o100644, null)
  enqueue(name)
  cloud.put('a', 'theirs')
  await refresh()
  expect(nodeAt('a')).toBe(mine)
  expect(tree.remoteAt(rootNode, Buffer.from('a'), false)).toMatchObject({ node: 0 })
  const row = tree.nameById(name)
  if (row === undefined) throw new Error('gone')
  tree.removeName(row, 0o100644)
  database.sql.prepare('DELETE FROM queue').run()
  await refresh()
  expect(tree.needNode(nodeAt('a')).size).toBe(6)
})

test('a file beside a folder of the same name gets a stable suffix', async () => {
  open(new FakeCloud({ realFolders: false }))
  cloud.put('x.tar', 'file')
  cloud.put('x.tar/inside', '1')
  await refresh()
  expect(namesIn()).toEqual(['x (folder).tar', 'x.tar'])
  await listings.ready(nodeAt('x (folder).tar'))
  expect(namesIn('x (folder).tar')).toEqual(['inside'])
  const node = nodeAt('x (folder).tar')
  cloud.drop('x.tar')
  cloud.put('x.tar/inside', '1')
  await refresh()
  expect(namesIn()).toEqual(['x (folder).tar'])
  expect(nodeAt('x (folder).tar')).toBe(node)
})

test('a file that became a folder at the provider is a folder here, without a suffix', async () => {
  open(new FakeCloud())
  cloud.put('a', '1')
  await refresh()
  cloud.drop('a')
  cloud.put('a/b', '1')
  await refresh()
  expect(namesIn()).toEqual(['a'])
  expect(tree.needNode(nodeAt('a')).mode & 0o170000).toBe(0o040000)
})

test('a folder that is not found is removed by the listing of its parent, never by itself', async () => {
  open(new FakeCloud())
  cloud.put('docs/a', '1')
  await refresh()
  const docs = nodeAt('docs')
  await refresh(docs)
  cloud.drop('docs')
  await expect(refresh(docs)).rejects.toMatchObject({ kind: 'stale' })
  expect(nodeAt('docs')).toBe(0)
})

test('a missing root is never an empty one', async () => {
  open(new FakeCloud())
  cloud.put('a', '1')
  await refresh()
  cloud.fault = (point) => (point.operation === 'list' ? new CloudError('not-found', 'no such bucket') : undefined)
  await expect(refresh()).rejects.toMatchObject({ kind: 'unavailable' })
  expect(namesIn()).toEqual(['a'])
})

test('offline, what is known is served and what is not fails fast', async () => {
  open(new FakeCloud())
  cloud.put('docs/a', '1')
  await refresh()
  cloud.online = false
  await expect(listings.ready(nodeAt('docs'))).rejects.toMatchObject({ kind: 'offline' })
  expect(listings.ready(rootNode)).toBeUndefined()
  await new Promise((resolve) => setTimeout(resolve, 20))
  const calls = cloud.calls.length
  await expect(listings.ready(nodeAt('docs'))).rejects.toMatchObject({ kind: 'offline' })
  expect(cloud.calls.length).toBe(calls)
})

test('callers share a listing, and one that must be younger waits for the next', async () => {
  open(new FakeCloud())
  cloud.put('a', '1')
  await Promise.all([listings.ready(rootNode), listings.ready(rootNode), listings.ready(rootNode)])
  expect(cloud.calls.filter((call) => call === 'list ')).toHaveLength(1)
  const first = refresh()
  await new Promise((resolve) => setImmediate(resolve))
  const rest = [refresh(), refresh(), refresh()]
  await Promise.all([first, ...rest])
  expect(cloud.calls.filter((call) => call === 'list ')).toHaveLength(3)
})

test('a change of ours that is confirmed while a listing runs is not undone by it', async () => {
  open(new FakeCloud())
  cloud.pageSize = 1
  for (const name of ['a', 'b', 'c']) cloud.put(name, '1')
  await refresh()
  let pages = 0
  cloud.fault = (point) => {
    if (point.operation === 'page' && ++pages === 2) {
      // Our queue removes c and confirms it; the pages were made before that.
      const name = tree.nameById(nameId('c'))
      if (name?.remote == null) throw new Error('c is not there')
      tree.removeName(name, 0o100644)
      tree.deleteRemote(name.remote)
      places.confirmed(rootNode, Buffer.from('c'))
    }
    return undefined
  }
  await refresh()
  expect(pages).toBe(3)
  expect(namesIn()).toEqual(['a', 'b'])
})

test('strict freshness finds a newer version, and a removed file', async () => {
  open(new FakeCloud())
  cloud.put('a', '1')
  await refresh()
  const node = nodeAt('a')
  await listings.revalidate(node, AbortSignal.timeout(1000))
  cloud.put('a', '22')
  await expect(listings.revalidate(node, AbortSignal.timeout(1000))).rejects.toMatchObject({ kind: 'stale' })
  expect(tree.needNode(nodeAt('a')).size).toBe(2)
  cloud.drop('a')
  await expect(listings.revalidate(nodeAt('a'), AbortSignal.timeout(1000))).rejects.toMatchObject({ kind: 'stale' })
  expect(nodeAt('a')).toBe(0)
})

test('exact attributes are asked for behind, once per version', async () => {
  open(new FakeCloud({ posix: { inListings: false } }), { attributes: 'exact' })
  cloud.put('a', '1', { mode: 0o600 })
  const original = cloud.list.bind(cloud)
  cloud.list = async function* (place, signal) {
    for await (const page of original(place, signal)) yield { ...page, entries: page.entries.map((entry) => ({ ...entry, posix: {} })) }
  }
  await refresh()
  await expect.poll(() => tree.needNode(nodeAt('a')).mode).toBe(0o100600)
  await refresh()
  expect(cloud.calls.filter((call) => call === 'stat a')).toHaveLength(1)
})
