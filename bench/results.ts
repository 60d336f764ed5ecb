/** What runs found: every trial is kept as JSON, so that a run may be interrupted, continued, and partly repeated. */
import { readFile, writeFile } from 'node:fs/promises'
import { cpus, release, totalmem } from 'node:os'
import type { Distance } from './contestants/contestant.ts'
import { judge, median, spread } from './statistics.ts'
import { isRow } from './steps.ts'
import type { Row, Scenario } from './steps.ts'
import type { Counted, TrialResult } from './trial.ts'

/** One scenario, once, on one contestant. */
export interface Trial extends Pick<TrialResult, 'values' | 'cpu' | 'peak'> {
  readonly scenario: string
  readonly distance: Distance
  readonly contestant: string
  /** Trials of one round are beside the same trial of the native disk. */
  readonly round: number
}

export interface Counting {
  readonly scenario: string
  readonly distance: Distance
  readonly contestant: string
  readonly counts: TrialResult['counts']
}

export interface Results {
  readonly mode: 'quick' | 'full'
  readonly machine: string
  readonly trials: readonly Trial[]
  readonly countings: readonly Counting[]
}

/** What is said of one row. */
export interface Result {
  /** Median in the row's unit; null where there is none, and `note` says why. */
  readonly value: number | null
  readonly note?: string
  /** See `spread`. */
  readonly spread: number
  readonly trials: number
  readonly discarded: number
  readonly noisy: boolean
  /** Of the whole scenario: seconds of processor time and MB. */
  readonly cpu: number
  readonly peak: number
  readonly counts?: Counted
}

export function thisMachine(): string {
  const model = cpus()[0]?.model.trim() ?? 'unknown processor'
  return `${cpus().length} × ${model}, ${Math.round(totalmem() / 2 ** 30)} GiB, Linux ${release().replace(/-.*/, '')}, Node ${process.versions.node}`
}

export async function loadResults(file: string): Promise<Results | null> {
  const text = await readFile(file, 'utf8').catch(() => null)
  return text === null ? null : (JSON.parse(text) as Results)
}

export async function saveResults(file: string, results: Results): Promise<void> {
  await writeFile(file, `${JSON.stringify(results, null, 1)}\n`)
}

/** Trials of one row, each with what the native disk reached beside it. */
export function trialsOf(
  results: Results,
  row: string,
  distance: Distance,
  contestant: string,
): readonly { readonly value: number; readonly native: number | null; readonly trial: Trial }[] {
  const natives = new Map(results.trials.filter(isNative).map((trial) => [`${trial.scenario} ${trial.distance} ${trial.round}`, trial]))
  return results.trials.flatMap((trial) => {
    const value = trial.values[row]
    if (trial.distance !== distance || trial.contestant !== contestant || typeof value !== 'number') return []
    const beside = isNative(trial) ? undefined : natives.get(`${trial.scenario} ${distance} ${trial.round}`)?.values[row]
    return [{ value, native: typeof beside === 'number' ? beside : null, trial }]
  })
}

/** @param wanted see `judge` */
export function find(results: Results, row: string, distance: Distance, contestant: string, wanted = 3): Result | undefined {
  const all = results.trials.filter((trial) => trial.distance === distance && trial.contestant === contestant && row in trial.values)
  if (all.length === 0) return undefined
  const { kept, discarded, noisy } = judge(trialsOf(results, row, distance, contestant), wanted)
  const note = all.map(({ values }) => values[row]).find((value) => typeof value === 'string')
  const counting = results.countings.find(
    (one) => one.distance === distance && one.contestant === contestant && one.counts[row] !== undefined,
  )?.counts[row]
  return {
    value: kept.length === 0 ? null : median(kept),
    ...(note === undefined ? {} : { note }),
    spread: spread(kept),
    trials: kept.length,
    discarded,
    noisy,
    cpu: median(all.map(({ cpu }) => cpu)),
    peak: median(all.map(({ peak }) => peak)),
    ...(counting === undefined ? {} : { counts: counting }),
  }
}

/** Rows of a scenario that can be measured, without the bench's own moves. */
export function rowsOf(scenario: Scenario): readonly Row[] {
  return scenario.rows.filter((part) => isRow(part))
}

function isNative({ contestant }: Trial): boolean {
  return contestant === 'native'
}
