import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import type { LoginFailures } from '../store/access-records.ts'
import type { LoginFailureTable } from '../store/store.ts'
import { hashOf } from './token-text.ts'

/** Failures that cost nothing: fingers slip. */
const free = 3
const firstDelayMs = 1000
/** Long enough that guessing is hopeless, short enough that nobody can lock an account by failing on purpose. */
const maxDelayMs = 60_000
const forgetMs = 15 * 60_000

/**
 * Delays logins by account and by address, doubling with each failure from 1 s to 1 min; after 15 min without one all is forgotten.
 * Counts survive a restart. The unix socket has no login and is never delayed.
 */
export interface LoginThrottle {
  /** Throws `throttled` (LOGIN_THROTTLED) while this account or address has to wait. */
  check(account: string, address: string): Promise<void>
  failed(account: string, address: string): Promise<void>
  succeeded(account: string, address: string): Promise<void>
}

export function createLoginThrottle(table: LoginFailureTable, clock: Clock): LoginThrottle {
  // People type passwords where the name belongs: of what was typed, 32 bits of a hash are kept.
  const keysOf = (account: string, address: string) => [`account:${hashOf(account).slice(0, 8)}`, `address:${address}`]

  async function current(keys: readonly string[]): Promise<LoginFailures[]> {
    const now = clock.now()
    const rows = (await table.find(keys)).filter(({ lastAt }) => Math.abs(now - lastAt) < forgetMs)
    return Promise.all(rows.map(async (row) => (row.retryAt - now > maxDelayMs ? begunAnew(row, now) : row)))
  }

  /** A clock that was set back makes nobody wait for longer than the longest delay. */
  async function begunAnew(row: LoginFailures, now: number): Promise<LoginFailures> {
    const anew = { ...row, retryAt: now + maxDelayMs, lastAt: now }
    await table.put(anew)
    return anew
  }

  return {
    check: async (account, address) => {
      const waits = (await current(keysOf(account, address))).map(({ retryAt }) => retryAt - clock.now())
      const wait = Math.max(0, ...waits)
      if (wait > 0) throw new CloudError('throttled', 'too many failed logins', { code: 'LOGIN_THROTTLED', retryAfterMs: wait })
    },
    failed: async (account, address) => {
      const keys = keysOf(account, address)
      const before = await current(keys)
      const now = clock.now()
      for (const key of keys) {
        const failures = (before.find((row) => row.key === key)?.failures ?? 0) + 1
        const delay = failures <= free ? 0 : Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(failures - free - 1, 20))
        await table.put({ key, failures, retryAt: now + delay, lastAt: now })
      }
    },
    // Of the address only a success of another account is known: its own failures stay.
    succeeded: (account) => table.remove([keysOf(account, '')[0] ?? '']),
  }
}
