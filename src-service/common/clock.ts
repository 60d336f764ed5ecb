/** Time as an argument, so that tests need not wait. */
export interface Clock {
  /** Milliseconds since 1970; may jump. For what people and other machines see. */
  now(): number
  /** Milliseconds that only grow; stands still while the machine sleeps. For durations and deadlines. */
  monotonic(): number
  /** Calls `work` once after `milliseconds`; the result cancels it. Does not keep the process alive. */
  after(milliseconds: number, work: () => void): () => void
}

export const systemClock: Clock = {
  now: () => Date.now(),
  monotonic: () => performance.now(),
  after: (milliseconds, work) => {
    const timer = setTimeout(work, milliseconds)
    timer.unref()
    return () => clearTimeout(timer)
  },
}

/** Resolves after `milliseconds`, or at once when the signal is aborted: the caller looks at the signal. */
export function pause(clock: Clock, milliseconds: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal?.aborted === true) {
      resolve()
      return
    }
    const done = () => {
      cancel()
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const cancel = clock.after(milliseconds, done)
    signal?.addEventListener('abort', done)
  })
}
