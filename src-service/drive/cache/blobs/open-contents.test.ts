import { afterEach, expect, test } from 'vitest'
import { Fixture, pattern, until } from './test-fixture.ts'

let fixture: Fixture
afterEach(async () => fixture.end())

test('a new file is written, read, and still there after a crash', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const node = fixture.newNode()
  const data = pattern(300_000, 1)
  expect(await fixture.write(node, 0, data)).toBe(data.length)
  expect(await fixture.readAll(node)).toEqual(data)
  expect(fixture.row(node)).toMatchObject({ hot: 1, content: 2, size: 0 })
  await fixture.crash()
  fixture.reopenDatabase()
  await fixture.open()
  expect(fixture.row(node)).toMatchObject({ hot: 0, size: 300_000 })
  expect(await fixture.readAll(node)).toEqual(data)
})

test('a remote file is fetched, and kept', async () => {
  fixture = await Fixture.make()
  await fixture.open()
  const data = pattern(3_000_000, 2)
  const node = fixture.remoteNode(data)
  expect(await fixture.readAll(node)).toEqual(data)
  await until(() => fixture.blobRow(node)?.whole === 1)
  await fixture.crash()
  fixture.reopenDatabase()
  fixture.requests.length = 0
  await fixture.open()
  expect(await fixture.readAll(node)).toEqual(data)
  expect(fixture.requests).toEqual([])
})
