import type { Reachability } from './cache/reachability.ts'
import type { RateLimiter } from './connectors/rate-limiter.ts'
import type { RateShare } from './drive-contract.ts'

/** The limiter as the worker sees it. A pause, whoever was asked for it, is a condition of the mount. */
export function shareOf(limiter: RateLimiter, reachability: Reachability): RateShare {
  let listener: (milliseconds: number) => void = () => undefined
  limiter.onThrottle((milliseconds) => {
    reachability.throttled(milliseconds)
    listener(milliseconds)
  })
  return {
    set: (perSecond) => {
      limiter.setShare(perSecond)
    },
    slowDown: (milliseconds) => {
      limiter.slowDown(milliseconds)
      reachability.throttled(milliseconds)
    },
    demand: (seconds) => limiter.demand(seconds),
    onThrottle: (next) => {
      listener = next
    },
  }
}
