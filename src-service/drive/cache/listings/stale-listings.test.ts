import { expect, test } from 'vitest'
import { FakeCloud } from '../../../../tests/support/fake-cloud.ts'
import { SyncRig } from '../../../../tests/support/sync-rig.ts'
import type { ListPage } from '../../connectors/connector.ts'
import { rootNode } from '../tree.ts'

const soon = () => AbortSignal.timeout(5000)

test('a listing from before our changes undoes none of them; another client’s change counts', async () => {
  const cloud = new FakeCloud()
  for (const name of ['overwritten', 'removed', 'kept']) cloud.put(name, 'theirs')
  const rig = await SyncRig.open(cloud)
  try {
    await rig.listings.refresh(rootNode, soon())
    const old: ListPage[] = []
    for await (const page of cloud.list({ path: [], id: null, parentId: null }, soon())) old.push(page)
    await rig.write('overwritten', 'ours')
    await rig.write('made', 'ours')
    rig.remove('removed')
    await rig.queue.drain(soon())
    const before = [rig.nodeAt('overwritten'), rig.nodeAt('made')]

    const list = cloud.list.bind(cloud)
    cloud.list = async function* () {
      await Promise.resolve()
      yield* old
    }
    cloud.calls.length = 0
    await rig.listings.refresh(rootNode, soon())
    expect([rig.nodeAt('overwritten'), rig.nodeAt('made'), rig.findNode('removed')]).toEqual([...before, 0])
    expect(rig.findNode('kept')).toBeGreaterThan(0)
    expect(cloud.calls.filter((call) => call.startsWith('stat')).sort()).toEqual(['stat made', 'stat overwritten', 'stat removed'])

    cloud.list = list
    cloud.drop('made')
    cloud.put('overwritten', 'theirs again')
    cloud.put('removed', 'theirs again')
    await rig.listings.refresh(rootNode, soon())
    expect(rig.findNode('made')).toBe(0)
    expect(rig.findNode('removed')).toBeGreaterThan(0)
    expect(rig.nodeAt('overwritten')).not.toBe(before[0])
  } finally {
    await rig.close()
  }
})
