import { afterEach, expect, test } from 'vitest'
import { CloudError } from '../../../common/errors.ts'
import { blockSize } from './block-map.ts'
import { localDisk } from './disk.ts'
import { Fixture, pattern, signal, until } from '../../../../tests/support/blob-rig.ts'

const mib = 1024 * 1024
let fixture: Fixture
afterEach(async () => fixture.end())

test('what was fetched stays, also after a crash', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const data = pattern(3 * mib + 5, 2)
  const node = fixture.remoteNode(data)
  expect((await fixture.readAll(node)).equals(data)).toBe(true)
  await until(() => fixture.blobRow(node)?.whole === 1)
  await fixture.crash()
  fixture.reopenDatabase()
  fixture.requests.length = 0
  const contents = await fixture.open()
  expect((await fixture.readAll(node)).equals(data)).toBe(true)
  expect(fixture.requests).toEqual([])
  expect(contents.isWhole(node)).toBe(true)
  expect(contents.localBytes(node)).toBe(48 * blockSize + 4096)
})

test('a large local file is not kept in memory twice by who goes through it', async () => {
  fixture = await Fixture.make()
  const { native } = fixture
  if (native === null) throw new Error('no addon')
  fixture.limit = 128 * mib
  const dropped: [number, number][] = []
  fixture.native = {
    ...native,
    dropPages: (fd, offset, length) => {
      dropped.push([offset, offset + length])
      return native.dropPages(fd, offset, length)
    },
  }
  await fixture.open()
  const data = pattern(64 * mib, 3)
  const node = fixture.remoteNode(data)
  for (let at = 0; at < data.length; at += mib) await fixture.read(node, at, mib)
  await until(() => fixture.blobRow(node)?.whole === 1)
  for (const round of [1, 2]) {
    dropped.length = 0
    for (let at = 0; at < data.length; at += mib) {
      expect((await fixture.read(node, at, mib)).equals(data.subarray(at, at + mib))).toBe(true)
    }
    expect([round, dropped]).toEqual([round, Array.from({ length: 8 }, (_, i) => [8 * i * mib, 8 * (i + 1) * mib])])
  }
  dropped.length = 0
  for (let at = 0; at < data.length; at += 4 * mib) await fixture.read(node, at, 4096)
  expect(dropped).toEqual([])
})

test('a small file is one request, and all who want it share that', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const data = pattern(mib, 1)
  const node = fixture.remoteNode(data)
  const parts = await Promise.all([0, 500_000, 900_000, 5, 300_000].map((at) => fixture.read(node, at, 100)))
  parts.forEach((part, index) =>
    expect(part.equals(data.subarray([0, 500_000, 900_000, 5, 300_000][index] ?? 0).subarray(0, 100))).toBe(true),
  )
  expect(fixture.requests).toEqual([{ node, start: 0, end: mib, priority: 'reader' }])
})

test('a random reader of a large file fetches what it reads and no more', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const data = pattern(40 * mib, 1)
  const node = fixture.remoteNode(data)
  for (const at of [30 * mib, 10 * mib + 7, 20 * mib])
    expect((await fixture.read(node, at, 4096)).equals(data.subarray(at, at + 4096))).toBe(true)
  expect(fixture.requests.map((one) => one.end - one.start)).toEqual([blockSize, blockSize, blockSize])
})

test('a sequential reader is read ahead of in growing windows, from the begin of the file on', async () => {
  fixture = await Fixture.make({ limit: 256 * mib })
  await fixture.open()
  fixture.chunkSize = () => mib
  const data = Buffer.alloc(64 * mib, 7)
  const node = fixture.remoteNode(data)
  for (let at = 0; at < data.length; at += 128 * 1024) expect((await fixture.read(node, at, 128 * 1024)).length).toBe(128 * 1024)
  expect(fixture.requests[0]).toMatchObject({ start: 0, end: mib, priority: 'reader' })
  expect(fixture.requests.filter((one) => one.priority === 'reader').length).toBeLessThan(4)
  expect(fixture.requests.length).toBeLessThan(16)
  expect(Math.max(...fixture.requests.map((one) => one.end - one.start))).toBe(8 * mib)
  // Nothing twice.
  expect(fixture.requests.reduce((sum, one) => sum + one.end - one.start, 0)).toBe(data.length)
})

test('a reader gets its block before the request is complete', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const data = pattern(mib, 1)
  const node = fixture.remoteNode(data)
  fixture.onChunk = (_node, at) => (at < 3 * blockSize ? Promise.resolve() : new Promise(() => undefined))
  fixture.chunkSize = () => blockSize
  expect((await fixture.read(node, 10, 100)).equals(data.subarray(10, 110))).toBe(true)
})

