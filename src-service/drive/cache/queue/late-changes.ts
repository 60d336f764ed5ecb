import type { Clock } from '../../../common/clock.ts'
import type { CloudError } from '../../../common/errors.ts'
import { surelyNotDone } from '../../connectors/with-retry.ts'

/** How often it is looked while a change may still come. */
const looks = 8
const underWay = Infinity
const answered = 0

/**
 * Changes that nobody has the answer to, by the remote row that they make or replace. A request that a dead process left
 * behind, or that was given up, may be carried out after it was looked for: "not there" counts when the time of a request
 * has passed since the first look. Only in memory: a new process begins that time anew.
 */
export class LateChanges {
  readonly #clock: Clock
  /** Ms until which a change may come, `underWay` or `answered`. None: of a predecessor, or none at all. */
  readonly #until = new Map<number, number>()
  readonly #patienceMs: number

  /** @param patienceMs the deadline of a request, in milliseconds */
  constructor(clock: Clock, patienceMs: number) {
    this.#clock = clock
    this.#patienceMs = patienceMs
  }

  begun(remote: number): void {
    this.#until.set(remote, underWay)
  }

  /** The change will not come any more if it is not there now. */
  answered(remote: number): void {
    this.#until.set(remote, answered)
  }

  /** The outcome is known. */
  forget(remote: number): void {
    this.#until.delete(remote)
  }

  /** True if a change of this process, or one that it took over as `begun`, may still come. */
  mayCome(remote: number): boolean {
    return (this.#until.get(remote) ?? answered) !== answered
  }

  /** The change is not there. Milliseconds since 1970 at which to look again; undefined if it does not come any more. */
  nextLook(remote: number): number | undefined {
    const now = this.#clock.now()
    const until = Math.min(this.#until.get(remote) ?? underWay, now + this.#patienceMs)
    if (until <= now) {
      this.#until.delete(remote)
      return undefined
    }
    this.#until.set(remote, until)
    return Math.min(until, now + this.#patienceMs / looks)
  }
}

/** False if the provider may still be doing what this was the end of. */
export function isAnswer(error: CloudError): boolean {
  switch (error.kind) {
    case 'offline':
    case 'timeout':
    case 'unavailable':
    case 'garbage':
    case 'cancelled':
    case 'io':
    case 'internal':
      return surelyNotDone(error)
    default:
      return true
  }
}
