import fc from 'fast-check'
import { test } from 'vitest'
import { SyncRig } from '../support/sync-rig.ts'
import { clouds, fastClock, History, step } from './sync-history.ts'

/**
 * Random histories of programs on the mount, other clients, outages, lost answers and crashes. Whatever happened: when all
 * is quiet, the tree is what the provider has, and every version that nobody replaced or deleted knowingly is there.
 */

const runs = Number(process.env['SYNC_RUNS'] ?? 100)
const seed = process.env['SYNC_SEED']
const path = process.env['SYNC_PATH']

const kinds = (Object.keys(clouds) as (keyof typeof clouds)[]).flatMap((kind) => [
  [kind, 'memory', false] as const,
  [kind, 'files', true] as const,
])

test.each(kinds)(
  'random histories: %s, contents in %s',
  async (kind, _where, realContents) => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { minLength: 3, maxLength: 60, size: 'max' }),
        fc.subarray(['d/a', 'd/s/b', 'e/b', 'a', 'd/b']),
        async (steps, first) => {
          const history = new History(await SyncRig.open(clouds[kind](), { clock: fastClock(), realContents }))
          try {
            for (const path of first) await history.take({ kind: 'their-put', path })
            await history.rig.refreshAll()
            for (const one of steps) await history.take(one)
            await history.settle()
          } catch (error) {
            throw new Error(`${error instanceof Error ? error.message : String(error)}\n${history.story()}`, { cause: error })
          } finally {
            await history.rig.close()
          }
        },
      ),
      {
        numRuns: runs,
        ...(seed === undefined ? {} : { seed: Number(seed) }),
        ...(path === undefined ? {} : { path }),
        endOnFailure: process.env['SYNC_SHRINK'] === undefined,
      },
    )
  },
  600_000,
)
