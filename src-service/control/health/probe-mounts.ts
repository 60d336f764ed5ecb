import { type Clock, pause } from '../../common/clock.ts'
import type { MountHealth } from './mount-health.ts'

export interface ProbeParts {
  readonly mounts: {
    list(signal: AbortSignal): Promise<readonly MountHealth[]>
    /** Asks the provider whether it answers. */
    check(id: string, signal: AbortSignal): Promise<void>
  }
  readonly clock: Clock
  /** Between two probes; 0 = none for now. Asked every few seconds. */
  readonly everyMs: () => Promise<number>
  readonly random?: () => number
}

/** A changed interval counts after this time at the latest. */
const lookMs = 5_000
const answerMs = 60_000
/** Probes of a round are spread over this part of the interval. */
const spread = 0.5

/**
 * Asks the provider of every mount that is up, again and again, whether it answers: a connection that was cut is found out also when
 * nobody uses the mount. Mounts without their secrets, and those whose provider wants to be left alone, are left out.
 * The result ends it.
 */
export function probeMounts({ mounts, clock, everyMs, random = Math.random }: ProbeParts): () => void {
  const ended = new AbortController()
  const isOver = () => ended.signal.aborted

  async function probe(id: string, within: number): Promise<void> {
    await pause(clock, random() * within, ended.signal)
    // What it finds is the mount's condition.
    if (!isOver()) await mounts.check(id, AbortSignal.any([ended.signal, AbortSignal.timeout(answerMs)])).catch(() => {})
  }

  async function run(): Promise<void> {
    let last = clock.monotonic()
    while (!isOver()) {
      const every = await everyMs().catch(() => 0)
      const remaining = every === 0 ? lookMs : last + every - clock.monotonic()
      if (remaining > 0) {
        await pause(clock, Math.min(remaining, lookMs), ended.signal)
        continue
      }
      last = clock.monotonic()
      const all = await mounts.list(AbortSignal.timeout(answerMs)).catch(() => [])
      await Promise.all(all.filter(isProbed).map(({ record }) => probe(record.id, every * spread)))
    }
  }

  void run()
  return () => ended.abort()
}

function isProbed({ status }: MountHealth): boolean {
  return status.state === 'mounted' && !status.conditions.some(({ kind }) => kind === 'waiting-for-vault' || kind === 'throttled')
}
