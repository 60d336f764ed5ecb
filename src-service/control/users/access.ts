import type { Clock } from '../../common/clock.ts'
import type { Store } from '../store/store.ts'
import { createLiveLogins } from './live-logins.ts'
import { createLoginThrottle } from './login-throttle.ts'
import { createPasswords } from './password.ts'
import type { PasswordCost } from './password.ts'
import { createSessions } from './sessions.ts'
import type { Sessions } from './sessions.ts'
import { createTokens } from './tokens.ts'
import type { Tokens } from './tokens.ts'
import { createUsers } from './users.ts'
import type { Users } from './users.ts'

/** Who may come in otherwise than by the unix socket. */
export interface Access {
  readonly users: Users
  readonly tokens: Tokens
  readonly sessions: Sessions
}

export function createAccess(
  store: Pick<Store, 'users' | 'tokens' | 'sessions' | 'loginFailures'>,
  clock: Clock,
  cost: PasswordCost,
): Access {
  const live = createLiveLogins(clock)
  const sessions = createSessions(store.sessions, store.users, live, clock)
  const users = createUsers({
    ...{ table: store.users, clock, passwords: createPasswords(cost) },
    throttle: createLoginThrottle(store.loginFailures, clock),
    endSessions: (userId) => sessions.endOfUser(userId),
  })
  return { users, sessions, tokens: createTokens(store.tokens, live, clock) }
}
