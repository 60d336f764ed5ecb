import { afterEach, expect, test } from 'vitest'
import { FakeCloud } from '../../tests/support/fake-cloud.ts'
import { calls, cloud, end, rig, start } from '../../tests/support/one-rig.ts'
import { systemClock } from '../common/clock.ts'
import { Reachability } from './cache/reachability.ts'
import { contentsHost } from './contents-host.ts'

afterEach(end)

test('bytes that are asked for while their object moves are read at its new place', async () => {
  await start(new FakeCloud({ move: 'object', realFolders: false }))
  const { rev } = cloud.put('a', 'the bytes')
  await rig.refresh()
  const { tree, places } = rig
  const node = rig.nodeAt('a')
  const reachability = new Reachability({ connector: cloud, clock: systemClock, probeMs: 1000, onChange: () => undefined })
  const host = contentsHost({
    tree,
    connector: cloud,
    places,
    reachability,
    log: () => undefined,
    queue: () => rig.queue,
    fullChanged: () => undefined,
  })
  let go: () => void = () => undefined
  const held = new Promise<void>((resolve) => (go = resolve))
  cloud.delay = () => {
    cloud.delay = () => Promise.resolve()
    return held
  }
  const reading = (async () => {
    const chunks: Uint8Array[] = []
    for await (const chunk of host.readRemote(node, 0, 9, rev, 'reader', AbortSignal.timeout(5000))) chunks.push(chunk)
    return Buffer.concat(chunks).toString()
  })()
  rig.rename('a', 'b')
  await rig.drain()
  go()
  expect(await reading).toBe('the bytes')
  expect(calls('read')).toEqual(['read a', 'read b'])
})
