import { describe, expect, test } from 'vitest'
import { AccountRates } from './account-rates.ts'
import type { RateUser } from './account-rates.ts'
import { divideRate } from './divide-rate.ts'

const idle = { reader: 0, other: 0 }

describe('dividing a rate', () => {
  const sum = (shares: readonly number[]) => shares.reduce((total, share) => total + share, 0)

  test('all of it is given away, and never more', () => {
    for (const demands of [
      [idle],
      [idle, idle, idle],
      [{ reader: 5, other: 900 }, idle],
      [
        { reader: 900, other: 0 },
        { reader: 10, other: 500 },
      ],
    ]) {
      expect(sum(divideRate(100, demands))).toBeCloseTo(100)
    }
  })

  test('a lonely worker gets nearly all, and a quiet one can begin', () => {
    const [busy = 0, quiet = 0] = divideRate(100, [{ reader: 0, other: 500 }, idle])
    expect(busy).toBe(95)
    expect(quiet).toBe(5)
  })

  test('readers come first', () => {
    const [uploads = 0, reader = 0] = divideRate(100, [
      { reader: 0, other: 500 },
      { reader: 60, other: 0 },
    ])
    expect(reader).toBeGreaterThanOrEqual(75)
    expect(uploads).toBeLessThanOrEqual(25)
  })

  test('a small wish is met in full, the rest is shared evenly', () => {
    const [small = 0, one = 0, two = 0] = divideRate(100, [
      { reader: 0, other: 4 },
      { reader: 0, other: 400 },
      { reader: 0, other: 4000 },
    ])
    expect(small).toBeGreaterThan(4)
    expect(one).toBeCloseTo(two)
  })
})

describe('workers of one account', () => {
  /** Workers as they know their rates, and the greatest sum that there ever was. */
  function workers() {
    const rates = new Map<string, number>()
    const pauses: string[] = []
    let most = 0
    const set = (name: string, rate: number) => {
      rates.set(name, rate)
      most = Math.max(
        most,
        [...rates.values()].reduce((total, one) => total + one, 0),
      )
    }
    const user = (name: string): RateUser => ({
      setRate: async (rate) => {
        await new Promise((resolve) => setTimeout(resolve, 2))
        set(name, rate)
      },
      slowDown: (milliseconds) => pauses.push(`${name} ${Math.round(milliseconds / 1000)} s`),
    })
    return { rates, pauses, set, user, most: () => most }
  }

  test('share its rate as they come, ask and go, and never have more together', async () => {
    const { rates, set, user, most } = workers()
    const account = new AccountRates()
    const a = await account.join('p', 100, user('a'))
    set('a', a.share)
    expect(a.share).toBe(100)
    const b = await account.join('p', 100, user('b'))
    set('b', b.share)
    expect(rates.get('a')).toBe(50)
    a.demanded({ reader: 0, other: 1000 })
    await expect.poll(() => rates.get('a')).toBe(95)
    b.demanded({ reader: 40, other: 0 })
    await expect.poll(() => rates.get('b')).toBeGreaterThanOrEqual(50)
    rates.delete('b')
    b.leave()
    await expect.poll(() => rates.get('a')).toBe(100)
    expect(most()).toBeLessThanOrEqual(100.001)
    const other = await account.join('q', 7, user('c'))
    expect(other.share).toBe(7)
  })

  test('pause together, also those who come later', async () => {
    const { pauses, user } = workers()
    const account = new AccountRates()
    const a = await account.join('p', 100, user('a'))
    await account.join('p', 100, user('b'))
    await account.join('q', 100, user('other'))
    a.throttled(30_000)
    await account.join('p', 100, user('c'))
    expect(pauses).toEqual(['b 30 s', 'c 30 s'])
  })
})
