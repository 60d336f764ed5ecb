import { afterEach, expect, test } from 'vitest'
import { CloudError } from '../../../common/errors.ts'
import { blockSize } from './block-map.ts'
import { localDisk } from './disk.ts'
import { Fixture, pattern, signal, until } from '../../../../tests/support/blob-rig.ts'

let fixture: Fixture
afterEach(async () => fixture.end())

interface Counts {
  blob: number
  wal: number
  folder: number
  atOnce: number
  /** No sync of the WAL ends before this. */
  walMay?: Promise<undefined>
  /** … nor one of a blob before this. */
  blobMay?: Promise<undefined>
}

/** A disk that counts its syncs, each taking a moment. */
function counting(): Counts {
  const counts: Counts = { blob: 0, wal: 0, folder: 0, atOnce: 0 }
  const wals = new Set<number>()
  let running = 0
  fixture.disk = {
    ...localDisk,
    openToRead: async (path) => {
      const fd = await localDisk.openToRead(path)
      if (path.endsWith('-wal')) wals.add(fd)
      return fd
    },
    datasync: async (fd) => {
      if (wals.has(fd)) counts.wal += 1
      else {
        counts.blob += 1
        running += 1
        counts.atOnce = Math.max(counts.atOnce, running)
      }
      await (wals.has(fd) ? counts.walMay : counts.blobMay)
      await new Promise((resolve) => setTimeout(resolve, 10))
      if (!wals.has(fd)) running -= 1
    },
    syncFolder: async (path) => {
      if (path.includes('blobs/')) counts.folder += 1
    },
  }
  return counts
}

test('sync covers blob, folder and WAL; a second one has nothing to do', async () => {
  fixture = await Fixture.make({ saveMs: 60_000 })
  const counts = counting()
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(100, 1))
  counts.wal = 0
  await contents.sync(node)
  expect(counts).toMatchObject({ blob: 1, wal: 1, folder: 1 })
  expect(fixture.blobRow(node)).toMatchObject({ synced: fixture.row(node).content })
  await contents.sync(node)
  expect(counts).toMatchObject({ blob: 1, wal: 1, folder: 1 })
  await fixture.write(node, 0, pattern(100, 2))
  await contents.sync(node)
  expect(counts).toMatchObject({ blob: 2, wal: 2, folder: 1 })
})

test('where the row vouches for the file already, its bytes and the database are synced at once', async () => {
  fixture = await Fixture.make({ saveMs: 60_000 })
  const counts = counting()
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(100, 1))
  await contents.sync(node)
  await fixture.write(node, 0, pattern(100, 2))
  const { blob, wal } = counts
  let end = (): void => undefined
  counts.walMay = counts.blobMay = new Promise((resolve) => (end = () => resolve(undefined)))
  const syncing = contents.sync(node)
  await until(() => counts.blob === blob + 1 && counts.wal === wal + 1)
  end()
  await syncing
  expect(counts).toMatchObject({ blob: blob + 1, wal: wal + 1 })
})

test('… but what came to vouch for it meanwhile has to reach the disk too', async () => {
  fixture = await Fixture.make({ saveMs: 60_000 })
  const counts = counting()
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(100, 1))
  await contents.sync(node)
  await fixture.write(node, 0, pattern(100, 2))
  const { wal } = counts
  let end = (): void => undefined
  counts.blobMay = new Promise((resolve) => (end = () => resolve(undefined)))
  const syncing = contents.sync(node)
  await until(() => counts.wal === wal + 1)
  // Another file holds the bytes from now on, of which nothing is proved.
  await contents.truncate(node, 0)
  await fixture.write(node, 0, pattern(10, 3))
  let endOfWal = (): void => undefined
  counts.walMay = new Promise((resolve) => (endOfWal = () => resolve(undefined)))
  let synced = false
  void syncing.then(() => (synced = true))
  end()
  await until(() => counts.wal > wal + 1)
  await new Promise((resolve) => setTimeout(resolve, 50))
  expect(synced).toBe(false)
  endOfWal()
  await syncing
})

test('of an open file that the row vouches for only the bytes go to the disk, and what else was committed', async () => {
  fixture = await Fixture.make({ saveMs: 60_000 })
  const counts = counting()
  const contents = await fixture.open()
  const node = fixture.newNode()
  contents.opened(node, true)
  const writeAndSync = async (seed: number): Promise<{ blob: number; wal: number }> => {
    const { blob, wal } = counts
    await fixture.write(node, 0, pattern(100, seed))
    await contents.sync(node)
    return { blob: counts.blob - blob, wal: counts.wal - wal }
  }
  expect(await writeAndSync(1)).toEqual({ blob: 1, wal: 1 })
  for (const seed of [2, 3, 4]) expect(await writeAndSync(seed)).toEqual({ blob: 1, wal: 0 })
  // As a rename is, before or after the first write that follows an fsync.
  fixture.database.setFact('renamed', '1')
  expect(await writeAndSync(5)).toEqual({ blob: 1, wal: 1 })
  expect(await writeAndSync(6)).toEqual({ blob: 1, wal: 0 })
  await fixture.write(node, 0, pattern(100, 7))
  fixture.database.setFact('renamed', '2')
  const { wal } = counts
  await contents.sync(node)
  expect(counts.wal).toBe(wal + 1)
  // What was uploaded meanwhile takes the proof back.
  const source = await contents.source(node, { snapshot: false })
  await fixture.write(node, 0, pattern(100, 8))
  fixture.confirm(node, source.content, pattern(100, 7))
  source.close()
  expect(await writeAndSync(9)).toEqual({ blob: 1, wal: 1 })
})

