import type { Clock } from '../../../common/clock.ts'
import type { QuietTimes } from './quiet-times.ts'

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
  readonly #quiet: Pick<QuietTimes, 'isHurried'>
  #began = -Infinity
  #last = -Infinity

  constructor(clock: Clock, quiet: Pick<QuietTimes, 'isHurried'>) {
    this.#clock = clock
    this.#quiet = quiet
  }

  /** A program made, moved or removed a name. */
  happened(): void {
    const now = this.#clock.monotonic()
    if (now - this.#last > gapMs) this.#began = now
    this.#last = now
  }

  /** When it is worth asking again, ms since 1970; 0: nobody is to be waited for. */
  until(): number {
    const now = this.#clock.monotonic()
    const isOver = now - this.#last > gapMs || now - this.#began > longestMs
    return isOver || this.#quiet.isHurried ? 0 : this.#clock.now() + Math.ceil(this.#last + gapMs - now) + 1
  }
}
