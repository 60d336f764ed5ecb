import { afterEach, expect, test } from 'vitest'
import { FakeCloud } from '../../../../tests/support/fake-cloud.ts'
import { calls, cloud, end, rig, start } from '../../../../tests/support/one-rig.ts'
import { CloudError } from '../../../common/errors.ts'

afterEach(end)

const flat = (): FakeCloud => new FakeCloud({ move: 'object', realFolders: false })

/** More than a block, so that a change of the beginning leaves the rest at the provider. */
const long = 'what was there. '.repeat(10_000)

/** Opens a file of which nothing is here. */
async function openFar(path: string, text: string): Promise<number> {
  cloud.put(path, text, { mtime: { sec: 1_700_000_000, nsec: 123_456_789 } })
  await rig.refresh()
  const node = rig.nodeAt(path)
  rig.contents.opened(node, true)
  return node
}

async function readOpen(node: number): Promise<string> {
  const target = Buffer.alloc(rig.tree.needNode(node).size)
  const got = await rig.contents.read(node, 0, target.length, target, 0, AbortSignal.timeout(5000))
  return target.subarray(0, got).toString()
}

test.each(['upload', 'move'] as const)('a file that is open stays readable when another takes its place by %s', async (how) => {
  await start(flat(), { realContents: true })
  const node = await openFar('a', 'was a')
  if (how === 'move') cloud.put('b', 'was b')
  if (how === 'move') await rig.refresh()
  rig.queue.pause(true)
  if (how === 'upload') await rig.write('b', 'was b')
  rig.rename('b', 'a')
  rig.queue.pause(false)
  await rig.drain()
  expect(cloud.dump()).toEqual({ a: 'was b' })
  expect(await readOpen(node)).toBe('was a')
})

const block = 64 * 1024

/** As much as a file of `kib` KiB, no two of them the same. */
const bulk = (name: string, kib: number): string => `${name} of this many bytes,`.padEnd(64, name).repeat(kib * 16)

/** Nothing of these is here but their first block, which was changed. */
async function changeInPart(names: readonly string[], kib: number): Promise<void> {
  for (const name of names) cloud.put(name, bulk(name, kib))
  await rig.refresh()
  cloud.fault = ({ operation }) => (operation === 'read' ? new CloudError('unavailable', 'not now') : undefined)
  const change = (name: string) => rig.contents.write(rig.nodeAt(name), Buffer.alloc(block, name), 0, block, 0, false)
  // Room that is reserved for a request comes back when that has failed.
  for (const name of names) await expect.poll(() => change(name)).toBe(block)
  cloud.fault = () => undefined
}

test('what takes the place of a file that is open waits until there is room to keep that', async () => {
  await start(flat(), { realContents: true, cacheSize: 2 ** 20 })
  const kept = bulk('a', 200)
  const node = await openFar('a', kept)
  rig.queue.pause(true)
  await rig.write('b', bulk('b', 600))
  await rig.write('c', bulk('c', 200))
  rig.rename('c', 'a')
  cloud.fault = ({ operation, path }) => (operation === 'write' && path === 'b' ? new CloudError('busy', 'not now') : undefined)
  rig.queue.pause(false)
  const reasons = (): (string | null)[] => rig.queue.transfers(9).map(({ reason }) => reason)
  await expect.poll(reasons).toContain('waits for room in the cache to keep the file that it replaces, which is still open here')
  // It has looked again by then, and no number of tries ends the wait.
  await new Promise((resolve) => setTimeout(resolve, 2500))
  expect(rig.database.sql.prepare("SELECT tries FROM queue WHERE reason LIKE 'waits for room%'").all()).toEqual([{ tries: 0 }])
  expect(cloud.text('a')).toBe(kept)
  expect(await readOpen(node)).toBe(kept)
  cloud.fault = () => undefined
  await rig.drain(30_000)
  expect(cloud.dump()).toEqual({ a: bulk('c', 200), b: bulk('b', 600) })
  expect(await readOpen(node)).toBe(kept)
}, 60_000)

test('a cache full of files that were changed in part drains', async () => {
  await start(flat(), { realContents: true, cacheSize: 2 ** 20 })
  rig.queue.pause(true)
  const names = Array.from({ length: 14 }, (_, index) => String.fromCharCode(97 + index))
  await changeInPart(names, 116)
  expect(rig.contents.usage().dirtyBytes).toBe(names.length * block)
  rig.queue.pause(false)
  await rig.drain(30_000)
  const first = (name: string): string => name.repeat(block)
  expect(cloud.dump()).toEqual(Object.fromEntries(names.map((name) => [name, first(name) + bulk(name, 116).slice(block)])))
}, 60_000)

test('what replaces a file that is open does not wait for a provider that has it no more', async () => {
  await start(flat(), { realContents: true })
  await openFar('a', 'was a')
  await rig.write('b', 'was b')
  await rig.drain()
  rig.queue.pause(true)
  rig.rename('b', 'a')
  cloud.drop('a')
  rig.queue.pause(false)
  await rig.drain()
  expect(cloud.dump()).toEqual({ a: 'was b' })
})

test('a file that was changed in part and removed keeps its base until it is closed', async () => {
  await start(flat(), { realContents: true })
  const node = await openFar('a', long)
  cloud.fault = ({ operation }) => (operation === 'read' ? new CloudError('unavailable', 'not now') : undefined)
  await rig.contents.write(node, Buffer.from('WHAT'), 0, 4, 0, false)
  rig.remove('a')
  await expect.poll(() => rig.queue.transfers(1)[0]?.reason).toBe('is still open here')
  cloud.fault = () => undefined
  expect(await readOpen(node)).toBe(`WHAT${long.slice(4)}`)
  rig.contents.released(node, true)
  await rig.drain()
  expect(cloud.dump()).toEqual({})
})

test('a file that is open stays readable when it is renamed, the answer is lost, and it is removed', async () => {
  await start(flat(), { realContents: true })
  const node = await openFar('a', 'was a')
  cloud.fault = ({ operation, done }) => {
    if (operation !== 'move' || !done) return undefined
    rig.queue.pause(true)
    return new CloudError('timeout', 'no answer')
  }
  rig.rename('a', 'b')
  await expect.poll(() => calls('move')).toEqual(['move a b'])
  cloud.fault = () => undefined
  rig.remove('b')
  rig.queue.pause(false)
  await expect.poll(() => rig.queue.transfers(9).map(({ reason }) => reason)).toEqual(['is still open here', 'is still open here'])
  expect(cloud.dump()).toEqual({ b: 'was a' })
  expect(await readOpen(node)).toBe('was a')
  rig.contents.released(node, true)
  await rig.drain()
  expect(cloud.dump()).toEqual({})
})

test('a link that is made again where one was removed, which was not answered, is there', async () => {
  await start(new FakeCloud({ move: 'none' }))
  cloud.put('a', 'text')
  await rig.refresh()
  rig.link('a', 'b')
  await rig.drain()
  cloud.fault = ({ operation, done }) => {
    if (operation !== 'remove' || !done) return undefined
    rig.queue.pause(true)
    return new CloudError('timeout', 'no answer')
  }
  rig.remove('b')
  await expect.poll(() => calls('remove')).toEqual(['remove b'])
  cloud.fault = () => undefined
  rig.link('a', 'b')
  rig.queue.pause(false)
  await rig.drain()
  expect(cloud.dump()).toEqual({ a: 'text', b: 'text' })
})