test('files made at the same time share the syncs of their folder', async () => {
  fixture = await Fixture.make()
  const counts = counting()
  const contents = await fixture.open()
  const nodes = Array.from({ length: 12 }, () => fixture.newNode())
  for (const node of nodes) await fixture.write(node, 0, pattern(100, node))
  await Promise.all(nodes.map((node) => contents.sync(node)))
  expect(counts.blob).toBe(12)
  expect(counts.folder).toBeLessThanOrEqual(4)
})

test('many who wait share the syncs, at most four blobs at once', async () => {
  fixture = await Fixture.make()
  const counts = counting()
  const contents = await fixture.open()
  const nodes = Array.from({ length: 12 }, () => fixture.newNode())
  for (const node of nodes) await fixture.write(node, 0, pattern(100, node))
  counts.wal = 0
  const { promise, resolve } = Promise.withResolvers<undefined>()
  counts.walMay = promise
  const syncs = nodes.flatMap((node) => [contents.sync(node), contents.sync(node), contents.sync(node)])
  await until(() => nodes.every((node) => fixture.blobRow(node)?.synced === fixture.row(node).content))
  resolve(undefined)
  await Promise.all(syncs)
  expect(counts.blob).toBe(12)
  expect(counts.atOnce).toBe(4)
  // One ran when the first blob was on disk, and one is for all who asked since; the last may have come a moment after that.
  expect(counts.wal).toBeLessThanOrEqual(3)
})

test('a folder that is synced makes the commits durable', async () => {
  fixture = await Fixture.make()
  const counts = counting()
  const contents = await fixture.open()
  fixture.newNode()
  counts.wal = 0
  await contents.sync(1_000_000)
  expect(counts).toMatchObject({ blob: 0, wal: 1 })
  await contents.syncDatabase()
  expect(counts.wal).toBe(1)
})

test('what is written during a sync is covered by the next one', async () => {
  fixture = await Fixture.make({ saveMs: 60_000 })
  const counts = counting()
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(100, 1))
  const syncing = contents.sync(node)
  const { content } = fixture.row(node)
  await fixture.write(node, 0, pattern(100, 2))
  expect(fixture.row(node).content).toBe(content + 1)
  await syncing
  expect(fixture.blobRow(node)?.synced).toBe(content)
  await contents.sync(node)
  expect(fixture.blobRow(node)?.synced).toBe(content + 1)
  expect(counts.blob).toBe(2)
})

test('a closed file is synced after a while, clean files in rounds', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.newNode()
  contents.opened(node, true)
  await fixture.write(node, 0, pattern(100, 1))
  await new Promise((resolve) => setTimeout(resolve, 100))
  expect(fixture.blobRow(node)?.synced).toBe(0)
  contents.released(node, true)
  await until(() => fixture.blobRow(node)?.synced === fixture.row(node).content)
  await until(() => fixture.row(node).hot === 0)
  expect(contents.live(node)).toBeUndefined()
  const clean = fixture.remoteNode(pattern(3 * blockSize, 1))
  await contents.fetchAll(clean, signal)
  await until(() => fixture.blobRow(clean)?.synced === 1)
})

test('before the first byte of a clean file changes that is on disk, the database on disk says so', async () => {
  fixture = await Fixture.make()
  const order: string[] = []
  const wals = new Set<number>()
  fixture.disk = {
    ...localDisk,
    openToRead: async (path) => {
      const fd = await localDisk.openToRead(path)
      if (path.endsWith('-wal')) wals.add(fd)
      return fd
    },
    datasync: async (fd) => {
      order.push(wals.has(fd) ? 'wal' : 'blob')
    },
    write: (fd, data, offset, length, position) => {
      order.push('write')
      return localDisk.write(fd, data, offset, length, position)
    },
    writeNow: (fd, data, offset, length, position) => {
      order.push('write')
      return localDisk.writeNow(fd, data, offset, length, position)
    },
  }
  const contents = await fixture.open()
  const node = fixture.remoteNode(pattern(2 * blockSize, 1))
  await contents.fetchAll(node, signal)
  await until(() => fixture.blobRow(node)?.synced === 1)
  order.length = 0
  await fixture.write(node, 0, Buffer.from('x'))
  await fixture.write(node, 0, Buffer.from('y'))
  expect(order).toEqual(['wal', 'write', 'write'])
})

