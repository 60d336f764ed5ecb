import { afterEach, expect, test } from 'vitest'
import { blockSize } from './block-map.ts'
import { localDisk } from './disk.ts'
import { Fixture, pattern, signal, until } from '../../../../tests/support/blob-rig.ts'

const mib = 1024 * 1024
let fixture: Fixture
afterEach(async () => fixture.end())

/** The bound holds at every moment that anybody can look. */
function watchBound(): void {
  const { onChunk } = fixture
  fixture.onChunk = async (node, at) => {
    const { bytes, limit } = fixture.need().usage()
    expect(bytes).toBeLessThanOrEqual(limit)
    await onChunk(node, at)
  }
}

test('clean files make room, the least recently used first', async () => {
  fixture = await Fixture.make({ limit: 4 * mib })
  const contents = await fixture.open()
  watchBound()
  const nodes = Array.from({ length: 6 }, (_, index) => fixture.remoteNode(pattern(mib, index)))
  for (const node of nodes.slice(0, 3)) {
    await fixture.readAll(node)
    await new Promise((resolve) => setTimeout(resolve, 30))
  }
  await new Promise((resolve) => setTimeout(resolve, 1000))
  await fixture.readAll(nodes[0] ?? 0)
  await fixture.readAll(nodes[3] ?? 0)
  expect(nodes.map((node) => contents.isWhole(node))).toEqual([true, false, true, true, false, false])
  expect(contents.usage().bytes).toBeLessThanOrEqual(4 * mib)
})

test('open and pinned files stay; a reader without room reads through', async () => {
  fixture = await Fixture.make({ limit: 4 * mib, native: null })
  const contents = await fixture.open()
  watchBound()
  const data = Array.from({ length: 4 }, (_, index) => pattern(mib + 7, index))
  const nodes = data.map((bytes) => fixture.remoteNode(bytes))
  const [open, pinned, third, fourth] = nodes
  if (open === undefined || pinned === undefined || third === undefined || fourth === undefined) throw new Error('four')
  contents.opened(open, false)
  await fixture.readAll(open)
  fixture.database.sql.prepare('UPDATE node SET pinned = 1 WHERE id = ?').run(pinned)
  await fixture.readAll(pinned)
  await fixture.readAll(third)
  for (const node of [fourth, third, fourth, third])
    expect((await fixture.readAll(node)).equals(data[nodes.indexOf(node)] ?? Buffer.alloc(0))).toBe(true)
  expect(contents.isWhole(open)).toBe(true)
  expect(contents.isWhole(pinned)).toBe(true)
  contents.opened(third, false)
  await contents.evict(fourth)
  await contents.fetchAll(third, signal)
  expect((await fixture.readAll(fourth)).equals(data[3] ?? Buffer.alloc(0))).toBe(true)
  expect(contents.isWhole(fourth)).toBe(false)
})

test('a file larger than the cache is read in order at full read-ahead, its own blocks making room', async () => {
  fixture = await Fixture.make({ limit: 40 * mib, readBudgetBytes: 16 * mib })
  const contents = await fixture.open()
  if (fixture.native === null) return
  watchBound()
  fixture.chunkSize = () => 512 * 1024
  const data = pattern(96 * mib, 1)
  const node = fixture.remoteNode(data)
  contents.opened(node, false)
  const step = 256 * 1024
  for (let at = 0; at < data.length; at += step)
    expect((await fixture.read(node, at, step)).equals(data.subarray(at, at + step))).toBe(true)
  expect(fixture.requests.length).toBeLessThan(60)
  expect(fixture.requests.reduce((sum, one) => sum + one.end - one.start, 0)).toBeLessThan(1.3 * data.length)
  // What was dropped comes again, and is right.
  expect((await fixture.read(node, 0, step)).equals(data.subarray(0, step))).toBe(true)
  await fixture.crash()
  fixture.reopenDatabase()
  await fixture.open()
  for (let at = 0; at < data.length; at += 5 * mib)
    expect((await fixture.read(node, at, 1000)).equals(data.subarray(at, at + 1000))).toBe(true)
}, 60_000)

test('blocks that made room are not claimed after a crash', async () => {
  fixture = await Fixture.make({ limit: 40 * mib, readBudgetBytes: 16 * mib, saveMs: 150 })
  const contents = await fixture.open()
  if (fixture.native === null) return
  fixture.chunkSize = () => 512 * 1024
  const data = pattern(64 * mib, 1)
  const node = fixture.remoteNode(data)
  contents.opened(node, false)
  const step = mib
  let at = 0
  for (; at < 24 * mib; at += step) await fixture.read(node, at, step)
  await new Promise((resolve) => setTimeout(resolve, 400))
  for (; at < 44 * mib; at += step) await fixture.read(node, at, step)
  await fixture.crash()
  fixture.reopenDatabase()
  await fixture.open()
  for (at = 0; at < 40 * mib; at += mib / 2) expect((await fixture.read(node, at, 1000)).equals(data.subarray(at, at + 1000))).toBe(true)
}, 60_000)

test('a full cache: writes wait while uploads can make room, and go on when one has', async () => {
  fixture = await Fixture.make({ limit: 8 * mib, roomWaitMs: 5000 })
  const contents = await fixture.open()
  const first = fixture.newNode()
  await fixture.write(first, 0, pattern(6 * mib, 1))
  const second = fixture.newNode()
  const writing = fixture.write(second, 0, pattern(3 * mib, 2))
  await until(() => contents.usage().full)
  await fixture.upload(first)
  expect(await writing).toBe(3 * mib)
  expect(contents.usage().full).toBe(false)
  expect(contents.isWhole(first)).toBe(false)
})

