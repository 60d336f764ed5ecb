import type { DriveMetrics } from '../../../common/drive-state.ts'
import type { Clock } from '../../../common/clock.ts'
import type { Mount, MountManager } from '../../mounts/mount-manager-contract.ts'

export interface MountSample {
  readonly mount: Mount
  /** Null = no worker runs, or it did not answer in time. */
  readonly metrics: DriveMetrics | null
}

export interface Sample {
  /** Milliseconds since 1970. */
  readonly time: number
  readonly memoryBytes: number
  readonly mounts: readonly MountSample[]
}

const everyMs = 15_000
const kept = 240
const answerMs = 2_000

/** Samples of the last hour. Workers are asked side by side, and none is waited for longer than two seconds. */
export class MetricSamples {
  readonly #mounts: Pick<MountManager, 'list' | 'metrics'>
  readonly #clock: Clock
  readonly #samples: Sample[] = []
  #cancel: () => void = () => {}
  #ended = false

  constructor(mounts: Pick<MountManager, 'list' | 'metrics'>, clock: Clock) {
    this.#mounts = mounts
    this.#clock = clock
  }

  begin(): void {
    void this.#round()
  }

  end(): void {
    this.#ended = true
    this.#cancel()
  }

  /** Oldest first. */
  list(): readonly Sample[] {
    return this.#samples
  }

  async take(): Promise<Sample> {
    const signal = AbortSignal.timeout(answerMs)
    const mounts = await Promise.all(
      (await this.#mounts.list(signal)).map(async (mount) => ({
        mount,
        metrics: await this.#mounts.metrics(mount.record.id, signal).catch(() => null),
      })),
    )
    return { time: this.#clock.now(), memoryBytes: process.memoryUsage.rss(), mounts }
  }

  async #round(): Promise<void> {
    // A sample that cannot be taken is missing; the next one comes.
    const sample = await this.take().catch(() => null)
    if (this.#ended) return
    if (sample !== null) this.#samples.push(sample)
    if (this.#samples.length > kept) this.#samples.shift()
    this.#cancel = this.#clock.after(everyMs, () => void this.#round())
  }
}
