/**
 * The token bucket of one account in this process. Mounts of one account that live in several processes share the account's
 * rate: the service gives each its share and passes on what the provider asks for.
 */
import { CloudError } from '../../common/errors.ts'

/** Who waits: somebody who reads, somebody who looks around or changes something, the upload queue. */
export type Priority = 'reader' | 'ordinary' | 'upload'

interface Waiter {
  readonly grant: () => void
}

/** Requests a second that are asked for: those that had their turn, and those that wait for it. */
export interface Demand {
  readonly reader: number
  /** Everything else. */
  readonly other: number
}

/** A call waits no longer than this for its turn, milliseconds: beyond it a clear refusal is better than a hang. */
const longestWait = 10_000
const longestQueue = 4096
/** Every so many grants the rear goes first, so that a busy reader does not stop uploads for good. */
const fairness = 8
/** After an answer that asks to slow down the rate is halved, but never below this part of the share. */
const slowest = 1 / 64
/** Back to the full share within so many seconds of quiet. */
const recovery = 20
const defaultPause = 1000

export class RateLimiter {
  readonly #account: number
  #share: number
  /** Part of the share that the provider bears at present. */
  #factor = 1
  #tokens: number
  #refilled = performance.now()
  #closedUntil = 0
  #timer: NodeJS.Timeout | null = null
  #grants = 0
  readonly #queues: Readonly<Record<Priority, Waiter[]>> = { reader: [], ordinary: [], upload: [] }
  /** Turns that were taken and are not over, and how many of them have not sent their request. */
  #running = 0
  #paid = 0
  #asked = { reader: 0, other: 0 }
  #onThrottle: (milliseconds: number) => void = () => undefined

  /**
   * @param account requests a second that the account bears: what this process may come to have
   * @param share of that, to begin with
   */
  constructor(account: number, share = account) {
    this.#account = account
    this.#share = share
    this.#tokens = Math.max(1, share)
  }

  /** Requests a second at present. */
  get rate(): number {
    return this.#share * this.#factor
  }

  /** Requests a second from now on; what was saved up beyond it is gone. */
  setShare(requestsPerSecond: number): void {
    this.#refill()
    this.#share = requestsPerSecond
    this.#tokens = Math.min(this.#tokens, Math.max(1, this.rate))
    this.#reschedule()
  }

  /** Called when the provider asks this process to slow down, with the milliseconds of the pause. */
  onThrottle(listener: (milliseconds: number) => void): void {
    this.#onThrottle = listener
  }

  /** What was asked for since the last call, which was so many seconds ago. */
  demand(seconds: number): Demand {
    const { reader, ordinary, upload } = this.#queues
    const asked = this.#asked
    this.#asked = { reader: 0, other: 0 }
    return { reader: asked.reader / seconds + reader.length, other: asked.other / seconds + ordinary.length + upload.length }
  }

  /** Milliseconds since 1970 until which the provider asked us to wait; null when it does not. */
  get throttledUntil(): number | null {
    const left = this.#closedUntil - performance.now()
    return left > 0 ? Date.now() + left : null
  }

  /**
   * A request left. The first of each call is paid for by its turn; what a call sends beyond is paid for afterwards, by those who
   * wait longer for it.
   */
  sent(): void {
    if (this.#paid > 0) this.#paid--
    else {
      this.#refill()
      this.#tokens--
    }
  }

  /** Ends what `take` began: what it paid for and did not send is lost. @param turns that were taken */
  done(turns = 1): void {
    this.#running -= turns
    this.#paid = Math.min(this.#paid, this.#running)
  }

  /** Takes a token, now or in turn. Throws `throttled` when the turn is too far away, or the signal's reason. `done` ends the turn. */
  async take(priority: Priority, signal: AbortSignal): Promise<void> {
    this.#refill()
    const now = performance.now()
    if (now >= this.#closedUntil && this.#tokens >= 1 && this.#waiting() === 0) {
      this.#spend(priority)
      return
    }
    const debt = Math.max(0, 1 - this.#tokens)
    // Shares follow demand: what counts is not the present one.
    const wait = Math.max(0, this.#closedUntil - now) + ((this.#ahead(priority) + debt) / (this.#account * this.#factor)) * 1000
    if (wait > longestWait || this.#waiting() >= longestQueue) {
      throw new CloudError('throttled', 'too many requests are waiting for this account', { retryAfterMs: Math.ceil(wait) })
    }
    await this.#queue(priority, signal)
  }

  /** The provider asked to slow down: nobody asks it before the pause is over, and fewer afterwards. */
  throttle(retryAfterMs = defaultPause): void {
    this.slowDown(retryAfterMs)
    this.#onThrottle(retryAfterMs)
  }

  /** The same when the provider said it to another mount of the account. */
  slowDown(milliseconds: number): void {
    this.#refill()
    this.#factor = Math.max(slowest, this.#factor / 2)
    this.#tokens = Math.min(this.#tokens, 1)
    this.#closedUntil = Math.max(this.#closedUntil, performance.now() + milliseconds)
    this.#reschedule()
  }

  #queue(priority: Priority, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const queue = this.#queues[priority]
      const waiter: Waiter = {
        grant: () => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        },
      }
      const onAbort = () => {
        const index = queue.indexOf(waiter)
        if (index >= 0) queue.splice(index, 1)
        reject(CloudError.from(signal.reason))
      }
      if (signal.aborted) {
        onAbort()
        return
      }
      signal.addEventListener('abort', onAbort, { once: true })
      queue.push(waiter)
      this.#schedule()
    })
  }

  #spend(priority: Priority): void {
    this.#running++
    this.#paid++
    this.#tokens--
    this.#asked[priority === 'reader' ? 'reader' : 'other']++
  }

  #reschedule(): void {
    if (this.#timer) clearTimeout(this.#timer)
    this.#timer = null
    this.#schedule()
  }

  #schedule(): void {
    if (this.#timer || this.#waiting() === 0) return
    const now = performance.now()
    const wait = Math.max(this.#closedUntil - now, ((1 - this.#tokens) / this.rate) * 1000, 0)
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#grantAll()
    }, Math.ceil(wait))
  }

  #grantAll(): void {
    this.#refill()
    while (this.#tokens >= 1 && performance.now() >= this.#closedUntil) {
      const [priority, waiter] = this.#next() ?? []
      if (!priority || !waiter) return
      this.#spend(priority)
      waiter.grant()
    }
    this.#schedule()
  }

  #next(): readonly [Priority, Waiter] | undefined {
    const order: readonly Priority[] = ++this.#grants % fairness === 0 ? ['upload', 'ordinary', 'reader'] : ['reader', 'ordinary', 'upload']
    for (const priority of order) {
      const waiter = this.#queues[priority].shift()
      if (waiter) return [priority, waiter]
    }
    return undefined
  }

  #refill(): void {
    const now = performance.now()
    const open = Math.max(0, now - Math.max(this.#refilled, this.#closedUntil)) / 1000
    this.#refilled = now
    this.#tokens = Math.min(Math.max(1, this.rate), this.#tokens + open * this.rate)
    this.#factor = Math.min(1, this.#factor + open / recovery)
  }

  #waiting(): number {
    const { reader, ordinary, upload } = this.#queues
    return reader.length + ordinary.length + upload.length
  }

  #ahead(priority: Priority): number {
    const { reader, ordinary, upload } = this.#queues
    switch (priority) {
      case 'reader':
        return reader.length
      case 'ordinary':
        return reader.length + ordinary.length
      case 'upload':
        return reader.length + ordinary.length + upload.length
    }
  }
}
