import type { Clock } from '../../../common/clock.ts'

/** Names that follow each other within this belong to one burst, milliseconds. */
const gapMs = 50
/** No burst holds the provider up for longer. */
const longestMs = 5000

/**
 * Names that programs make and remove one after the other, as in an unpacked archive or a removed folder. What has to be done at the
 * provider shares the event loop with them: it begins when they pause, or when they have gone on for long.
 */
export class Bursts {
  readonly #clock: Clock
  #began = -Infinity
  #last = -Infinity

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** A program made, moved or removed a name. */
  happened(): void {
    const now = this.#clock.monotonic()
    if (now - this.#last > gapMs) this.#began = now
    this.#last = now
  }

  /** Milliseconds until it is worth asking again; 0: nobody is to be waited for. */
  left(): number {
    const now = this.#clock.monotonic()
    const isOver = now - this.#last > gapMs || now - this.#began > longestMs
    return isOver ? 0 : Math.ceil(this.#last + gapMs - now) + 1
  }
}