test('a full cache: the wait ends, and offline there is none', async () => {
  fixture = await Fixture.make({ limit: 8 * mib, roomWaitMs: 2000 })
  await fixture.open()
  const more = pattern(3 * mib, 2)
  const first = fixture.newNode()
  await fixture.write(first, 0, pattern(6 * mib, 1))
  const second = fixture.newNode()
  const before = performance.now()
  await expect(fixture.write(second, 0, more)).rejects.toMatchObject({ kind: 'no-space' })
  expect(performance.now() - before).toBeGreaterThan(1900)
  fixture.uploads = false
  const again = performance.now()
  await expect(fixture.write(second, 0, more)).rejects.toMatchObject({ kind: 'no-space' })
  expect(performance.now() - again).toBeLessThan(1000)
  // What takes no more room goes on.
  expect(await fixture.write(first, 0, pattern(6 * mib, 3))).toBe(6 * mib)
})

test('write-back of mapped pages has a reserve inside the bound', async () => {
  fixture = await Fixture.make({ limit: 8 * mib, roomWaitMs: 10 })
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(7 * mib, 1))
  const more = pattern(mib, 2)
  await expect(contents.write(node, more, 0, mib, 7 * mib, false)).rejects.toMatchObject({ kind: 'no-space' })
  expect(await contents.write(node, more, 0, mib, 7 * mib, true)).toBe(mib)
  expect(contents.usage().bytes).toBe(8 * mib)
  await expect(contents.write(node, more, 0, 1, 8 * mib, true)).rejects.toMatchObject({ kind: 'no-space' })
})

test('a file that can never fit fails at once', async () => {
  fixture = await Fixture.make({ limit: 8 * mib, roomWaitMs: 10_000 })
  const contents = await fixture.open()
  const node = fixture.newNode()
  await expect(fixture.write(node, 0, pattern(9 * mib, 1))).rejects.toMatchObject({ kind: 'no-space' })
  await fixture.write(node, 0, pattern(6 * mib, 1))
  const before = performance.now()
  await expect(fixture.write(node, 6 * mib, pattern(2 * mib, 1))).rejects.toMatchObject({ kind: 'no-space' })
  expect(performance.now() - before).toBeLessThan(5000)
  await contents.truncate(node, 0)
  const remote = fixture.remoteNode(pattern(20 * mib, 1))
  await expect(fixture.write(remote, 5, Buffer.from('x'))).rejects.toMatchObject({ kind: 'no-space' })
  expect(fixture.row(remote)).toMatchObject({ content: 1, hot: 0 })
  await contents.truncate(remote, mib)
  expect(await fixture.write(remote, 5, Buffer.from('x'))).toBe(1)
  // Only blocks count: a sparse file may be longer than the cache.
  await contents.truncate(node, 100 * mib)
  await fixture.write(node, 90 * mib, Buffer.from('far'))
  expect(contents.localBytes(node)).toBe(blockSize)
})

test('many writers at once never exceed the bound', async () => {
  fixture = await Fixture.make({ limit: 4 * mib, roomWaitMs: 20 })
  const contents = await fixture.open()
  const writes = Array.from({ length: 40 }, async (_, index) => {
    const node = fixture.newNode()
    for (let at = 0; at < 5; at += 1) {
      await fixture.write(node, at * blockSize, pattern(blockSize, index))
      expect(contents.usage().bytes).toBeLessThanOrEqual(4 * mib)
    }
  })
  const results = await Promise.allSettled(writes)
  expect(results.some((one) => one.status === 'rejected')).toBe(true)
  expect(contents.usage().bytes).toBeGreaterThan(3 * mib)
})

test('a full disk: no-space before the bound is reached, after clean files went', async () => {
  fixture = await Fixture.make({ limit: 64 * mib, roomWaitMs: 10 })
  let free = 1024 * mib
  let answers = 0
  fixture.disk = {
    ...localDisk,
    free: async () => {
      setImmediate(() => (answers += 1))
      return free
    },
  }
  const contents = await fixture.open()
  const clean = fixture.remoteNode(pattern(mib, 1))
  await fixture.readAll(clean)
  free = 8 * mib + 1000
  await new Promise((resolve) => setTimeout(resolve, 1100))
  const node = fixture.newNode()
  // The first one asks, the next ones know.
  const before = answers
  await fixture.write(node, 0, pattern(1, 1))
  await until(() => answers > before)
  await expect(fixture.write(node, 0, pattern(4 * mib, 1))).rejects.toMatchObject({ kind: 'no-space' })
  expect(contents.isWhole(clean)).toBe(false)
})

test('a snapshot counts, and is refused where it does not fit', async () => {
  fixture = await Fixture.make({ limit: 8 * mib })
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, pattern(3 * mib, 1))
  const source = await contents.source(node, { snapshot: true })
  expect(contents.usage().bytes).toBe(6 * mib)
  source.close()
  await until(() => contents.usage().bytes === 3 * mib)
  await fixture.write(node, 3 * mib, pattern(mib, 1))
  await expect(contents.source(node, { snapshot: true })).rejects.toMatchObject({ kind: 'no-space' })
  expect(contents.usage().bytes).toBe(4 * mib)
})
