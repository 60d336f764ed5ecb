/** One scenario, once, on one contestant. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Contestant, Distance, Prepared } from './contestants/contestant.ts'
import { connectionOf, letGo } from './contestants/child-mount.ts'
import type { Traffic } from './delay-proxy.ts'
import { costOf, dropCaches, forgetPeaks, proportionalMemory } from './ground.ts'
import type { Counts, KernelTrace } from './kernel-trace.ts'
import type { Stage } from './stage.ts'
import { isRow } from './steps.ts'
import type { Move, Row, Scenario, Step } from './steps.ts'

export interface TrialResult {
  /** By row id; a number in the row's unit, or why there is none. */
  readonly values: Readonly<Record<string, number | string>>
  /** By row id; only in a counted trial. */
  readonly counts: Readonly<Record<string, Counted>>
  /** Of the processes of the mount, over the scenario: seconds and MB. */
  readonly cpu: number
  readonly peak: number
}

export interface Counted extends Counts {
  readonly http: Traffic
}

export interface TrialOptions {
  readonly distance: Distance
  /** Counts instead of measuring: the way through the counting proxy costs time. */
  readonly trace: KernelTrace | null
  /** Longest time of one row, seconds. */
  readonly limit: number
}

export async function runTrial(stage: Stage, contestant: Contestant, scenario: Scenario, options: TrialOptions): Promise<TrialResult> {
  const bucket = await stage.bucketFor(scenario)
  const endpoint = stage.endpoint(options.distance, options.trace !== null)
  const prepared = await contestant.prepare({ bucket, readOnly: scenario.readOnly === true, endpoint })
  try {
    const rows = scenario.rows.filter((part) => contestant !== stage.native || !isRow(part) || part.noNative !== true)
    return await new Trial(stage, prepared, bucket, options).run({ ...scenario, rows })
  } finally {
    await prepared.dispose()
    if (scenario.data === 'nothing') await stage.buckets.remove(bucket)
  }
}

class Trial {
  readonly #stage: Stage
  readonly #prepared: Prepared
  readonly #bucket: string
  readonly #options: TrialOptions
  readonly #values: Record<string, number | string> = {}
  readonly #counts: Record<string, Counted> = {}
  #stepEnded = 0

  constructor(stage: Stage, prepared: Prepared, bucket: string, options: TrialOptions) {
    this.#stage = stage
    this.#prepared = prepared
    this.#bucket = bucket
    this.#options = options
  }

  async run(scenario: Scenario): Promise<TrialResult> {
    const startsItself = scenario.rows.some((part) => isRow(part) && part.work.do === 'start')
    if (!startsItself) await this.#prepared.start()
    await dropCaches()
    const pids = await this.#prepared.pids()
    await forgetPeaks(pids)
    const before = await costOf(pids)
    await this.#take()
    for (const part of scenario.rows) {
      if (isRow(part)) {
        if (!(await this.#row(part))) break
      } else await this.#move(part)
    }
    const restarts = scenario.rows.some((part) => !isRow(part) && part.do === 'remount')
    const after = await costOf(startsItself || restarts ? await this.#prepared.pids() : pids)
    return { values: this.#values, counts: this.#counts, cpu: after.cpu - (restarts ? 0 : before.cpu), peak: after.peak }
  }

  /** False if the rows after it make no sense. */
  async #row(row: Row): Promise<boolean> {
    try {
      this.#values[row.id] = await this.#work(row.work)
    } catch (error) {
      this.#values[row.id] = error instanceof Error ? error.message : String(error)
      return false
    } finally {
      const counted = await this.#take()
      if (counted !== null) this.#counts[row.id] = counted
    }
    return true
  }

  async #take(): Promise<Counted | null> {
    const { trace, distance } = this.#options
    if (trace === null) return null
    const kernel = await trace.take(await connectionOf(this.#prepared.path), await this.#prepared.pids())
    return { ...kernel, http: this.#stage.traffic(distance) }
  }

  async #work(work: Step | Move): Promise<number> {
    switch (work.do) {
      case 'drop-caches':
      case 'remount':
        await this.#move(work)
        return 0
      case 'start':
        return timed(() => this.#prepared.start())
      case 'uploaded':
        return this.#uploaded(work.objects)
      case 'memory':
        // Idle: nothing of the start is under way any more.
        await sleep(3000)
        return proportionalMemory(work.of === 'mount' ? await this.#prepared.pids() : await this.#prepared.sharedPids())
      default:
        return this.#step(work)
    }
  }

  async #move(move: Move): Promise<void> {
    if (move.do === 'drop-caches') await dropCaches()
    if (move.do === 'remount') {
      await this.#prepared.stop()
      await dropCaches()
      await this.#prepared.start()
    }
  }

  async #step(step: Step): Promise<number> {
    const { limit } = this.#options
    const { path } = this.#prepared
    const child = spawn(process.execPath, [join(import.meta.dirname, 'load.ts'), JSON.stringify({ step, folder: path })], {
      cwd: '/',
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: { ...process.env, UV_THREADPOOL_SIZE: '16', NODE_DISABLE_COMPILE_CACHE: '1' },
    })
    let output = ''
    let errors = ''
    let cut: string | undefined
    child.stdout.on('data', (chunk: Buffer) => (output += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (errors += chunk.toString()))
    const timer = setTimeout(() => {
      cut = `> ${limit} s`
      if (child.pid !== undefined) process.kill(-child.pid, 'SIGKILL')
      void letGo(path)
    }, limit * 1000)
    const code = await new Promise<number | null>((resolve) => child.on('close', resolve))
    clearTimeout(timer)
    this.#stepEnded = performance.now()
    if (cut !== undefined) throw new Error(cut)
    if (code !== 0) throw new Error(`failed: ${/(Error: .*|fatal: .*)/.exec(errors)?.[0] ?? errors.slice(-200)}`)
    return Number(output)
  }

  async #uploaded(objects: number): Promise<number> {
    const { limit } = this.#options
    for (;;) {
      const asked = performance.now()
      const count = await this.#stage.buckets.count(this.#bucket)
      const passed = (asked - this.#stepEnded) / 1000
      if (count === objects) return passed
      if (passed > limit) throw new Error(`> ${limit} s`)
      await sleep(Math.max(50, 3 * (performance.now() - asked)))
    }
  }
}

async function timed(work: () => Promise<void>): Promise<number> {
  const begun = performance.now()
  await work()
  return (performance.now() - begun) / 1000
}