test('synced bytes go only when it is on disk that nobody wants them', async () => {
  fixture = await Fixture.make({ saveMs: 60_000 })
  const order: string[] = []
  const wals = new Set<number>()
  fixture.disk = {
    ...localDisk,
    openToRead: async (path) => {
      const fd = await localDisk.openToRead(path)
      if (path.endsWith('-wal')) wals.add(fd)
      return fd
    },
    datasync: async (fd) => {
      if (wals.has(fd)) order.push('wal')
    },
    remove: async (path) => {
      order.push('remove')
      await localDisk.remove(path)
    },
  }
  const contents = await fixture.open()
  const forget = (node: number): void =>
    fixture.database.transaction(() => {
      contents.forget(node)
      fixture.database.sql.prepare('DELETE FROM node WHERE id = ?').run(node)
    })
  const proved = fixture.newNode()
  await fixture.write(proved, 0, Buffer.from('proved'))
  await contents.sync(proved)
  order.length = 0
  forget(proved)
  await until(() => order.length === 2)
  expect(order).toEqual(['wal', 'remove'])
  const unproved = fixture.newNode()
  await fixture.write(unproved, 0, Buffer.from('unproved'))
  order.length = 0
  forget(unproved)
  await until(() => order.length === 1)
  expect(order).toEqual(['remove'])
  const uploaded = fixture.newNode()
  await fixture.write(uploaded, 0, Buffer.from('uploaded'))
  await fixture.upload(uploaded)
  order.length = 0
  await contents.evict(uploaded)
  expect(order).toEqual(['wal', 'remove'])
})

test('a failed fdatasync is told, and the bytes go to another file', async () => {
  fixture = await Fixture.make()
  let fail = false
  fixture.disk = {
    ...localDisk,
    datasync: (fd) => (fail ? Promise.reject(new CloudError('io', 'planted', { code: 'EIO' })) : localDisk.datasync(fd)),
  }
  const contents = await fixture.open()
  const node = fixture.newNode()
  const data = pattern(200_000, 1)
  await fixture.write(node, 0, data)
  const { generation } = fixture.row(node)
  fail = true
  const syncing = contents.sync(node)
  await expect(syncing).rejects.toMatchObject({ kind: 'io' })
  expect(fixture.row(node).fault).toBe('fsync_failed')
  await expect(contents.sync(node)).rejects.toMatchObject({ kind: 'io' })
  fail = false
  await fixture.write(node, data.length, pattern(10, 2))
  await until(() => fixture.logs.some((one) => one.message.includes('written anew')) || fixture.row(node).generation !== generation)
  // The new file failed too while the disk did: the node stays in error, and its bytes where they are.
  expect((await fixture.read(node, 0, data.length)).equals(data)).toBe(true)
})

test('after a failed fdatasync on a disk that recovers the file is whole and well again', async () => {
  fixture = await Fixture.make()
  let fails = 0
  fixture.disk = {
    ...localDisk,
    datasync: (fd) => (fails-- > 0 ? Promise.reject(new CloudError('io', 'planted', { code: 'EIO' })) : localDisk.datasync(fd)),
  }
  const contents = await fixture.open()
  const node = fixture.newNode()
  const data = pattern(200_000, 1)
  await fixture.write(node, 0, data)
  const { generation } = fixture.row(node)
  fails = 1
  await expect(contents.sync(node)).rejects.toMatchObject({ kind: 'io' })
  await until(() => fixture.row(node).fault === null)
  expect(fixture.row(node).generation).not.toBe(generation)
  await contents.sync(node)
  expect((await fixture.readAll(node)).equals(data)).toBe(true)
  expect(contents.usage().bytes).toBeGreaterThan(0)
  await until(() => contents.usage().bytes === contents.localBytes(node))
})

test('a WAL that cannot be synced fails every sync from then on', async () => {
  fixture = await Fixture.make()
  let fail = false
  const wals = new Set<number>()
  fixture.disk = {
    ...localDisk,
    openToRead: async (path) => {
      const fd = await localDisk.openToRead(path)
      wals.add(fd)
      return fd
    },
    datasync: (fd) => (fail && wals.has(fd) ? Promise.reject(new CloudError('io', 'planted')) : localDisk.datasync(fd)),
  }
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(10, 1))
  fail = true
  await expect(contents.sync(node)).rejects.toMatchObject({ kind: 'io' })
  fail = false
  await expect(contents.sync(node)).rejects.toMatchObject({ kind: 'io' })
})

test('closing proves everything', async () => {
  fixture = await Fixture.make({ closeSyncMs: 60_000 })
  const contents = await fixture.open()
  const nodes = Array.from({ length: 5 }, () => fixture.newNode())
  for (const node of nodes) await fixture.write(node, 0, pattern(1000, node))
  await contents.close()
  for (const node of nodes) {
    expect(fixture.blobRow(node)?.synced).toBe(fixture.row(node).content)
    expect(fixture.row(node)).toMatchObject({ hot: 0, size: 1000 })
  }
})
