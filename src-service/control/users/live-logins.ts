import type { Clock } from '../../common/clock.ts'
import { loginNeeded } from './access-errors.ts'

/** Ends what is open for a login as soon as the login is over. */
export interface LiveLogins {
  /** To be taken before the login is looked up: then an end in between cannot be missed. */
  signalOf(hash: string): AbortSignal
  /** The login is valid, until `expiresAt` (0 = without end). */
  keep(hash: string, expiresAt: number): void
  /** The login does not exist, or is over. */
  end(hash: string): void
}

/** The clock may be set meanwhile. */
const maxSleepMs = 600_000

export function createLiveLogins(clock: Clock): LiveLogins {
  const logins = new Map<string, { readonly controller: AbortController; expiresAt: number }>()
  let cancel = () => {}

  function end(hash: string): void {
    const login = logins.get(hash)
    logins.delete(hash)
    login?.controller.abort(loginNeeded())
  }

  function sweep(): void {
    const now = clock.now()
    for (const [hash, { expiresAt }] of [...logins]) if (expiresAt !== 0 && expiresAt <= now) end(hash)
    schedule()
  }

  function schedule(): void {
    cancel()
    const ends = [...logins.values()].map(({ expiresAt }) => expiresAt).filter((expiresAt) => expiresAt !== 0)
    if (ends.length === 0) return
    cancel = clock.after(Math.max(0, Math.min(maxSleepMs, Math.min(...ends) - clock.now())), sweep)
  }

  return {
    signalOf: (hash) => {
      const login = logins.get(hash) ?? { controller: new AbortController(), expiresAt: 0 }
      logins.set(hash, login)
      return login.controller.signal
    },
    keep: (hash, expiresAt) => {
      const login = logins.get(hash)
      if (login === undefined || login.expiresAt === expiresAt) return
      login.expiresAt = expiresAt
      schedule()
    },
    end,
  }
}
