import { CloudError } from '../../../common/errors.ts'
import type { Priority } from './budget.ts'

/** One ranged request to the provider whose bytes go into a blob. Blocks arrive in order. */
export class Flight {
  /** Generation of the blob that the bytes are for. */
  readonly generation: number
  /** Bytes; `start` is the begin of a block. */
  readonly start: number
  readonly end: number
  readonly priority: Priority
  /** Its bytes may take room that is kept free for what lets the cache drain. */
  readonly useReserve: boolean
  readonly #controller = new AbortController()
  /** The bytes before this are in the blob. */
  #reached: number
  #failure: CloudError | undefined
  readonly #waiting = new Set<{ readonly until: number; readonly resolve: () => void; readonly reject: (error: CloudError) => void }>()

  constructor(generation: number, start: number, end: number, priority: Priority, useReserve: boolean) {
    this.generation = generation
    this.start = start
    this.end = end
    this.priority = priority
    this.useReserve = useReserve
    this.#reached = start
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  get reached(): number {
    return this.#reached
  }

  /** Where the first of those ends who wait; infinite if nobody does. With the bytes up to there it is worth handing over. */
  get awaited(): number {
    let first = Infinity
    for (const { until } of this.#waiting) first = Math.min(first, until)
    return first
  }

  abort(reason: CloudError): void {
    this.#controller.abort(reason)
    this.fail(reason)
  }

  advance(position: number): void {
    this.#reached = position
    for (const one of this.#waiting) {
      if (one.until > position) continue
      this.#waiting.delete(one)
      one.resolve()
    }
  }

  fail(error: CloudError): void {
    this.#failure ??= error
    for (const one of this.#waiting) one.reject(this.#failure)
    this.#waiting.clear()
  }

  /** Resolves when the bytes before `position` are in the blob (at the end of the flight for what lies behind). */
  wait(position: number, signal: AbortSignal): Promise<void> {
    const until = Math.min(position, this.end)
    if (this.#reached >= until) return Promise.resolve()
    if (this.#failure !== undefined) return Promise.reject(this.#failure)
    if (signal.aborted) return Promise.reject(CloudError.from(signal.reason))
    return new Promise((resolve, reject) => {
      const stop = () => {
        this.#waiting.delete(one)
        reject(CloudError.from(signal.reason))
      }
      const one = {
        until,
        resolve: () => {
          signal.removeEventListener('abort', stop)
          resolve()
        },
        reject: (error: CloudError) => {
          signal.removeEventListener('abort', stop)
          reject(error)
        },
      }
      signal.addEventListener('abort', stop)
      this.#waiting.add(one)
    })
  }
}
