/** A run: round after round, each contestant on each scenario with the native disk beside it, until enough is known or time is up. */
import type { Contestant, Distance } from './contestants/contestant.ts'
import { dropCaches, touchMemory } from './ground.ts'
import type { KernelTrace } from './kernel-trace.ts'
import { rowsOf, trialsOf } from './results.ts'
import type { Counting, Results, Trial } from './results.ts'
import type { Stage } from './stage.ts'
import { needsMore } from './statistics.ts'
import type { Scenario } from './steps.ts'
import { runTrial } from './trial.ts'
import type { TrialResult } from './trial.ts'

export interface MeasureOptions {
  /** Trials that each row needs. */
  readonly wanted: number
  /** Seconds that one row may take. */
  readonly limit: number
  /** Null: nothing is counted. */
  readonly trace: KernelTrace | null
  /** Whose requests are counted. */
  readonly counted: (contestant: string) => boolean
  /** Touches and frees memory before each trial, or only before each round. */
  readonly touch: 'trial' | 'round' | 'never'
  /** No round is begun after this, as performance.now() tells it. */
  readonly end: number
  readonly say: (line: string) => void
  /** Called whenever something was found. */
  readonly found: (results: Results) => Promise<void>
}

export interface Part {
  readonly scenario: Scenario
  readonly distance: Distance
}

/**
 * Every part has its first round before any has its second, so that a run that ends early has a figure for each row.
 * @param known trials of an earlier run count
 * @returns false if time was up before everything had its trials
 */
export async function measure(stage: Stage, parts: readonly Part[], known: Results, options: MeasureOptions): Promise<boolean> {
  const run = new Run(stage, known, options)
  for (;;) {
    const open = parts.filter((part) => run.needs(part).length > 0)
    if (open.length === 0) break
    for (const part of open) if (!(await run.inTime(() => run.round(part)))) return false
    for (const part of parts) if (!(await run.inTime(() => run.count(part)))) return false
  }
  for (const part of parts) if (!(await run.inTime(() => run.count(part)))) return false
  return true
}

class Run {
  readonly #stage: Stage
  readonly #options: MeasureOptions
  #results: Results

  constructor(stage: Stage, known: Results, options: MeasureOptions) {
    this.#stage = stage
    this.#results = known
    this.#options = options
  }

  /** False, and nothing done, if time is up. */
  async inTime(work: () => Promise<void>): Promise<boolean> {
    if (performance.now() > this.#options.end) return false
    await work()
    return true
  }

  /** Those who need another trial of the part. */
  needs({ scenario, distance }: Part): readonly Contestant[] {
    return this.#stage.contestants.filter(({ name }) => {
      const rows = rowsOf(scenario)
      return (
        !this.#failed(scenario, distance, name) &&
        rows.some((row) => needsMore(trialsOf(this.#results, row.id, distance, name), this.#options.wanted))
      )
    })
  }

  async round(part: Part): Promise<void> {
    const { scenario, distance } = part
    const { touch, say } = this.#options
    const contestants = this.needs(part)
    const round = 1 + Math.max(0, ...this.#results.trials.map((trial) => (trial.scenario === scenario.name ? trial.round : 0)))
    if (touch === 'round') await touchMemory()
    const taking = rowsOf(scenario).every((row) => row.noNative === true) ? contestants : [this.#stage.native, ...contestants]
    for (const contestant of taking) {
      if (touch === 'trial') await touchMemory()
      await dropCaches()
      const { values, cpu, peak } = await runTrial(this.#stage, contestant, scenario, { distance, trace: null, limit: this.#options.limit })
      const trial: Trial = { scenario: scenario.name, distance, contestant: contestant.name, round, values, cpu, peak }
      await this.#keep({ ...this.#results, trials: [...this.#results.trials, trial] })
      say(`${scenario.name} ${distance} ${contestant.name}: ${brief(values)}`)
    }
  }

  /** Counts what was not counted yet, in a trial of its own: the counting costs time. */
  async count({ scenario, distance }: Part): Promise<void> {
    const { trace, counted, limit } = this.#options
    if (trace === null) return
    for (const contestant of this.#stage.contestants) {
      const { name } = contestant
      const done = this.#results.countings.some(
        (one) => one.scenario === scenario.name && one.distance === distance && one.contestant === name,
      )
      if (done || !counted(name) || this.#failed(scenario, distance, name)) continue
      const { counts } = await runTrial(this.#stage, contestant, scenario, { distance, trace, limit })
      const counting: Counting = { scenario: scenario.name, distance, contestant: name, counts }
      await this.#keep({ ...this.#results, countings: [...this.#results.countings, counting] })
    }
  }

  /** One failure is enough: slow ones would take the time of all others. */
  #failed(scenario: Scenario, distance: Distance, contestant: string): boolean {
    return this.#results.trials.some(
      (trial) =>
        trial.scenario === scenario.name &&
        trial.distance === distance &&
        trial.contestant === contestant &&
        Object.values(trial.values).some((value) => typeof value === 'string'),
    )
  }

  async #keep(results: Results): Promise<void> {
    this.#results = results
    await this.#options.found(results)
  }
}

function brief(values: TrialResult['values']): string {
  return Object.entries(values)
    .map(([row, value]) => `${row} ${typeof value === 'number' ? Number(value.toPrecision(4)) : value}`)
    .join(', ')
}
