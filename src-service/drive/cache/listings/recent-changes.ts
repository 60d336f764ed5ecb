import type { Clock } from '../../../common/clock.ts'

/** Milliseconds after a change of ours for which a listing may still show what was before it: caches, servers that agree late. */
const window = 30_000
const mostRemembered = 10_000

/** The names that the provider confirmed changes of ours to, lately. */
export class RecentChanges {
  readonly #clock: Clock
  /** Oldest first. */
  readonly #changed = new Map<string, number>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  add(folder: number, name: Buffer): void {
    const now = this.#clock.monotonic()
    const key = keyOf(folder, name)
    this.#changed.delete(key)
    this.#changed.set(key, now)
    for (const [oldest, at] of this.#changed) {
      if (now - at <= window && this.#changed.size <= mostRemembered) break
      this.#changed.delete(oldest)
    }
  }

  has(folder: number, name: Buffer): boolean {
    const at = this.#changed.get(keyOf(folder, name))
    return at !== undefined && this.#clock.monotonic() - at <= window
  }
}

function keyOf(folder: number, name: Buffer): string {
  return `${folder}/${name.toString('latin1')}`
}
