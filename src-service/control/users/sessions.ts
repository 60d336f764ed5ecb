import type { Clock } from '../../common/clock.ts'
import { newId } from '../../common/ids.ts'
import { Secret } from '../../common/secret.ts'
import type { SessionRecord, UserRecord } from '../store/access-records.ts'
import type { SessionTable, UserTable } from '../store/store.ts'
import { loginNeeded } from './access-errors.ts'
import type { LiveLogins } from './live-logins.ts'
import { allMounts } from './principal.ts'
import type { Principal, Role } from './principal.ts'
import { hashOf, newCode } from './token-text.ts'

/** Logins of browsers. */
export interface Sessions {
  list(): Promise<readonly SessionRecord[]>
  /** A code that opens one session within 60 s, for who already is somebody on the unix socket. */
  newCode(principal: Principal): { readonly code: string; readonly expiresAt: number }
  /** Throws `permission` (LOGIN_NEEDED) if the code was used, is over or never was. */
  openWithCode(code: string, address: string): Promise<OpenedSession>
  openFor(user: UserRecord, address: string): Promise<OpenedSession>
  /** Who comes with this cookie. Throws `permission` (LOGIN_NEEDED). */
  authenticate(cookie: string, address: string): Promise<Principal>
  /** Ends one at once, with what is open for it. */
  end(id: string): Promise<SessionRecord>
  /** The session behind a cookie ends; nothing happens if there is none. */
  endByCookie(cookie: string): Promise<void>
  endOfUser(userId: string): Promise<void>
}

export interface OpenedSession {
  readonly session: SessionRecord
  readonly cookie: Secret
}

// A clock that is set back must not lengthen these: a time that lies as far ahead is over too.
const codeLifeMs = 60_000
const idleMs = 3600 * 1000
const maxCodes = 100
const absoluteMs = 12 * 3600 * 1000
const useMs = 60_000
const secretLength = 43

export function createSessions(table: SessionTable, users: UserTable, live: LiveLogins, clock: Clock): Sessions {
  /** By hash. In memory only: who restarts the service asks for another. */
  const codes = new Map<string, { readonly principal: Principal; readonly madeAt: number }>()

  async function open(principal: string, role: Role, userId: string, address: string): Promise<OpenedSession> {
    const cookie = newCode(secretLength)
    const now = clock.now()
    const session = {
      id: newId(),
      hash: hashOf(cookie),
      principal,
      role,
      userId,
      address,
      createdAt: now,
      expiresAt: now + absoluteMs,
      lastUsedAt: now,
    }
    await table.insert(session)
    return { session, cookie: new Secret(cookie) }
  }

  async function principalOf(session: SessionRecord, address: string, ended: AbortSignal): Promise<Principal | null> {
    const common = { name: session.principal, origin: address, ended }
    if (session.userId === '') return { ...common, role: session.role, scope: allMounts }
    const user = await users.get(session.userId).catch(() => null)
    if (user === null || user.disabled) return null
    return { ...common, name: `user:${user.name}`, role: user.role, scope: user.scope }
  }

  return {
    list: () => table.list(),

    newCode: (principal) => {
      const now = clock.now()
      for (const [hash, { madeAt }] of codes) if (Math.abs(now - madeAt) >= codeLifeMs) codes.delete(hash)
      const oldest = [...codes.keys()][0]
      if (codes.size >= maxCodes && oldest !== undefined) codes.delete(oldest)
      const code = newCode(codeLength)
      codes.set(hashOf(code), { principal, madeAt: now })
      return { code, expiresAt: now + codeLifeMs }
    },

    openWithCode: async (code, address) => {
      const hash = hashOf(code)
      const found = codes.get(hash)
      codes.delete(hash)
      if (found === undefined || Math.abs(clock.now() - found.madeAt) >= codeLifeMs) throw loginNeeded('this code was used, or is over')
      return open(found.principal.name, found.principal.role, '', address)
    },

    openFor: async (user, address) => {
      const opened = await open(`user:${user.name}`, user.role, user.id, address)
      await users.loggedIn(user.id, clock.now())
      return opened
    },

    authenticate: async (cookie, address) => {
      const hash = hashOf(cookie)
      const ended = live.signalOf(hash)
      const session = await table.findByHash(hash)
      const now = clock.now()
      const over = session === null || session.expiresAt <= now || Math.abs(now - session.lastUsedAt) > idleMs
      const principal = over ? null : await principalOf(session, address, ended)
      if (session === null || principal === null) {
        live.end(hash)
        throw loginNeeded()
      }
      live.keep(hash, session.expiresAt)
      if (Math.abs(now - session.lastUsedAt) >= useMs) void table.used(session.id, now).catch(() => {})
      return principal
    },

    end: async (id) => {
      const session = await table.remove(id)
      live.end(session.hash)
      return session
    },

    endByCookie: async (cookie) => {
      const session = await table.findByHash(hashOf(cookie))
      if (session === null) return
      await table.remove(session.id)
      live.end(session.hash)
    },

    endOfUser: async (userId) => {
      for (const { hash } of await table.removeOfUser(userId)) live.end(hash)
    },
  }
}

const codeLength = 32
