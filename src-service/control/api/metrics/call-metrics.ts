/** How many calls there were, by method and outcome, and how long they took. Numbers only grow, `openStreams` excepted. */
export class CallMetrics {
  readonly #calls = new Map<string, { count: number; milliseconds: number }>()
  openStreams = 0

  /** @param outcome `OK`, or the reason of the error */
  count(method: string, outcome: string, milliseconds: number): void {
    const key = `${method} ${outcome}`
    const entry = this.#calls.get(key) ?? { count: 0, milliseconds: 0 }
    entry.count++
    entry.milliseconds += milliseconds
    this.#calls.set(key, entry)
  }

  list(): { readonly method: string; readonly outcome: string; readonly count: number; readonly milliseconds: number }[] {
    return [...this.#calls].map(([key, entry]) => {
      const [method = '', outcome = ''] = key.split(' ')
      return { method, outcome, ...entry }
    })
  }
}
