/**
 * What random tests do is decided by a seed: the same one in every run, so that a run is red because of what was changed and
 * not by chance. `CLOUDMOOR_PROOF=1` takes another one each time and prints it; `RANDOM_SEED` takes a given one.
 */
export const isProof = process.env['CLOUDMOOR_PROOF'] === '1'

const given = process.env['RANDOM_SEED']

export const seed = given === undefined ? (isProof ? Math.trunc(Math.random() * 2 ** 31) : 20_261_121) : Number(given)

/** How often a random test is repeated: `RANDOM_RUNS` times if that is set, else ten times as often in a proof. */
export function timesOf(usual: number): number {
  return Number(process.env['RANDOM_RUNS'] ?? (isProof ? usual * 10 : usual))
}

let state = seed >>> 0

/** The next number from 0 to below 1 that the seed decides (mulberry32). */
export function random(): number {
  state = (state + 0x6d2b79f5) >>> 0
  let mixed = Math.imul(state ^ (state >>> 15), state | 1)
  mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61)
  return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
}

/** A whole number from `from` to below `to`; with one argument from 0. */
export function randomInt(from: number, to?: number): number {
  const [least, end] = to === undefined ? [0, from] : [from, to]
  return least + Math.floor(random() * (end - least))
}
