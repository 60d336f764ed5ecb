/** At most `size` at once; those that somebody waits for go before those that run behind. */
export class Slots {
  #free: number
  readonly #urgent: (() => void)[] = []
  readonly #behind: (() => void)[] = []

  constructor(size: number) {
    this.#free = size
  }

  async run<T>(urgent: boolean, work: () => Promise<T>): Promise<T> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => (urgent ? this.#urgent : this.#behind).push(resolve))
    try {
      return await work()
    } finally {
      const next = this.#urgent.shift() ?? this.#behind.shift()
      if (next === undefined) this.#free++
      else next()
    }
  }
}
