import { expect, it } from 'vitest'
import { checkAgainst } from './baseline.ts'
import { find } from './results.ts'
import type { Results, Trial } from './results.ts'

function trial(contestant: string, round: number, value: number | string): Trial {
  return { scenario: 'write', distance: 'near', contestant, round, values: { write: value }, cpu: 1, peak: 50 }
}

function results(trials: readonly Trial[], writes = 10): Results {
  const counts = { write: { requests: { WRITE: writes }, fsyncs: 0, http: { requests: {}, up: 0, down: 0 } } }
  const countings = [{ scenario: 'write', distance: 'near', contestant: 'CloudMoor', counts }] as const
  return { mode: 'quick', machine: 'a machine', trials, countings }
}

it('judges a trial by the native disk of its own round', () => {
  const found = results([
    ...[trial('native', 1, 100), trial('native', 2, 300), trial('native', 3, 101), trial('native', 4, 99)],
    ...[trial('CloudMoor', 1, 10), trial('CloudMoor', 2, 30), trial('CloudMoor', 3, 12), trial('CloudMoor', 4, 11)],
  ])
  expect(find(found, 'write', 'near', 'CloudMoor')).toMatchObject({ value: 11, trials: 3, discarded: 1, noisy: false })
  expect(find(found, 'write', 'far', 'CloudMoor')).toBeUndefined()
})

it('says why a row has no figure', () => {
  const found = results([trial('CloudMoor', 1, '> 10 s')])
  expect(find(found, 'write', 'near', 'CloudMoor')).toMatchObject({ value: null, note: '> 10 s', trials: 0 })
})

it('a check fails for a row that is further from the native disk than before, and for more requests', () => {
  const before = results([trial('native', 1, 1000), trial('CloudMoor', 1, 500)])
  const said: string[] = []
  const say = (line: string): void => {
    said.push(line)
  }
  // Half the speed of a machine that is half as fast is nothing new.
  expect(checkAgainst(before, results([trial('native', 1, 500), trial('CloudMoor', 1, 250)]), say)).toBe(true)
  expect(checkAgainst(before, results([trial('native', 1, 1000), trial('CloudMoor', 1, 250)]), say)).toBe(false)
  expect(checkAgainst(before, results([trial('native', 1, 1000), trial('CloudMoor', 1, 500)], 40), say)).toBe(false)
  expect(said).toHaveLength(2)
})
