import { afterEach, expect, test } from 'vitest'
import { blockSize } from './block-map.ts'
import { localDisk } from './disk.ts'
import { Fixture, pattern, signal, until } from '../../../../tests/support/blob-rig.ts'

let fixture: Fixture
afterEach(async () => fixture.end())

test('an upload that is confirmed makes the file clean; its bytes can go and come', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.newNode()
  const data = pattern(3 * blockSize + 1, 1)
  await fixture.write(node, 0, data)
  expect(contents.usage().dirtyBytes).toBe(3 * blockSize + 4096)
  expect((await fixture.upload(node)).equals(data)).toBe(true)
  expect(contents.usage().dirtyBytes).toBe(0)
  expect(fixture.blobRow(node)).toMatchObject({ base_rev: `${node}-u2`, extents: null, synced: 1 })
  expect(await contents.evict(node)).toBe(3 * blockSize + 4096)
  expect(contents.usage().bytes).toBe(0)
  expect((await fixture.readAll(node)).equals(data)).toBe(true)
})

test('what was written since the upload began stays dirty', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, Buffer.from('first'))
  const source = await contents.source(node, { snapshot: false })
  const sent = await source.read(0, 5, signal)
  await fixture.write(node, 0, Buffer.from('again'))
  fixture.confirm(node, source.content, sent)
  source.close()
  expect(contents.usage().dirtyBytes).toBe(4096)
  expect(await contents.evict(node)).toBe(0)
  expect((await fixture.upload(node)).toString()).toBe('again')
})

test('a confirmation that is undone leaves the file dirty', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, Buffer.from('first'))
  const source = await contents.source(node, { snapshot: false })
  source.close()
  expect(() =>
    fixture.database.transaction(() => {
      contents.uploaded(node, source.content, 'rev')
      throw new Error('undone')
    }),
  ).toThrow('undone')
  expect(contents.usage().dirtyBytes).toBe(4096)
  expect(contents.live(node)?.size ?? fixture.row(node).size).toBe(5)
  expect((await fixture.upload(node)).toString()).toBe('first')
})

test('open clean and dirty files are not evicted', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.remoteNode(pattern(1000, 1))
  contents.opened(node, false)
  await fixture.readAll(node)
  expect(await contents.evict(node)).toBe(0)
  contents.released(node, false)
  expect(await contents.evict(node)).toBe(4096)
})

test('a file that never rests is uploaded from a snapshot while it is written', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.newNode()
  const blocks = 64
  await fixture.write(node, 0, Buffer.alloc(blocks * blockSize, 1))
  const stop = new AbortController()
  let round = 1
  // Every round writes the same number everywhere: one version has one number, or one step between two.
  const writing = (async () => {
    while (!stop.signal.aborted) {
      round = (round % 200) + 1
      for (let block = 0; block < blocks; block += 1) await fixture.write(node, block * blockSize, Buffer.alloc(blockSize, round))
    }
  })()
  for (let times = 0; times < 5; times += 1) {
    const source = await contents.source(node, { snapshot: true })
    const copy = await source.read(0, source.size, signal)
    source.close()
    const numbers = Array.from({ length: blocks }, (_, block) => copy[block * blockSize] ?? 0)
    for (let block = 0; block < blocks; block += 1) {
      expect(copy.subarray(block * blockSize, (block + 1) * blockSize).every((byte) => byte === numbers[block])).toBe(true)
    }
    const changes = numbers.filter((number, block) => block > 0 && number !== numbers[block - 1])
    expect(changes.length).toBeLessThanOrEqual(1)
    fixture.confirm(node, source.content, copy)
  }
  stop.abort()
  await writing
  expect(contents.usage().dirtyBytes).toBe(blocks * blockSize)
  await until(() => contents.usage().bytes === blocks * blockSize)
})

test('a snapshot has what was written while it was copied, and not what came after', async () => {
  fixture = await Fixture.make({ native: null })
  let data = pattern(3 * 1024 * 1024, 1)
  let reads = 0
  const late: Promise<unknown>[] = []
  const write = (at: number, text: string): Promise<unknown> => {
    data = Buffer.from(data)
    data.write(text, at)
    return fixture.write(node, at, Buffer.from(text))
  }
  fixture.disk = {
    ...localDisk,
    read: async (fd, target, offset, length, position) => {
      reads += 1
      const got = await localDisk.read(fd, target, offset, length, position)
      // Into what was copied already: once done during the copy, once still under way at its end.
      if (reads === 2) await write(10, 'during')
      if (reads === 3) late.push(write(100, 'at the end'))
      return got
    },
  }
  const contents = await fixture.open()
  const node = fixture.newNode()
  await fixture.write(node, 0, data)
  const source = await contents.source(node, { snapshot: true })
  await Promise.all(late)
  const wanted = data
  await write(10, 'after!')
  expect(source.content).toBe(fixture.row(node).content - 1)
  expect((await source.read(0, source.size, signal)).equals(wanted)).toBe(true)
  source.close()
})

test('a partial file is completed before it is uploaded', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const data = pattern(5 * blockSize, 1)
  const node = fixture.remoteNode(data)
  await fixture.write(node, 7, Buffer.from('mine'))
  data.write('mine', 7)
  const source = await contents.source(node, { snapshot: false })
  expect((await source.read(0, source.size, signal)).equals(data)).toBe(true)
  expect((await source.read(7, 11, signal)).toString()).toBe('mine')
  source.close()
})

test('passthrough gets the file of a whole clean blob, until the last release', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.remoteNode(pattern(1000, 1))
  expect(await contents.openForBacking(node)).toBeUndefined()
  await fixture.readAll(node)
  contents.opened(node, false)
  const fd = await contents.openForBacking(node)
  expect(fd).toBeGreaterThan(2)
  contents.released(node, false)
  const dirty = fixture.newNode()
  await fixture.write(dirty, 0, Buffer.from('x'))
  contents.opened(dirty, true)
  expect(await contents.openForBacking(dirty)).toBeUndefined()
})

test('a reader that was there before this process took over does not leave the file open for writing', async () => {
  fixture = await Fixture.make()
  const contents = await fixture.open()
  const node = fixture.newNode()
  contents.opened(node, true)
  contents.released(node, false)
  expect(contents.writerCount(node)).toBe(1)
  contents.released(node, true)
  expect([contents.openCount(node), contents.writerCount(node)]).toEqual([0, 0])
})
