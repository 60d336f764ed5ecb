import type { Clock } from '../../../common/clock.ts'
import type { Disk } from './disk.ts'

/** A write that took longer found the disk busy, milliseconds. */
const slowMs = 5
/** So long the pool is asked after the first slow one; twice as long after each that follows soon. */
const leastPauseMs = 5000
const mostPauseMs = 60_000

/**
 * Little things that only go into the page cache, done on the event loop: a trip through the thread pool costs ten times as much.
 * They wait for the disk only when it cannot follow what is written; then they are given to the pool for a while, so that a slow
 * disk holds the loop up once, and not each time.
 */
export class PromptDisk {
  readonly #disk: Disk
  readonly #clock: Clock
  #pausedUntil = -Infinity
  #pauseMs = leastPauseMs

  constructor(disk: Disk, clock: Clock) {
    this.#disk = disk
    this.#clock = clock
  }

  /** Descriptor of a file that is made; -1: ask the pool, also for what went wrong. */
  make(path: string): number {
    return this.#try(() => this.#disk.makeNow(path))
  }

  /** True if all was written; false: ask the pool, also for what went wrong. */
  write(fd: number, data: Uint8Array, offset: number, length: number, position: number): boolean {
    return this.#try(() => this.#disk.writeNow(fd, data, offset, length, position)) === length
  }

  #try(work: () => number): number {
    const begun = this.#clock.monotonic()
    if (begun < this.#pausedUntil) return -1
    const result = work()
    const ended = this.#clock.monotonic()
    if (ended - begun > slowMs) {
      const isSoon = ended - this.#pausedUntil < mostPauseMs
      this.#pauseMs = isSoon ? Math.min(2 * this.#pauseMs, mostPauseMs) : leastPauseMs
      this.#pausedUntil = ended + this.#pauseMs
    }
    return result
  }
}
