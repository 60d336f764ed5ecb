import { afterEach, expect, test } from 'vitest'
import { CloudError } from '../../../common/errors.ts'
import { blockSize } from './block-map.ts'
import { localDisk } from './disk.ts'
import { Fixture, pattern, signal, until } from '../../../../tests/support/blob-rig.ts'

let fixture: Fixture
afterEach(async () => fixture.end())

const never = (): Promise<void> => new Promise(() => undefined)

test('a new file is written, read, and still there after a crash', async () => {
  fixture = await Fixture.make({ saveMs: 60_000 })
  await fixture.open()
  const node = fixture.newNode()
  const data = pattern(300_000, 1)
  expect(await fixture.write(node, 0, data)).toBe(data.length)
  expect((await fixture.readAll(node)).equals(data)).toBe(true)
  expect(fixture.row(node)).toMatchObject({ hot: 1, content: 2, size: 0 })
  await fixture.crash()
  fixture.reopenDatabase()
  await fixture.open()
  expect(fixture.row(node)).toMatchObject({ hot: 0, size: 300_000 })
  expect(Math.abs(fixture.row(node).mtime_s - Date.now() / 1000)).toBeLessThan(60)
  expect((await fixture.readAll(node)).equals(data)).toBe(true)
})

test('the dirty flag is committed before the first byte, and then no write commits again', async () => {
  fixture = await Fixture.make({ saveMs: 60_000 })
  const seen: number[] = []
  let node = 0
  fixture.disk = {
    ...localDisk,
    write: (fd, data, offset, length, position) => {
      seen.push(fixture.row(node).content)
      return localDisk.write(fd, data, offset, length, position)
    },
    writeNow: (fd, data, offset, length, position) => {
      seen.push(fixture.row(node).content)
      return localDisk.writeNow(fd, data, offset, length, position)
    },
  }
  await fixture.open()
  node = fixture.newNode()
  await fixture.write(node, 0, pattern(10, 1))
  const changes = fixture.database.sql.prepare<[], { n: number }>('SELECT total_changes() AS n')
  const before = changes.get()?.n
  for (let at = 0; at < 20; at += 1) await fixture.write(node, at * 10, pattern(10, at))
  expect(changes.get()?.n).toBe(before)
  expect(seen).toEqual(Array.from({ length: 21 }, () => 2))
  expect(fixture.dirtied.filter((one) => one.first)).toEqual([{ node, first: true }])
  expect(fixture.dirtied.length).toBeGreaterThan(20)
})

test('each seal makes the next write a new version: sync, upload, start', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(10, 1))
  expect(fixture.row(node).content).toBe(2)
  await fixture.need().sync(node)
  await fixture.write(node, 0, pattern(10, 2))
  expect(fixture.row(node).content).toBe(3)
  const source = await fixture.need().source(node, { snapshot: false })
  expect(source.content).toBe(3)
  await fixture.write(node, 0, pattern(10, 3))
  expect(fixture.row(node).content).toBe(4)
  await expect(source.read(0, 10, signal)).rejects.toMatchObject({ kind: 'cancelled' })
  source.close()
  await fixture.crash()
  fixture.reopenDatabase()
  await fixture.open()
  await fixture.write(node, 0, pattern(10, 4))
  expect(fixture.row(node).content).toBe(5)
})

test('settle gives the row size and time, and an undone one gives them back', async () => {
  fixture = await Fixture.make({ saveMs: 60_000 })
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(10, 1))
  const live = contents.live(node)
  expect(live?.size).toBe(10)
  expect(() =>
    fixture.database.transaction(() => {
      contents.settle(node)
      expect(contents.live(node)).toBeUndefined()
      throw new CloudError('exists', 'undone')
    }),
  ).toThrow('undone')
  expect(contents.live(node)).toEqual(live)
  fixture.database.transaction(() => {
    contents.settle(node)
  })
  expect(contents.live(node)).toBeUndefined()
  expect(fixture.row(node)).toMatchObject({ size: 10, hot: 0, mtime_s: live?.mtimeSec })
  await fixture.write(node, 10, pattern(10, 1))
  expect(fixture.row(node)).toMatchObject({ hot: 1, content: 2 })
})

