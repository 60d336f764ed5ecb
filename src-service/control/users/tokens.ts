import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import { Secret } from '../../common/secret.ts'
import type { TokenRecord } from '../store/access-records.ts'
import { checkName } from '../store/names.ts'
import type { TokenTable } from '../store/store.ts'
import { loginNeeded } from './access-errors.ts'
import { checkGrant } from './check-grant.ts'
import type { LiveLogins } from './live-logins.ts'
import type { Grant, Principal } from './principal.ts'
import { hashOf, isToken, newToken } from './token-text.ts'

/** API tokens. The text of one is told once, when it is made. */
export interface Tokens {
  list(): Promise<readonly TokenRecord[]>
  get(id: string): Promise<TokenRecord>
  create(draft: TokenDraft): Promise<{ readonly token: TokenRecord; readonly text: Secret }>
  /** Another text; the one before is void at once, also for what is open. */
  rotate(id: string): Promise<{ readonly token: TokenRecord; readonly text: Secret }>
  /** Void at once, also for what is open. */
  revoke(id: string): Promise<TokenRecord>
  /** Who comes with this token. Throws `permission` (LOGIN_NEEDED). */
  authenticate(text: string, address: string): Promise<Principal>
}

export interface TokenDraft {
  readonly name: string
  readonly grant: Grant
  /** 0 = without end. */
  readonly expiresAt: number
  readonly createdBy: string
}

/** The last use is written at most so often. */
const useMs = 60_000

export function createTokens(table: TokenTable, live: LiveLogins, clock: Clock): Tokens {
  return {
    list: () => table.list(),
    get: (id) => table.get(id),

    create: async ({ name, grant, expiresAt, createdBy }) => {
      checkName('token', name)
      if (expiresAt !== 0 && expiresAt <= clock.now()) throw new CloudError('invalid', 'expire_time is not in the future')
      const text = newToken()
      const token = await table.insert({ id: newId(), name, ...checkGrant(grant), hash: hashOf(text), expiresAt, createdBy }, null)
      return { token, text: new Secret(text) }
    },

    rotate: async (id) => {
      const text = newToken()
      const before = await table.replaceHash(id, hashOf(text))
      live.end(before.hash)
      return { token: await table.get(id), text: new Secret(text) }
    },

    revoke: async (id) => {
      const token = await table.remove(id)
      live.end(token.hash)
      return token
    },

    authenticate: async (text, address) => {
      if (!isToken(text)) throw loginNeeded()
      const hash = hashOf(text)
      const ended = live.signalOf(hash)
      const token = await table.findByHash(hash)
      const now = clock.now()
      if (token === null || (token.expiresAt !== 0 && token.expiresAt <= now)) {
        live.end(hash)
        throw loginNeeded()
      }
      live.keep(hash, token.expiresAt)
      // That it was used may go unwritten on a full disk; it must not hold up the call.
      if (Math.abs(now - token.lastUsedAt) >= useMs || token.lastUsedFrom !== address)
        void table.used(token.id, now, address).catch(() => {})
      return { name: `token:${token.name}`, role: token.role, scope: token.scope, origin: address, ended }
    },
  }
}
