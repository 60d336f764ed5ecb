/** One token bucket per account: all its mounts in this process draw from it. */
import { CloudError } from '../../common/errors.ts'

/** Who waits: somebody who reads, somebody who looks around or changes something, the upload queue. */
export type Priority = 'reader' | 'ordinary' | 'upload'

interface Waiter {
  readonly grant: () => void
}

/** A call waits no longer than this for its turn, milliseconds: beyond it a clear refusal is better than a hang. */
const longestWait = 10_000
const longestQueue = 4096
/** Every so many grants the rear goes first, so that a busy reader does not stop uploads for good. */
const fairness = 8

export class RateLimiter {
  readonly #ceiling: number
  #rate: number
  #tokens: number
  #refilled = performance.now()
  #closedUntil = 0
  #timer: NodeJS.Timeout | null = null
  #grants = 0
  readonly #queues: Readonly<Record<Priority, Waiter[]>> = { reader: [], ordinary: [], upload: [] }

  /** @param requestsPerSecond where it starts, and what it returns to after the provider asked to slow down */
  constructor(requestsPerSecond: number) {
    this.#ceiling = requestsPerSecond
    this.#rate = requestsPerSecond
    this.#tokens = Math.max(1, requestsPerSecond)
  }

  /** Requests a second at present. */
  get rate(): number {
    return this.#rate
  }

  /** Milliseconds since 1970 until which the provider asked us to wait; null when it does not. */
  get throttledUntil(): number | null {
    const left = this.#closedUntil - performance.now()
    return left > 0 ? Date.now() + left : null
  }

  /** Takes a token, now or in turn. Throws `throttled` when the turn is too far away, or the signal's reason. */
  async take(priority: Priority, signal: AbortSignal): Promise<void> {
    this.#refill()
    const now = performance.now()
    if (now >= this.#closedUntil && this.#tokens >= 1 && this.#waiting() === 0) {
      this.#tokens--
      return
    }
    const wait = Math.max(0, this.#closedUntil - now) + (this.#ahead(priority) / this.#rate) * 1000
    if (wait > longestWait || this.#waiting() >= longestQueue) {
      throw new CloudError('throttled', 'too many requests are waiting for this account', { retryAfterMs: Math.ceil(wait) })
    }
    await this.#queue(priority, signal)
  }

  /** The provider asked to slow down. */
  throttle(retryAfterMs: number | undefined): void {
    this.#refill()
    this.#rate = Math.max(1, this.#rate / 2)
    this.#tokens = Math.min(this.#tokens, 1)
    this.#closedUntil = Math.max(this.#closedUntil, performance.now() + (retryAfterMs ?? 1000))
    this.#schedule()
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

  #schedule(): void {
    if (this.#timer || this.#waiting() === 0) return
    const now = performance.now()
    const wait = Math.max(this.#closedUntil - now, ((1 - this.#tokens) / this.#rate) * 1000, 0)
    this.#timer = setTimeout(() => {
      this.#timer = null
      this.#grantAll()
    }, Math.ceil(wait))
  }

  #grantAll(): void {
    this.#refill()
    while (this.#tokens >= 1 && performance.now() >= this.#closedUntil) {
      const waiter = this.#next()
      if (!waiter) return
      this.#tokens--
      waiter.grant()
    }
    this.#schedule()
  }

  #next(): Waiter | undefined {
    const { reader, ordinary, upload } = this.#queues
    const order = ++this.#grants % fairness === 0 ? [upload, ordinary, reader] : [reader, ordinary, upload]
    return order.find((queue) => queue.length > 0)?.shift()
  }

  #refill(): void {
    const now = performance.now()
    const open = Math.max(0, now - Math.max(this.#refilled, this.#closedUntil)) / 1000
    this.#refilled = now
    this.#tokens = Math.min(Math.max(1, this.#rate), this.#tokens + open * this.#rate)
    // Back to the ceiling within about 20 s of quiet.
    this.#rate = Math.min(this.#ceiling, this.#rate + (open * this.#ceiling) / 20)
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
