import { and, asc, desc, eq, gt, inArray, lt, ne } from 'drizzle-orm'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import type { Clock } from '../../common/clock.ts'
import type { LoginFailures, NewToken, NewUser, SessionRecord, TokenRecord, UserChange, UserRecord } from './access-records.ts'
import { absent, checkRevision, inTransaction, refuseTaken } from './changes.ts'
import type { Synchronous } from './changes.ts'
import type { RequestKey } from './records.ts'
import { rememberRequest } from './request-rows.ts'
import type { LoginFailureTable, SessionTable, TokenTable, UserTable } from './store.ts'
import { loginFailures, sessions, tokens, users } from './tables.ts'

/** Rows of failed logins that nobody touched for so long are forgotten. */
const failuresKeptMs = 24 * 3600 * 1000

interface AccessOperations {
  readonly users: Synchronous<UserTable>
  readonly tokens: Synchronous<TokenTable>
  readonly sessions: Synchronous<SessionTable>
  readonly loginFailures: Synchronous<LoginFailureTable>
}

/** Users, tokens, sessions and failed logins, as `Store` describes them. */
export function accessOperations(database: BetterSQLite3Database, clock: Clock): AccessOperations {
  return {
    users: userOperations(database, clock),
    tokens: tokenOperations(database, clock),
    sessions: sessionOperations(database, clock),
    loginFailures: failureOperations(database, clock),
  }
}

function userOperations(database: BetterSQLite3Database, clock: Clock) {
  function get(id: string): UserRecord {
    return database.select().from(users).where(eq(users.id, id)).get() ?? absent('user')
  }

  function change(found: UserRecord, changes: UserChange): UserRecord {
    const row = { ...found, ...changes, revision: found.revision + 1, updatedAt: clock.now() }
    database.update(users).set(row).where(eq(users.id, found.id)).run()
    return row
  }

  return {
    get,
    list: (): UserRecord[] => database.select().from(users).orderBy(asc(users.name)).all(),
    find: (name: string): UserRecord | null => database.select().from(users).where(eq(users.name, name)).get() ?? null,
    insert: (user: NewUser, request: RequestKey | null): UserRecord =>
      inTransaction(database, () => {
        refuseTaken(database, users, 'user', user.name, null)
        const now = clock.now()
        const row = { ...user, revision: 1, createdAt: now, updatedAt: now, lastLoginAt: 0 }
        database.insert(users).values(row).run()
        rememberRequest(database, request, user.id, now)
        return row
      }),
    update: (id: string, revision: number | null, changes: UserChange): UserRecord =>
      inTransaction(database, () => {
        const found = get(id)
        checkRevision('user', found, revision)
        if (changes.name !== undefined) refuseTaken(database, users, 'user', changes.name, id)
        return change(found, changes)
      }),
    remove: (id: string, revision: number | null): UserRecord =>
      inTransaction(database, () => {
        const found = get(id)
        checkRevision('user', found, revision)
        database.delete(sessions).where(eq(sessions.userId, id)).run()
        database.delete(users).where(eq(users.id, id)).run()
        return found
      }),
    acceptInvite: (codeHash: string, password: string, now: number): UserRecord | null =>
      inTransaction(database, () => {
        const open = and(eq(users.invite, codeHash), ne(users.invite, ''), gt(users.inviteExpiresAt, now), eq(users.disabled, false))
        const found = database.select().from(users).where(open).get()
        return found === undefined ? null : change(found, { password, invite: '', inviteExpiresAt: 0 })
      }),
    loggedIn: (id: string, at: number): void => {
      database.update(users).set({ lastLoginAt: at }).where(eq(users.id, id)).run()
    },
  }
}

function tokenOperations(database: BetterSQLite3Database, clock: Clock) {
  function get(id: string): TokenRecord {
    return database.select().from(tokens).where(eq(tokens.id, id)).get() ?? absent('token')
  }

  return {
    get,
    list: (): TokenRecord[] => database.select().from(tokens).orderBy(asc(tokens.name)).all(),
    findByHash: (hash: string): TokenRecord | null => database.select().from(tokens).where(eq(tokens.hash, hash)).get() ?? null,
    insert: (token: NewToken, request: RequestKey | null): TokenRecord =>
      inTransaction(database, () => {
        refuseTaken(database, tokens, 'token', token.name, null)
        const now = clock.now()
        const row = { ...token, createdAt: now, lastUsedAt: 0, lastUsedFrom: '' }
        database.insert(tokens).values(row).run()
        rememberRequest(database, request, token.id, now)
        return row
      }),
    replaceHash: (id: string, hash: string): TokenRecord =>
      inTransaction(database, () => {
        const found = get(id)
        database.update(tokens).set({ hash }).where(eq(tokens.id, id)).run()
        return found
      }),
    remove: (id: string): TokenRecord =>
      inTransaction(database, () => {
        const found = get(id)
        database.delete(tokens).where(eq(tokens.id, id)).run()
        return found
      }),
    used: (id: string, at: number, from: string): void => {
      database.update(tokens).set({ lastUsedAt: at, lastUsedFrom: from }).where(eq(tokens.id, id)).run()
    },
  }
}

function sessionOperations(database: BetterSQLite3Database, clock: Clock) {
  return {
    list: (): SessionRecord[] => database.select().from(sessions).orderBy(desc(sessions.createdAt)).all(),
    findByHash: (hash: string): SessionRecord | null => database.select().from(sessions).where(eq(sessions.hash, hash)).get() ?? null,
    insert: (session: SessionRecord): void =>
      inTransaction(database, () => {
        database.delete(sessions).where(lt(sessions.expiresAt, clock.now())).run()
        database.insert(sessions).values(session).run()
      }),
    remove: (id: string): SessionRecord =>
      inTransaction(database, () => {
        const found = database.select().from(sessions).where(eq(sessions.id, id)).get() ?? absent('session')
        database.delete(sessions).where(eq(sessions.id, id)).run()
        return found
      }),
    removeOfUser: (userId: string): SessionRecord[] =>
      inTransaction(database, () => {
        const found = database.select().from(sessions).where(eq(sessions.userId, userId)).all()
        database.delete(sessions).where(eq(sessions.userId, userId)).run()
        return found
      }),
    used: (id: string, at: number): void => {
      database.update(sessions).set({ lastUsedAt: at }).where(eq(sessions.id, id)).run()
    },
  }
}

function failureOperations(database: BetterSQLite3Database, clock: Clock) {
  return {
    find: (keys: readonly string[]): LoginFailures[] =>
      database
        .select()
        .from(loginFailures)
        .where(inArray(loginFailures.key, [...keys]))
        .all(),
    put: (failures: LoginFailures): void =>
      inTransaction(database, () => {
        database
          .delete(loginFailures)
          .where(lt(loginFailures.lastAt, clock.now() - failuresKeptMs))
          .run()
        database.insert(loginFailures).values(failures).onConflictDoUpdate({ target: loginFailures.key, set: failures }).run()
      }),
    remove: (keys: readonly string[]): void => {
      database
        .delete(loginFailures)
        .where(inArray(loginFailures.key, [...keys]))
        .run()
    },
  }
}
