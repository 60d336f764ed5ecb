import { afterEach, expect, test } from 'vitest'
import { localDisk } from './disk.ts'
import { Fixture, until } from '../../../../tests/support/blob-rig.ts'

let fixture: Fixture
afterEach(async () => fixture.end())

test('thousands of files that are due at once are opened once each, few at a time, and nobody waits for all of them', async () => {
  const files = 1500
  fixture = await Fixture.make({ saveMs: 60_000, closeSyncMs: 60_000 })
  let opened = 0
  fixture.disk = {
    ...localDisk,
    open: (path, make) => {
      opened += 1
      return localDisk.open(path, make)
    },
  }
  const contents = await fixture.open()
  const nodes = Array.from({ length: files }, () => fixture.newNode())
  for (const node of nodes) await fixture.write(node, 0, Buffer.from('x'))
  opened = 0
  await Promise.all(nodes.map((node) => contents.sync(node)))
  expect(opened).toBeGreaterThan(0)
  expect(opened).toBeLessThanOrEqual(files)
})

test('closed files are synced a few at a time, so that an fsync does not wait for all of them', async () => {
  const files = 400
  fixture = await Fixture.make({ closeSyncMs: 300 })
  let synced = 0
  fixture.disk = {
    ...localDisk,
    datasync: async () => {
      await new Promise((resolve) => setTimeout(resolve, 10))
      synced += 1
    },
  }
  const contents = await fixture.open()
  const nodes = Array.from({ length: files }, () => fixture.newNode())
  for (const node of nodes) {
    contents.opened(node, true)
    await fixture.write(node, 0, Buffer.from('x'))
    contents.released(node, true)
  }
  await until(() => synced > 0)
  const waiting = fixture.newNode()
  await fixture.write(waiting, 0, Buffer.from('y'))
  const before = synced
  await contents.sync(waiting)
  expect(synced - before).toBeLessThan(24)
  await until(() => synced > files)
})
