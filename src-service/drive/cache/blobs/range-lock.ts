/** A place in the queue of a `RangeLock`. */
export interface RangeTurn {
  readonly start: number
  readonly end: number
  readonly shared: boolean
  /** Resolves when it is this one's turn; undefined if it is at once. */
  readonly ready: Promise<void> | undefined
  release(): void
}

/**
 * Order among the operations on one file: who asks for a range waits for all who asked before for an overlapping one
 * (two shared ones do not wait for each other). Whoever holds ranges of two files asks for them in the order of the node ids.
 */
export class RangeLock {
  readonly #turns: { start: number; end: number; shared: boolean; done: Promise<void> | undefined; finish: (() => void) | undefined }[] = []

  /** True if nobody holds or waits for any range. */
  get idle(): boolean {
    return this.#turns.length === 0
  }

  ask(start: number, end: number, shared: boolean): RangeTurn {
    let before: Promise<void>[] | undefined
    for (const turn of this.#turns) {
      if (turn.start >= end || turn.end <= start || (shared && turn.shared)) continue
      turn.done ??= new Promise((resolve) => (turn.finish = resolve))
      before ??= []
      before.push(turn.done)
    }
    const turn = { start, end, shared, done: undefined, finish: undefined as (() => void) | undefined }
    this.#turns.push(turn)
    return {
      start,
      end,
      shared,
      ready: before === undefined ? undefined : before.length === 1 ? before[0] : Promise.all(before).then(() => undefined),
      release: () => {
        const at = this.#turns.indexOf(turn)
        if (at < 0) return
        this.#turns.splice(at, 1)
        turn.finish?.()
      },
    }
  }

  /** Runs `work` when its turn has come. */
  async hold<T>(start: number, end: number, shared: boolean, work: () => Promise<T>): Promise<T> {
    const turn = this.ask(start, end, shared)
    try {
      if (turn.ready !== undefined) await turn.ready
      return await work()
    } finally {
      turn.release()
    }
  }
}
