import { afterEach, expect, test } from 'vitest'
import { FakeCloud } from '../../../../tests/support/fake-cloud.ts'
import { cloud, end, rig, start } from '../../../../tests/support/one-rig.ts'

afterEach(end)

test('both versions survive: theirs keeps the name', async () => {
  await start()
  cloud.put('doc.txt', 'base')
  await rig.refresh()
  cloud.put('doc.txt', 'theirs')
  await rig.write('doc.txt', 'ours')
  await rig.drain()
  const paths = rig.paths()
  expect(paths).toHaveLength(2)
  expect(paths[0]).toMatch(/^doc \(conflict desk \d{4}-\d\d-\d\d \d{6}\)\.txt$/)
  expect(await rig.read('doc.txt')).toBe('theirs')
  expect(cloud.dump()).toEqual({ 'doc.txt': 'theirs', [paths[0] ?? '']: 'ours' })
  expect(rig.alerts).toHaveLength(1)
  expect(rig.told).toContain('doc.txt')
})

test('two clients make the same name', async () => {
  await start()
  cloud.put('a', 'theirs')
  await rig.write('a', 'ours')
  await rig.drain()
  expect(Object.values(cloud.dump()).sort()).toEqual(['ours', 'theirs'])
  expect(cloud.text('a')).toBe('theirs')
})

test('the same contents are no conflict', async () => {
  await start()
  cloud.put('a', 'same')
  await rig.write('a', 'same')
  await rig.drain()
  expect(cloud.dump()).toEqual({ a: 'same' })
  expect(rig.alerts).toEqual([])
})

test('a file that was deleted there and changed here is uploaded as new', async () => {
  await start()
  cloud.put('a', '1')
  await rig.refresh()
  cloud.drop('a')
  await rig.write('a', 'edited')
  await rig.drain()
  expect(cloud.dump()).toEqual({ a: 'edited' })
})

test('a folder that was deleted there and written into here is made again', async () => {
  await start()
  cloud.put('d/e/a', '1')
  cloud.put('d/other', '1')
  await rig.refreshAll()
  cloud.drop('d')
  await rig.write('d/e/b', 'new')
  await rig.drain()
  expect(cloud.text('d/e/b')).toBe('new')
  await rig.refreshAll()
  expect(rig.paths()).toEqual(['d/', 'd/e/', 'd/e/b'])
})

test('two clients make the same folder: it is one', async () => {
  await start()
  cloud.put('d/theirs', '1')
  rig.mkdir('d')
  await rig.write('d/ours', '2')
  await rig.drain()
  expect(cloud.dump()).toEqual({ 'd/': '', 'd/ours': '2', 'd/theirs': '1' })
  await rig.refreshAll()
  expect(rig.paths()).toEqual(['d/', 'd/ours', 'd/theirs'])
})

test('a rename to a name that another client took', async () => {
  await start()
  cloud.put('a', 'ours')
  await rig.refresh()
  cloud.put('b', 'theirs')
  rig.rename('a', 'b')
  await rig.drain()
  expect(Object.values(cloud.dump()).sort()).toEqual(['ours', 'theirs'])
  expect(cloud.text('b')).toBe('theirs')
  expect(cloud.text('a')).toBeUndefined()
})

test('a file of ours and a folder of theirs', async () => {
  await start()
  cloud.put('x/in', 'theirs')
  await rig.write('x', 'ours')
  await rig.drain()
  await rig.refreshAll()
  expect(cloud.text('x/in')).toBe('theirs')
  expect(Object.values(await rig.dump()).sort()).toEqual(['', 'ours', 'theirs'])
})

test('a rename over a file that another client changed', async () => {
  await start()
  cloud.put('doc', 'base')
  await rig.refresh()
  cloud.put('doc', 'theirs')
  await rig.write('tmp', 'ours')
  rig.rename('tmp', 'doc')
  await rig.drain()
  expect(Object.values(cloud.dump()).sort()).toEqual(['ours', 'theirs'])
  expect(await rig.read('doc')).toBe('theirs')
})

test('a rename of a file that another client changed moves its newer version', async () => {
  await start()
  cloud.put('a', 'base')
  await rig.refresh()
  cloud.put('a', 'theirs')
  rig.rename('a', 'b')
  await rig.drain()
  expect(cloud.dump()).toEqual({ b: 'theirs' })
  expect(await rig.read('b')).toBe('theirs')
})

test('a folder that is made again while it is exchanged with another is no conflict', async () => {
  await start(new FakeCloud({ move: 'object', realFolders: false }))
  rig.mkdir('d')
  rig.mkdir('e')
  await rig.write('d/only', '1')
  await rig.write('e/in', '2')
  await rig.drain()
  let exchanged = false
  cloud.fault = ({ operation, path, done }) => {
    if (operation === 'makeFolder' && path === 'd' && !done && !exchanged) {
      exchanged = true
      rig.exchange('d', 'e')
    }
    return undefined
  }
  // The last object of a folder goes: whether the folder is there by itself is found out by making it.
  rig.remove('d/only')
  await rig.drain()
  expect(exchanged).toBe(true)
  await rig.refreshAll()
  expect(rig.paths()).toEqual(['d/', 'd/in', 'e/'])
  expect(rig.alerts).toEqual([])
})

test('a file goes where another client had one beside a folder of the same name, and removed it', async () => {
  await start(new FakeCloud({ move: 'object', realFolders: false }))
  cloud.put('d/x', 'x')
  await rig.refreshAll()
  cloud.put('d', 'theirs')
  await rig.refreshAll()
  expect(rig.paths()).toContain('d (file)')
  cloud.objects.delete('d')
  rig.rename('d', 'a')
  await rig.write('d', 'ours')
  await rig.drain()
  expect(cloud.text('d')).toBe('ours')
  expect(rig.paths()).toEqual(['a/', 'a/x', 'd'])
  expect(rig.alerts).toEqual([])
})
