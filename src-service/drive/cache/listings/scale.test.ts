import { afterEach, expect, test } from 'vitest'
import { calls, cloud, end, rig, start } from '../../../../tests/support/one-rig.ts'
import { rootNode } from '../tree.ts'

afterEach(end)

test('twenty thousand entries are taken in at once, without a request per entry, and the loop stays free', async () => {
  await start()
  for (let index = 0; index < 20_000; index++) cloud.put(`file-${index}.txt`, '1')
  let turns = 0
  let counting = true
  const count = (): void => {
    turns++
    if (counting) setImmediate(count)
  }
  setImmediate(count)
  const begin = performance.now()
  await rig.refresh()
  const first = performance.now() - begin
  const again = performance.now()
  await rig.refresh()
  const second = performance.now() - again
  counting = false
  expect(rig.tree.names(rootNode)).toHaveLength(20_000)
  expect(calls('stat', 'read')).toEqual([])
  expect(first).toBeLessThan(5000)
  expect(second).toBeLessThan(3000)
  // Not more than some hundred entries without a turn for others.
  expect(turns).toBeGreaterThan(150)
}, 30_000)

test('a folder of thousands that vanishes is removed a part at a time', async () => {
  await start()
  for (let index = 0; index < 3000; index++) cloud.put(`d/file-${index}`, '1')
  cloud.put('other', '1')
  await rig.refreshAll()
  cloud.drop('d')
  await rig.refresh()
  // So much needs a second listing.
  expect(rig.findNode('d')).not.toBe(0)
  await rig.refresh()
  expect(rig.paths()).toEqual(['other'])
  expect(rig.database.sql.prepare('SELECT count(*) AS n FROM node').get()).toEqual({ n: 2 })
}, 30_000)
