import { afterEach, expect, test } from 'vitest'
import { blockSize } from './block-map.ts'
import { Fixture, pattern, signal, until } from './test-fixture.ts'

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