test('memory for requests is bounded', async () => {
  fixture = await Fixture.make({ limit: 512 * mib, readBudgetBytes: 24 * mib })
  await fixture.open()
  fixture.chunkSize = () => mib
  let flying = 0
  let most = 0
  fixture.onChunk = async (_node, at) => {
    if (at % (8 * mib) === 0) flying += 1
    most = Math.max(most, flying)
    await new Promise((resolve) => setTimeout(resolve, 1))
    if (at % (8 * mib) === 7 * mib) flying -= 1
  }
  const nodes = Array.from({ length: 4 }, () => fixture.remoteNode(Buffer.alloc(16 * mib, 1)))
  await Promise.all(nodes.map((node) => fixture.need().fetchAll(node, signal)))
  expect(most).toBe(2)
  for (const node of nodes) expect(fixture.need().isWhole(node)).toBe(true)
})

test('readNow gives what is in the page cache and never waits', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  if (fixture.native === null) return
  const data = pattern(3 * mib, 1)
  const node = fixture.remoteNode(data)
  const target = Buffer.alloc(200_000)
  expect(contents.readNow(node, 0, 100, target, 0)).toBe(-1)
  contents.opened(node, false)
  expect(contents.readNow(node, 0, 100, target, 0)).toBe(-1)
  expect(contents.readNow(node, 3 * mib, 100, target, 0)).toBe(0)
  await contents.fetchAll(node, signal)
  await fixture.read(node, 0, 1)
  expect(contents.readNow(node, 7, 200_000, target, 0)).toBe(200_000)
  expect(target.equals(data.subarray(7, 200_007))).toBe(true)
  expect(contents.readNow(node, 3 * mib - 5, 100, target, 50)).toBe(5)
})

test('too many bytes, too few, silence: each is an error, none is kept', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const data = pattern(2 * blockSize, 1)
  const long = fixture.remoteNode(data)
  const readRemote = fixture.host.readRemote.bind(fixture.host)
  fixture.host.readRemote = async function* (node, start, end, rev, priority, abort) {
    if (node === long) yield Buffer.alloc(end - start + 10)
    else yield* readRemote(node, start, end, rev, priority, abort)
  }
  await expect(fixture.read(long, 0, 2 * blockSize)).rejects.toMatchObject({ kind: 'garbage' })
  const short = fixture.remoteNode(data)
  fixture.host.readRemote = async function* () {
    yield data.subarray(0, blockSize + 5)
  }
  await expect(fixture.read(short, 0, 2 * blockSize)).rejects.toMatchObject({ kind: 'garbage' })
  expect((await fixture.read(short, 0, blockSize)).equals(data.subarray(0, blockSize))).toBe(true)
  fixture.host.readRemote = readRemote
  const silent = fixture.remoteNode(data)
  fixture.onChunk = () => new Promise(() => undefined)
  await expect(fixture.read(silent, 0, 10)).rejects.toMatchObject({ kind: 'timeout' })
  fixture.onChunk = async () => undefined
  expect((await fixture.read(silent, 0, 2 * blockSize)).equals(data)).toBe(true)
})

test('offline: what is here is read, what is not fails with the kind', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const data = pattern(10 * mib, 1)
  const node = fixture.remoteNode(data)
  await fixture.read(node, 5 * mib, 10)
  fixture.onChunk = () => Promise.reject(new CloudError('offline', 'no network'))
  expect((await fixture.read(node, 5 * mib, 10)).equals(data.subarray(5 * mib, 5 * mib + 10))).toBe(true)
  await expect(fixture.read(node, 8 * mib, 10)).rejects.toMatchObject({ kind: 'offline' })
})

test('a reader that is told to stop stops; the request goes on for others', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const data = pattern(blockSize, 1)
  const node = fixture.remoteNode(data)
  let open = (): void => undefined
  fixture.onChunk = () => new Promise((resolve) => (open = resolve))
  const stop = new AbortController()
  const reading = fixture.need().read(node, 0, 10, Buffer.alloc(10), 0, stop.signal)
  const other = fixture.read(node, 0, 10)
  await until(() => fixture.requests.length === 1)
  stop.abort()
  await expect(reading).rejects.toMatchObject({ kind: 'cancelled' })
  fixture.onChunk = async () => undefined
  open()
  expect((await other).equals(data.subarray(0, 10))).toBe(true)
})

