import { afterEach, expect, test } from 'vitest'
import { FakeCloud } from '../../../../tests/support/fake-cloud.ts'
import { calls, changes, cloud, end, rig, start } from '../../../../tests/support/one-rig.ts'

afterEach(end)

test('a rename is a move, and renames of a rename are one', async () => {
  await start()
  cloud.put('a', '1')
  cloud.put('d/x', 'x')
  await rig.refresh()
  rig.queue.pause(true)
  rig.rename('a', 'b')
  rig.rename('b', 'd/c')
  rig.rename('d', 'e')
  rig.queue.pause(false)
  await rig.drain()
  expect(cloud.dump()).toEqual({ 'e/': '', 'e/c': '1', 'e/x': 'x' })
  expect(calls(...changes).sort()).toEqual(['move a e/c', 'move d e'])
})

test.each(['tree', 'object', 'none'] as const)('renames where the provider moves: %s', async (move) => {
  await start(new FakeCloud({ move, realFolders: move !== 'object' }))
  cloud.put('d/one', '1')
  cloud.put('d/deep/two', '2')
  cloud.put('d/deep/three', '3')
  cloud.put('plain', 'p')
  await rig.refresh()
  await rig.refresh('d')
  rig.rename('d', 'e')
  rig.rename('plain', 'moved')
  expect(await rig.read('e/one')).toBe('1')
  await rig.drain()
  expect(Object.keys(cloud.dump()).filter((path) => !path.endsWith('/'))).toEqual(['e/deep/three', 'e/deep/two', 'e/one', 'moved'])
  await rig.refreshAll()
  expect(rig.paths()).toEqual(['e/', 'e/deep/', 'e/deep/three', 'e/deep/two', 'e/one', 'moved'])
  expect(await rig.read('e/deep/two')).toBe('2')
})

test.each(['tree', 'object', 'none'] as const)('two names exchanged, also folders, where the provider moves: %s', async (move) => {
  await start(new FakeCloud({ move, realFolders: move !== 'object' }))
  cloud.put('a', 'was a')
  cloud.put('b', 'was b')
  cloud.put('x/in', 'was x')
  cloud.put('y/in', 'was y')
  await rig.refreshAll()
  rig.exchange('a', 'b')
  rig.exchange('x', 'y')
  await rig.drain()
  const files = Object.entries(cloud.dump()).filter(([path]) => !path.endsWith('/'))
  expect(Object.fromEntries(files)).toEqual({ a: 'was b', b: 'was a', 'x/in': 'was y', 'y/in': 'was x' })
  await rig.refreshAll()
  expect(rig.paths()).toEqual(['a', 'b', 'x/', 'x/in', 'y/', 'y/in'])
})

