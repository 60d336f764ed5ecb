/** The trials of a run: each contestant on each scenario, with the native disk beside it. */
import type { Contestant, Distance } from './contestants/contestant.ts'
import { dropCaches, touchMemory } from './ground.ts'
import type { KernelTrace } from './kernel-trace.ts'
import type { Result } from './results.ts'
import type { Stage } from './stage.ts'
import { judge, median, needsMore, spread } from './statistics.ts'
import { isRow } from './steps.ts'
import type { Row, Scenario } from './steps.ts'
import { runTrial } from './trial.ts'
import type { TrialResult } from './trial.ts'

export interface MeasureOptions {
  readonly wanted: number
  /** Seconds that one row may take. */
  readonly limit: number
  /** Null: nothing is counted. */
  readonly trace: KernelTrace | null
  /** Touches and frees memory before each trial. */
  readonly touch: boolean
  readonly say: (line: string) => void
}

interface Round {
  readonly ours: TrialResult
  readonly native: TrialResult | null
}

/** Results of one scenario at one distance, for everyone. */
export async function measureScenario(
  stage: Stage,
  scenario: Scenario,
  distance: Distance,
  options: MeasureOptions,
): Promise<readonly Result[]> {
  const rows = scenario.rows.filter((part) => isRow(part))
  const hasNative = distance === 'near' && rows.some((row) => row.noNative !== true)
  const results: Result[] = []
  const nativeRounds: TrialResult[] = []
  for (const contestant of stage.contestants) {
    const rounds: Round[] = []
    while (rows.some((row) => needsMore(trialsOf(rounds, row), options.wanted)) && !hopeless(rounds, rows)) {
      const native = rows.every((row) => row.noNative === true) ? null : await besides(stage, stage.native, scenario, options)
      const ours = await besides(stage, contestant, scenario, options, distance)
      if (native !== null) nativeRounds.push(native)
      rounds.push({ ours, native })
      options.say(`${scenario.name} ${distance} ${contestant.name}: ${brief(ours)}`)
    }
    const counts =
      options.trace === null || hopeless(rounds, rows)
        ? null
        : await runTrial(stage, contestant, scenario, { distance, trace: options.trace, limit: options.limit })
    results.push(...rows.map((row) => resultOf(row, distance, contestant.name, rounds, options.wanted, counts)))
  }
  if (hasNative) {
    const rounds = nativeRounds.map((ours) => ({ ours, native: null }))
    results.push(
      ...rows.filter((row) => row.noNative !== true).map((row) => resultOf(row, distance, 'native', rounds, options.wanted, null)),
    )
  }
  return results
}

async function besides(
  stage: Stage,
  contestant: Contestant,
  scenario: Scenario,
  { limit, touch }: MeasureOptions,
  distance: Distance = 'near',
): Promise<TrialResult> {
  if (touch) await touchMemory()
  await dropCaches()
  return runTrial(stage, contestant, scenario, { distance, trace: null, limit })
}

/** One failure of the first row is enough: slow ones would take the time of all others. */
function hopeless(rounds: readonly Round[], rows: readonly Row[]): boolean {
  return rounds.some(({ ours }) => rows.some((row) => typeof ours.values[row.id] === 'string'))
}

function trialsOf(rounds: readonly Round[], row: Row): readonly { readonly value: number; readonly native: number | null }[] {
  return rounds.flatMap(({ ours, native }) => {
    const value = ours.values[row.id]
    const beside = native?.values[row.id]
    return typeof value === 'number' ? [{ value, native: typeof beside === 'number' ? beside : null }] : []
  })
}

function resultOf(
  row: Row,
  distance: Distance,
  contestant: string,
  rounds: readonly Round[],
  wanted: number,
  counted: TrialResult | null,
): Result {
  const { kept, discarded, noisy } = judge(trialsOf(rounds, row), wanted)
  const refusal = rounds.map(({ ours }) => ours.values[row.id]).find((value) => typeof value === 'string')
  const counts = counted?.counts[row.id]
  return {
    row: row.id,
    distance,
    contestant,
    value: kept.length === 0 ? null : median(kept),
    ...(refusal === undefined ? {} : { note: refusal }),
    spread: spread(kept),
    trials: kept.length,
    discarded,
    noisy,
    cpu: median(rounds.map(({ ours }) => ours.cpu)),
    peak: median(rounds.map(({ ours }) => ours.peak)),
    ...(counts === undefined ? {} : { counts }),
  }
}

function brief({ values }: TrialResult): string {
  return Object.entries(values)
    .map(([row, value]) => `${row} ${typeof value === 'number' ? Number(value.toPrecision(4)) : value}`)
    .join(', ')
}