test('a version that is not the blob’s own is not mixed with it', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const node = fixture.remoteNode(pattern(10 * mib, 1))
  await fixture.read(node, 5 * mib, 10)
  const other = pattern(10 * mib, 2)
  fixture.remote.set(node, { rev: 'other', data: other })
  // Half of this is here, of the old version.
  expect((await fixture.read(node, 5 * mib - 100, 200)).equals(other.subarray(5 * mib - 100, 5 * mib + 100))).toBe(true)
})

test('a new version of the same bytes is fetched on from', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const data = pattern(10 * mib, 1)
  const node = fixture.remoteNode(data)
  await fixture.read(node, 5 * mib, 10)
  fixture.remote.set(node, { rev: 'moved', data })
  fixture.database.transaction(() => {
    fixture.need().revised(node, 'moved')
  })
  await fixture.read(node, 8 * mib, 10)
  fixture.requests.length = 0
  await fixture.read(node, 5 * mib, 10)
  expect(fixture.requests).toEqual([])
})

test('a change of ours that gives the same bytes another version does not end a request for them, nor lose the base of changes', async () => {
  fixture = await Fixture.make()
  const data = pattern(3 * blockSize, 1)
  let arrive: () => void = () => undefined
  const arrived = new Promise<void>((resolve) => (arrive = resolve))
  fixture.onChunk = () => arrived
  await fixture.open()
  const node = fixture.remoteNode(data)
  const reading = fixture.readAll(node)
  await until(() => fixture.requests.length > 0)
  await fixture.write(node, 0, Buffer.from('x'))
  fixture.remote.set(node, { rev: 'moved', data })
  fixture.database.transaction(() => {
    fixture.need().revised(node, 'moved')
  })
  arrive()
  expect((await reading).subarray(1).equals(data.subarray(1))).toBe(true)
  expect(fixture.lost).toEqual([])
})

test('a clean copy that the disk cannot give is fetched again; a dirty one is an error', async () => {
  fixture = await Fixture.make({ native: null })
  let broken = 0
  fixture.disk = {
    ...localDisk,
    read: (fd, target, offset, length, position) =>
      broken-- > 0
        ? Promise.reject(new CloudError('io', 'planted', { code: 'EIO' }))
        : localDisk.read(fd, target, offset, length, position),
  }
  await fixture.open()
  const data = pattern(blockSize, 1)
  const clean = fixture.remoteNode(data)
  const dirty = fixture.newNode()
  await fixture.readAll(clean)
  await fixture.write(dirty, 0, data)
  const { generation } = fixture.row(clean)
  broken = 1
  expect((await fixture.readAll(clean)).equals(data)).toBe(true)
  expect(fixture.row(clean).generation).not.toBe(generation)
  broken = 1
  await expect(fixture.readAll(dirty)).rejects.toMatchObject({ kind: 'io' })
  expect(fixture.row(dirty).fault).toBe('disk_error')
})

test('small files that are likely to be next are fetched behind, sixteen at a time', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const nodes = Array.from({ length: 40 }, (_, index) => fixture.remoteNode(pattern(1000, index)))
  const large = fixture.remoteNode(pattern(2 * mib, 1))
  let flying = 0
  let most = 0
  fixture.onChunk = async () => {
    flying += 1
    most = Math.max(most, flying)
    await new Promise((resolve) => setTimeout(resolve, 50))
    flying -= 1
  }
  fixture.need().expect([...nodes, large])
  await until(() => nodes.every((node) => fixture.need().isWhole(node)))
  expect(most).toBe(16)
  expect(fixture.need().localBytes(large)).toBe(0)
})

test.each([
  ['the whole file', 0, 3 * blockSize],
  ['a block of it', blockSize, 2 * blockSize],
])('bytes that were on their way when %s was written over, and synced, change nothing', async (_what, start, end) => {
  fixture = await Fixture.make()
  let arrive: () => void = () => undefined
  const arrived = new Promise<void>((resolve) => (arrive = resolve))
  fixture.onChunk = () => arrived
  await fixture.open()
  const node = fixture.remoteNode(pattern(3 * blockSize, 1))
  const reading = fixture.read(node, 0, 10).catch(() => undefined)
  await until(() => fixture.requests.length > 0)
  await fixture.write(node, start, pattern(end - start, 2))
  await fixture.need().sync(node)
  arrive()
  await reading
  await until(() => fixture.need().isWhole(node))
  await new Promise((resolve) => setTimeout(resolve, 50))
  const wanted = pattern(3 * blockSize, 1)
  pattern(end - start, 2).copy(wanted, start)
  expect((await fixture.readAll(node)).equals(wanted)).toBe(true)
  expect((await fixture.upload(node)).equals(wanted)).toBe(true)
})
