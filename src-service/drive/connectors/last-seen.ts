/** When something last answered well: by two clocks, since one may be set and the other stands still while the machine sleeps. */
export class LastSeen {
  readonly #now: () => number
  readonly #monotonic: () => number
  #at = -Infinity
  #steadyAt = -Infinity

  /** @param now milliseconds since 1970 @param monotonic milliseconds that only grow */
  constructor(now: () => number = Date.now, monotonic: () => number = () => performance.now()) {
    this.#now = now
    this.#monotonic = monotonic
  }

  note(): void {
    this.#at = this.#now()
    this.#steadyAt = this.#monotonic()
  }

  /** True if it surely was within so many milliseconds. */
  isWithin(milliseconds: number): boolean {
    return Math.abs(this.#now() - this.#at) < milliseconds && this.#monotonic() - this.#steadyAt < milliseconds
  }
}
