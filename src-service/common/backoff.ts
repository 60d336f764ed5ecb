export interface Backoff {
  /** Milliseconds: the bound of the first wait, doubled with every further one. */
  readonly base: number
  /** Milliseconds: no wait is longer. */
  readonly cap: number
}

/**
 * How long to wait before try number `attempt` (1 = first repetition), in milliseconds. Half of it is chance, so that
 * what failed together does not come back together, and it never comes at once.
 */
export function backoffDelay(backoff: Backoff, attempt: number, random: () => number = Math.random): number {
  const bound = Math.min(backoff.cap, backoff.base * 2 ** Math.min(Math.max(attempt, 1) - 1, 40))
  return Math.round(bound / 2 + (bound / 2) * random())
}
