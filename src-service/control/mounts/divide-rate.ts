/** Requests a second that one worker asks for. */
export interface Demand {
  /** By those who read. */
  readonly reader: number
  /** By everything else: scans, changes, uploads. */
  readonly other: number
}

/** So much of the rate is divided evenly, so that whoever was quiet begins at once. */
const reserved = 0.1
/** A worker that gets what it asks for may ask for a little more the next time. */
const headroom = 1.25

/**
 * Divides `rate` among workers: a small even part for each, then what readers ask for, then what everything else asks for, each
 * time the smallest wishes first, and what is left evenly among those that ask for anything. The sum is never above `rate`.
 */
export function divideRate(rate: number, demands: readonly Demand[]): readonly number[] {
  const count = demands.length
  if (count === 0) return []
  const base = (rate * reserved) / count
  const left = rate - base * count
  const readers = pour(
    left,
    demands.map(({ reader }) => reader * headroom),
  )
  const others = pour(
    left - sum(readers),
    demands.map(({ other }) => other * headroom),
  )
  const rest = left - sum(readers) - sum(others)
  const asking = demands.map(({ reader, other }) => reader + other > 0)
  const some = asking.includes(true)
  const spare = Math.max(0, rest) / (some ? asking.filter(Boolean).length : count)
  return demands.map((_, index) => base + (readers[index] ?? 0) + (others[index] ?? 0) + (asking[index] === true || !some ? spare : 0))
}

/** Gives each what it wishes; where that is too much, none gets more than the same level. */
function pour(amount: number, wishes: readonly number[]): readonly number[] {
  const given = wishes.map(() => 0)
  let left = Math.max(0, amount)
  const order = wishes.map((_, index) => index).sort((a, b) => (wishes[a] ?? 0) - (wishes[b] ?? 0))
  for (const [position, index] of order.entries()) {
    const level = left / (order.length - position)
    given[index] = Math.min(wishes[index] ?? 0, level)
    left -= given[index] ?? 0
  }
  return given
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, one) => total + one, 0)
}
