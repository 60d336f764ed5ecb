/** Middle of the values; of an even number, the mean of the two in the middle. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? NaN
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? NaN) + upper) / 2
}

/** Half of the distance between largest and smallest value, as a share of the median. 0 for fewer than two values. */
export function spread(values: readonly number[]): number {
  if (values.length < 2) return 0
  return (Math.max(...values) - Math.min(...values)) / 2 / median(values)
}

/** A value with the one that the native disk reached beside it; null where the native disk has no such row. */
export interface Trial {
  readonly value: number
  readonly native: number | null
}

/** How far the native disk may be off its median in a trial that counts. */
export const tolerance = 0.15
/** Trials that may be thrown away for one row; after that it is `noisy` and everything counts. */
export const mostDiscards = 5

export interface Judged {
  readonly kept: readonly number[]
  readonly discarded: number
  readonly noisy: boolean
}

/**
 * Throws away the trials beside which the native disk was more than `tolerance` off its median, because then the machine was another one.
 * @param wanted trials that a row needs. With fewer left and `mostDiscards` reached, all count and the row is noisy.
 */
export function judge(trials: readonly Trial[], wanted: number): Judged {
  const references = trials.flatMap(({ native }) => (native === null ? [] : [native]))
  const middle = median(references)
  const steady = trials.filter(({ native }) => native === null || Math.abs(native - middle) <= tolerance * middle)
  const discarded = trials.length - steady.length
  const noisy = steady.length < wanted && discarded >= mostDiscards
  return { kept: (noisy ? trials : steady).map(({ value }) => value), discarded, noisy }
}

/** Whether a row needs another trial. */
export function needsMore(trials: readonly Trial[], wanted: number): boolean {
  const { kept, discarded } = judge(trials, wanted)
  return kept.length < wanted && discarded < mostDiscards
}
