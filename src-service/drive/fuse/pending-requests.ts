import { CloudError } from '../../common/errors.ts'
import type { RequestReader } from './requests.ts'

/** A request whose answer takes a while. */
export interface Pending {
  readonly offset: number
  readonly opcode: number
  readonly unique: number
  /** performance.now() of its dispatch, and of what its deadline counts from. */
  readonly begun: number
  since: number
  /** Milliseconds; Infinity = none. */
  readonly deadlineMs: number
  /** Aborted at the deadline and at the end of the session. */
  readonly abort: AbortController
  /** False once it is answered or given up: from then on its place may hold another request and its result is dropped. */
  open: boolean
  /** Called when it is closed. */
  answered: (() => void) | null
}

/**
 * The waiting requests of a connection, at most as many as the request memory has places. One timer looks after all of them:
 * whatever the layers below promise about their own deadlines, nobody waits longer than `deadlineMs` and two ticks. The first tick
 * beyond the deadline is theirs, because they know better what went wrong.
 */
export class PendingRequests {
  readonly #waiting = new Set<Pending>()
  readonly #tickMs: number
  readonly #timer: NodeJS.Timeout
  readonly #expire: (pending: Pending, error: CloudError) => void

  /** @param expire answers a request whose time is over. */
  constructor(tickMs: number, expire: (pending: Pending, error: CloudError) => void) {
    this.#expire = expire
    this.#tickMs = tickMs
    this.#timer = setInterval(() => this.#tick(), tickMs)
    this.#timer.unref()
  }

  get size(): number {
    return this.#waiting.size
  }

  add(request: RequestReader, deadlineMs: number): Pending {
    const now = performance.now()
    const { offset, opcode, unique } = request
    const pending = { offset, opcode, unique, begun: now, since: now, deadlineMs, abort: new AbortController(), open: true, answered: null }
    this.#waiting.add(pending)
    return pending
  }

  find(unique: number): Pending | undefined {
    for (const pending of this.#waiting) if (pending.unique === unique) return pending
    return undefined
  }

  /** Takes it off the list. @returns false if that happened before: then there is nothing to answer any more. */
  close(pending: Pending): boolean {
    if (!pending.open) return false
    pending.open = false
    this.#waiting.delete(pending)
    pending.answered?.()
    return true
  }

  /** Ends the waits without answers; the requests stay in memory for a successor. */
  abandon(): void {
    clearInterval(this.#timer)
    const reason = new CloudError('cancelled', 'the connection is being given up')
    for (const pending of [...this.#waiting]) {
      this.close(pending)
      pending.abort.abort(reason)
    }
  }

  #tick(): void {
    const now = performance.now()
    for (const pending of [...this.#waiting]) {
      if (now - pending.since < pending.deadlineMs + this.#tickMs) continue
      const error = new CloudError('timeout', `no answer within ${pending.deadlineMs} ms`)
      pending.abort.abort(error)
      this.#expire(pending, error)
    }
  }
}