test('a write into a file that is not here keeps its bytes and fetches the rest behind', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const data = pattern(5 * blockSize + 100, 3)
  const node = fixture.remoteNode(data)
  let open = (): void => undefined
  const gate = new Promise<void>((resolve) => (open = resolve))
  fixture.onChunk = () => gate
  await fixture.write(node, blockSize + 5, Buffer.from('hello'))
  expect(fixture.blobRow(node)).toMatchObject({ whole: 0, base_rev: `${node}-1` })
  const row = fixture.blobRow(node)
  expect(row?.extents?.readBigUInt64LE(0)).toBe(BigInt(blockSize + 5))
  expect(row?.extents?.readBigUInt64LE(8)).toBe(BigInt(blockSize + 10))
  open()
  await until(() => fixture.blobRow(node)?.whole === 1)
  expect(fixture.blobRow(node)).toMatchObject({ extents: null, base_rev: null })
  data.write('hello', blockSize + 5)
  expect((await fixture.readAll(node)).equals(data)).toBe(true)
  expect((await fixture.upload(node)).equals(data)).toBe(true)
})

test('a crash before the rest is here: the dirty bytes stay, the rest is fetched by the next process', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const data = pattern(3 * blockSize, 4)
  const node = fixture.remoteNode(data)
  fixture.onChunk = never
  await fixture.write(node, 100, Buffer.from('kept'))
  await fixture.need().truncate(node, 2 * blockSize + 7)
  await fixture.crash()
  fixture.onChunk = async () => undefined
  fixture.reopenDatabase()
  await fixture.open()
  await until(() => fixture.blobRow(node)?.whole === 1)
  const wanted = data.subarray(0, 2 * blockSize + 7)
  wanted.write('kept', 100)
  expect(fixture.row(node).size).toBe(wanted.length)
  expect((await fixture.readAll(node)).equals(wanted)).toBe(true)
})

test('a base that is gone: what was written stays, the next write is told, later ones work', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.remoteNode(pattern(3 * blockSize, 4))
  await fixture.read(node, 0, 10)
  fixture.remote.set(node, { rev: 'theirs', data: Buffer.alloc(10) })
  await fixture.write(node, 2 * blockSize, Buffer.from('mine'))
  await until(() => fixture.lost.length > 0)
  expect(fixture.lost).toEqual([node])
  await expect(fixture.write(node, 0, Buffer.from('x'))).rejects.toMatchObject({ kind: 'conflict' })
  await fixture.write(node, 0, Buffer.from('y'))
  expect((await fixture.read(node, 2 * blockSize, 4)).toString()).toBe('mine')
  await expect(contents.source(node, { snapshot: false })).rejects.toMatchObject({ kind: 'conflict' })
  await contents.truncate(node, 0)
  await fixture.write(node, 0, Buffer.from('new'))
  expect((await fixture.upload(node)).toString()).toBe('new')
})

test('truncating to nothing needs no base and removes the old file', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.remoteNode(pattern(3 * blockSize, 4))
  await contents.fetchAll(node, signal)
  const before = fixture.blobPath(node)
  fixture.onChunk = never
  await contents.truncate(node, 0)
  expect(fixture.row(node)).toMatchObject({ size: 0, content: 2, hot: 0 })
  expect(fixture.blobRow(node)).toMatchObject({ whole: 1, base_rev: null })
  await fixture.write(node, 0, Buffer.from('new'))
  expect((await fixture.readAll(node)).toString()).toBe('new')
  await until(() => contents.usage().bytes === 4096)
  await expect(localDisk.factsAt(before)).resolves.toBeUndefined()
})

