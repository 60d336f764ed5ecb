import { newId } from '../../../common/ids.ts'

export interface Recorded<Event> {
  readonly sequence: number
  /** Milliseconds since 1970. */
  readonly time: number
  readonly event: Event
}

/**
 * The last events in their order. Nothing is kept for a reader: each goes through them at its own pace and finds out when it was
 * overtaken.
 */
export class EventBus<Event> {
  /** Changes with every start of the service. */
  readonly epoch = newId()
  readonly #kept: number
  readonly #ring: (Recorded<Event> | undefined)[]
  readonly #listeners = new Set<() => void>()
  #last = 0

  constructor(kept = 10_000) {
    this.#kept = kept
    this.#ring = new Array<Recorded<Event> | undefined>(kept)
  }

  /** Number of the newest event; 0 = there was none. */
  get last(): number {
    return this.#last
  }

  publish(event: Event): void {
    this.#last++
    this.#ring[this.#last % this.#kept] = { sequence: this.#last, time: Date.now(), event }
    for (const listener of this.#listeners) listener()
  }

  /** The event with this number; undefined = there is none yet, or it is not kept any more. */
  get(sequence: number): Recorded<Event> | undefined {
    const found = this.#ring[sequence % this.#kept]
    return found?.sequence === sequence ? found : undefined
  }

  /** Everything after this number can be had. */
  keepsAfter(sequence: number): boolean {
    return sequence <= this.#last && sequence >= this.#last - this.#kept
  }

  /** Calls the listener when there is something new; the result ends that. */
  onPublish(listener: () => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }
}
