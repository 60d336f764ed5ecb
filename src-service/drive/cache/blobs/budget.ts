/** Who asks: a program that waits for the bytes, or read-ahead. */
export type Priority = 'reader' | 'ahead'

/** Bytes that requests to the provider may have in flight at once. Readers come first; a quarter is kept for them. */
export class Budget {
  readonly #total: number
  #free: number
  readonly #waiting: { readonly bytes: number; readonly priority: Priority; readonly resolve: () => void }[] = []

  constructor(total: number) {
    this.#total = total
    this.#free = total
  }

  /** What a request of so many bytes takes: one that is larger than everything goes alone. */
  cost(bytes: number): number {
    return Math.min(bytes, this.#total)
  }

  tryTake(bytes: number, priority: Priority): boolean {
    if (!this.#fits(bytes, priority) || this.#waiting.length > 0) return false
    this.#free -= this.cost(bytes)
    return true
  }

  /** Resolves when the bytes are taken; the caller gives `cost(bytes)` back. */
  take(bytes: number, priority: Priority): Promise<void> {
    if (this.tryTake(bytes, priority)) return Promise.resolve()
    return new Promise((resolve) => {
      this.#waiting.push({ bytes, priority, resolve })
      this.#next()
    })
  }

  giveBack(bytes: number): void {
    this.#free += this.cost(bytes)
    this.#next()
  }

  #fits(bytes: number, priority: Priority): boolean {
    const kept = priority === 'reader' ? 0 : this.#total / 4
    return this.#free - this.cost(bytes) >= kept || this.#free === this.#total
  }

  #next(): void {
    for (const priority of ['reader', 'ahead'] as const) {
      for (;;) {
        const at = this.#waiting.findIndex((one) => one.priority === priority)
        const one = this.#waiting[at]
        if (one === undefined) break
        if (!this.#fits(one.bytes, priority)) return
        this.#waiting.splice(at, 1)
        this.#free -= this.cost(one.bytes)
        one.resolve()
      }
    }
  }
}