test('a file that is written over completely is never fetched', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const node = fixture.remoteNode(pattern(2 * blockSize + 10, 4))
  fixture.onChunk = never
  const data = pattern(2 * blockSize + 10, 5)
  await fixture.write(node, 0, data.subarray(0, 100))
  await fixture.write(node, 100, data.subarray(100))
  await until(() => fixture.blobRow(node)?.whole === 1)
  expect((await fixture.upload(node)).equals(data)).toBe(true)
})

test('forgetting a node removes its file after the commit, also while it is written', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(100_000, 1))
  const path = fixture.blobPath(node)
  const writing = fixture.write(node, 0, pattern(1_000_000, 2))
  fixture.database.transaction(() => {
    contents.forget(node)
    fixture.database.sql.prepare('DELETE FROM node WHERE id = ?').run(node)
  })
  await writing.catch((error: unknown) => expect(CloudError.from(error).kind).toBe('stale'))
  await until(() => contents.usage().bytes === 0)
  await expect(localDisk.factsAt(path)).resolves.toBeUndefined()
  await until(() => fixture.database.sql.prepare('SELECT 1 FROM blob').get() === undefined)
})

test('a disk that fails: the error is told, and the node is marked', async () => {
  fixture = await Fixture.make()
  let broken = false
  fixture.disk = {
    ...localDisk,
    write: (fd, data, offset, length, position) =>
      broken
        ? Promise.reject(CloudError.from(Object.assign(new Error('EIO: planted'), { code: 'EIO' })))
        : localDisk.write(fd, data, offset, length, position),
    writeNow: (fd, data, offset, length, position) => (broken ? -1 : localDisk.writeNow(fd, data, offset, length, position)),
  }
  await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(10, 1))
  broken = true
  await expect(fixture.write(node, 0, pattern(10, 2))).rejects.toMatchObject({ kind: 'io' })
  expect(fixture.row(node).fault).toBe('disk_error')
  expect(fixture.logs.some((one) => one.level === 'error')).toBe(true)
})

test('holes, preallocation and SEEK_DATA', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.newNode()
  await contents.truncate(node, 100 * blockSize)
  await fixture.write(node, 50 * blockSize, pattern(blockSize, 1))
  expect(contents.localBytes(node)).toBe(blockSize)
  if (fixture.native !== null) {
    expect(await contents.seek(node, 0, 3)).toBe(50 * blockSize)
    expect(await contents.seek(node, 50 * blockSize, 4)).toBe(51 * blockSize)
    expect(await contents.seek(node, 60 * blockSize, 3)).toBe(-1)
    expect(await contents.seek(node, 60 * blockSize, 4)).toBe(60 * blockSize)
  }
  expect(await contents.seek(node, 100 * blockSize, 4)).toBe(-1)
  await contents.allocate(node, 3, 50 * blockSize, blockSize)
  expect(contents.localBytes(node)).toBe(0)
  await contents.allocate(node, 0, 0, 10 * blockSize)
  expect(contents.localBytes(node)).toBe(10 * blockSize)
  await expect(contents.allocate(node, 8, 0, blockSize)).rejects.toMatchObject({ kind: 'unsupported' })
  const remote = fixture.remoteNode(pattern(1000, 2))
  expect(await contents.seek(remote, 10, 3)).toBe(10)
  expect(await contents.seek(remote, 10, 4)).toBe(1000)
})

test('everything works without the addon', async () => {
  fixture = await Fixture.make({ native: null })
  const contents = await fixture.open()
  const data = pattern(3 * blockSize, 1)
  const from = fixture.remoteNode(data)
  const to = fixture.newNode()
  expect(contents.readNow(from, 0, 10, Buffer.alloc(10), 0)).toBe(-1)
  let copied = 0
  while (copied < data.length) copied += await contents.copy(from, copied, to, copied, data.length - copied)
  await contents.allocate(to, 3, 10, 20)
  data.fill(0, 10, 30)
  expect((await fixture.readAll(to)).equals(data)).toBe(true)
  expect((await fixture.upload(to, true)).equals(data)).toBe(true)
})