test('a folder goes where another one of ours is still being made', async () => {
  await start(new FakeCloud({ move: 'none' }))
  cloud.put('d/s/in', '1')
  await rig.refreshAll()
  let exchanged = false
  cloud.fault = ({ operation, path, done }) => {
    if (operation === 'makeFolder' && path === 'e' && done && !exchanged) {
      exchanged = true
      rig.exchange('d/s', 'e')
    }
    return undefined
  }
  cloud.delay = async () => {
    for (let turn = 0; turn < 10; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  rig.mkdir('e')
  await rig.drain()
  expect(exchanged).toBe(true)
  expect(cloud.dump()).toEqual({ 'd/': '', 'd/s/': '', 'e/': '', 'e/in': '1' })
  await rig.refreshAll()
  expect(rig.paths()).toEqual(['d/', 'd/s/', 'e/', 'e/in'])
})

test('a folder moved into what was inside it', async () => {
  await start()
  cloud.put('out/in/file', '1')
  await rig.refreshAll()
  rig.queue.pause(true)
  rig.rename('out/in', 'in')
  rig.rename('out', 'in/out')
  rig.rename('in', 'out')
  rig.queue.pause(false)
  await rig.drain()
  expect(Object.keys(cloud.dump())).toEqual(['out/', 'out/file', 'out/out/'])
})

test('new files of a renamed folder go to the new place', async () => {
  await start(new FakeCloud({ move: 'object', realFolders: false }))
  cloud.put('d/old', '1')
  await rig.refreshAll()
  rig.rename('d', 'e')
  await rig.write('e/new', '2')
  await rig.write('e/old', '1 changed')
  await rig.drain()
  expect(cloud.dump()).toMatchObject({ 'e/old': '1 changed', 'e/new': '2' })
  expect(cloud.text('d/old')).toBeUndefined()
})

test('what another client put into the old folder meanwhile is left alone', async () => {
  await start(new FakeCloud({ move: 'object', realFolders: false }))
  cloud.put('d/old', '1')
  await rig.refreshAll()
  cloud.put('d/foreign', 'theirs')
  rig.rename('d', 'e')
  await rig.drain()
  expect(cloud.text('e/old')).toBe('1')
  expect(cloud.text('d/foreign') ?? cloud.text('e/foreign')).toBe('theirs')
  await rig.refreshAll()
  const found = Object.values(await rig.dump())
  expect(found.filter((text) => text === 'theirs')).toHaveLength(1)
})

test('a tree goes from the leaves upward', async () => {
  await start()
  cloud.put('d/e/f', '1')
  cloud.put('d/g', '1')
  await rig.refreshAll()
  for (const path of ['d/e/f', 'd/e', 'd/g', 'd']) rig.remove(path)
  await rig.drain()
  expect(cloud.dump()).toEqual({})
  expect(rig.database.sql.prepare('SELECT count(*) AS n FROM remote').get()).toEqual({ n: 0 })
})

test('a folder with something unknown in it comes back', async () => {
  await start()
  cloud.put('d/a', '1')
  await rig.refreshAll()
  cloud.put('d/theirs', '2')
  rig.remove('d/a')
  rig.remove('d')
  await rig.drain()
  expect(cloud.dump()).toEqual({ 'd/': '', 'd/theirs': '2' })
  await rig.refreshAll()
  expect(rig.paths()).toEqual(['d/', 'd/theirs'])
  expect(rig.alerts).toHaveLength(1)
})

test('a file that another client changed comes back, with the folders above it', async () => {
  await start()
  cloud.put('d/e/a', '1')
  await rig.refreshAll()
  cloud.put('d/e/a', 'newer')
  for (const path of ['d/e/a', 'd/e', 'd']) rig.remove(path)
  await rig.drain()
  expect(cloud.text('d/e/a')).toBe('newer')
  expect(rig.paths()).toEqual(['d/', 'd/e/', 'd/e/a'])
  expect(await rig.read('d/e/a')).toBe('newer')
})

test('a folder removed and made again', async () => {
  await start()
  cloud.put('d/a', '1')
  await rig.refreshAll()
  rig.remove('d/a')
  rig.remove('d')
  rig.mkdir('d')
  await rig.write('d/b', '2')
  await rig.drain()
  expect(cloud.dump()).toEqual({ 'd/': '', 'd/b': '2' })
})

test('a folder that is only a prefix stays when its last object goes', async () => {
  await start(new FakeCloud({ move: 'object', realFolders: false }))
  cloud.put('d/a', '1')
  cloud.put('e/b', '1')
  await rig.refreshAll()
  rig.remove('d/a')
  rig.rename('e/b', 'b')
  await rig.drain()
  await rig.refreshAll()
  expect(rig.paths()).toEqual(['b', 'd/', 'e/'])
  await rig.write('d/new', '2')
  await rig.drain()
  expect(cloud.dump()).toMatchObject({ b: '1', 'd/new': '2' })
})

test('a removed tree of prefixes makes no folders on its way out', async () => {
  await start(new FakeCloud({ move: 'object', realFolders: false }))
  cloud.put('d/e/a', '1')
  await rig.refreshAll()
  for (const path of ['d/e/a', 'd/e', 'd']) rig.remove(path)
  await rig.drain()
  expect(cloud.dump()).toEqual({})
  expect(calls('makeFolder')).toEqual([])
})

test('a removed file that a program still reads goes when it is closed', async () => {
  await start()
  cloud.put('a', 'text')
  await rig.refresh()
  const node = rig.nodeAt('a')
  rig.contents.opened(node, false)
  rig.remove('a')
  await expect.poll(() => rig.queue.transfers(1)[0]?.reason).toBe('is still open here')
  const target = Buffer.alloc(4)
  await rig.contents.read(node, 0, 4, target, 0, AbortSignal.timeout(1000))
  expect(target.toString()).toBe('text')
  rig.contents.released(node, false)
  await rig.drain()
  expect(cloud.dump()).toEqual({})
})

test('a link outlives the name that it was made from', async () => {
  await start(new FakeCloud({ copy: false }))
  cloud.put('a', 'text')
  await rig.refresh()
  rig.queue.pause(true)
  rig.link('a', 'b')
  rig.remove('a')
  rig.queue.pause(false)
  await rig.drain()
  expect(cloud.dump()).toEqual({ b: 'text' })
  expect(calls('write', 'read')).toEqual([])
})
