import type { RequestLog } from '../cache/request-log.ts'
import type { Commit, Maybe } from '../vfs/filesystem.ts'

/** Runs changes as the kernel's door does, each in one transaction. Nobody asks for their answers after a crash: HTTP has no such promise. */
export class Changes {
  readonly #log: RequestLog
  readonly #nothing = Buffer.alloc(0)
  #unique = 1

  constructor(log: RequestLog) {
    this.#log = log
  }

  async run<T>(change: Maybe<Commit<T>>): Promise<T> {
    const commit = await change
    const outcome: { done?: { readonly value: T }; error?: unknown } = {}
    const unique = this.#unique++
    this.#log.run(
      unique,
      this.#nothing,
      () => {
        outcome.done = { value: commit() }
        return 0
      },
      (error) => {
        outcome.error = error
        return refused
      },
    )
    this.#log.finished(unique)
    if (outcome.done === undefined) throw outcome.error
    return outcome.done.value
  }
}

/** Any errno: nobody reads it. */
const refused = 5
