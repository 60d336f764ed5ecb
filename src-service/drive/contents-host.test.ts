import { afterEach, describe, expect, test } from 'vitest'
import { FakeCloud } from '../../tests/support/fake-cloud.ts'
import { calls, changes, cloud, end, rig, start } from '../../tests/support/one-rig.ts'
import { isProof } from '../../tests/support/random.ts'
import { CloudError } from '../common/errors.ts'

afterEach(end)

const clouds = {
  'object storage': { move: 'object', realFolders: false },
  'a provider that cannot move': { move: 'none', realFolders: false },
  'a provider that moves folders': { move: 'tree', realFolders: true },
} as const

test('bytes that are asked for while their object moves are read at its new place', async () => {
  await start(new FakeCloud(clouds['object storage']), { realContents: true })
  cloud.put('a', 'the bytes')
  await rig.refresh()
  let go: () => void = () => undefined
  const held = new Promise<void>((resolve) => (go = resolve))
  cloud.delay = () => {
    cloud.delay = () => Promise.resolve()
    return held
  }
  const reading = rig.read('a')
  await expect.poll(() => calls('read')).toHaveLength(1)
  rig.rename('a', 'b')
  await rig.drain()
  go()
  expect(await reading).toBe('the bytes')
  expect(calls('read')).toEqual(['read a', 'read b'])
})

/** Milliseconds; the first is how long an unanswered change may still come. */
const deadlines = { metadataMs: 50, readMs: 5000, writeMs: 5000 }

/** What programs do, and what they find then under which name. */
const moves: Readonly<Record<string, { readonly act: () => void; readonly finds: Readonly<Record<string, string>> }>> = {
  'a file is renamed': {
    act: () => {
      rig.rename('plain', 'moved')
    },
    finds: { moved: 'was plain', 'x/in': 'was x' },
  },
  'a file takes the place of another': {
    act: () => {
      rig.rename('plain', 'x/in')
    },
    finds: { 'x/in': 'was plain', 'x/deep/two': 'was two' },
  },
  'a folder is renamed': {
    act: () => {
      rig.rename('x', 'z')
    },
    finds: { 'z/in': 'was x', 'z/deep/two': 'was two' },
  },
  'folders are exchanged': {
    act: () => {
      rig.exchange('x', 'y')
    },
    finds: { 'y/in': 'was x', 'y/deep/two': 'was two', 'x/in': 'was y' },
  },
  'a link takes the name of its file': {
    act: () => {
      rig.link('plain', 'x/link')
      rig.remove('plain')
    },
    finds: { 'x/link': 'was plain' },
  },
}

async function expectFound(finds: Readonly<Record<string, string>>): Promise<void> {
  const found = await Promise.all(Object.keys(finds).map(async (path) => [path, await rig.read(path)]))
  expect(Object.fromEntries(found)).toEqual(finds)
  for (const path of Object.keys(finds)) await rig.contents.evict(rig.nodeAt(path))
}

/** The queue goes no further than the n-th change, which is done or not, and whose answer does not come. False if there are not so many. */
async function strike(number: number, isDone: boolean, isDeath: boolean, act: () => void): Promise<boolean> {
  let seen = 0
  cloud.fault = ({ operation, done }) => {
    if (!changes.includes(operation) || done !== isDone || ++seen !== number) return undefined
    rig.queue.pause(true)
    return new CloudError('unavailable', 'no answer')
  }
  act()
  await expect.poll(() => seen >= number || rig.queue.status().files === 0 || isEmpty(), { timeout: 5000 }).toBe(true)
  cloud.fault = () => undefined
  if (seen < number) return false
  if (isDeath) await rig.crash()
  return true
}

function isEmpty(): boolean {
  return rig.database.sql.prepare('SELECT 1 FROM queue').get() === undefined
}

/** Whether the change is done whose answer is lost, and whether the process dies then. */
const fates = [[true, true] as const, ...(isProof ? [[true, false] as const, [false, true] as const] : [])]

describe.each(Object.entries(clouds))('at %s', (_cloud, capabilities) => {
  describe.each(isProof || capabilities.move === 'object' ? [false, true] : [false])(
    'where a move gives another version: %s',
    (newRevs) => {
      test.each(Object.entries(moves))('what is not here is read at every step: %s', { timeout: 60_000 }, async (_what, { act, finds }) => {
        let steps = 0
        for (const [isDone, isDeath] of fates) {
          for (let number = 1; ; number++) {
            await start(Object.assign(new FakeCloud(capabilities), { newRevs }), { realContents: true, deadlines })
            for (const [path, text] of Object.entries({ 'x/in': 'was x', 'x/deep/two': 'was two', 'y/in': 'was y', plain: 'was plain' }))
              cloud.put(path, text, { mtime: { sec: 1_700_000_000, nsec: 123_456_789 } })
            await rig.refreshAll()
            const struck = await strike(number, isDone, isDeath, act)
            if (struck) {
              steps++
              // Where it is stored as another version, only the queue can tell that it is the same.
              const goOn = newRevs ? setTimeout(() => rig.queue.pause(false), 50) : undefined
              await expectFound(finds)
              clearTimeout(goOn)
              rig.queue.pause(false)
              await rig.drain()
              await expectFound(finds)
              expect(rig.alerts).toEqual([])
            }
            await end()
            if (!struck) break
          }
        }
        await start()
        expect(steps).toBeGreaterThan(0)
      })
    },
  )
})
