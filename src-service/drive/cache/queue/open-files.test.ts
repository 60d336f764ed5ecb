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
