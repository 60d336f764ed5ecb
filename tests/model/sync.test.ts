import fc from 'fast-check'
import { test } from 'vitest'
import { timesOf } from '../support/random.ts'
import { SyncRig } from '../support/sync-rig.ts'
import { pinned } from './pinned-histories.ts'
import { clouds, fastClock, firstFiles, History, type Step, step } from './sync-history.ts'

/**
 * Random histories of programs on the mount, other clients, outages, lost answers and crashes. Whatever happened: when all
 * is quiet, the tree is what the provider has, and every version that nobody replaced or deleted knowingly is there.
 */

const kinds = (Object.keys(clouds) as (keyof typeof clouds)[]).flatMap((kind) => [
  [kind, 'memory', false] as const,
  [kind, 'files', true] as const,
])

async function replay(kind: keyof typeof clouds, realContents: boolean, steps: readonly Step[], first: readonly string[]): Promise<void> {
  const history = new History(
    await SyncRig.open(clouds[kind](), {
      clock: fastClock(),
      realContents,
      deadlines: { metadataMs: 10_000, readMs: 5000, writeMs: 5000 },
    }),
  )
  try {
    for (const path of first) await history.take({ kind: 'their-put', path })
    await history.rig.refreshAll()
    for (const one of steps) await history.take(one)
    await history.settle()
  } catch (error) {
    const told = JSON.stringify({ kind, realContents, first, steps })
    throw new Error(`${error instanceof Error ? error.message : String(error)}\n${told}\n${history.story()}`, { cause: error })
  } finally {
    await history.rig.close()
  }
}

test.each(pinned)('a history that once ended badly: $why', async ({ kind, realContents, steps, first }) => {
  await replay(kind, realContents, steps, first)
})

test.each(kinds)(
  'random histories: %s, contents in %s',
  async (kind, _where, realContents) => {
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 3, maxLength: 60, size: 'max' }), fc.subarray([...firstFiles]), (steps, first) =>
        replay(kind, realContents, steps, first),
      ),
      // A history is told whole: a part of it takes other turns.
      { numRuns: timesOf(40), endOnFailure: true },
    )
  },
  3_600_000,
)
