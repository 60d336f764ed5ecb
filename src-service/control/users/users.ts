import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import type { Secret } from '../../common/secret.ts'
import type { UserChange, UserRecord } from '../store/access-records.ts'
import { checkName } from '../store/names.ts'
import type { RequestKey } from '../store/records.ts'
import type { UserTable } from '../store/store.ts'
import { loginNeeded } from './access-errors.ts'
import { checkGrant } from './check-grant.ts'
import type { LoginThrottle } from './login-throttle.ts'
import type { Passwords } from './password.ts'
import type { Grant } from './principal.ts'
import { hashOf, newCode } from './token-text.ts'

/** People who log in. A user without a password and without an outside identity cannot, until a link is accepted. */
export interface Users {
  list(): Promise<readonly UserRecord[]>
  get(id: string): Promise<UserRecord>
  create(draft: UserDraft, request: RequestKey | null): Promise<UserRecord>
  /** Whatever changes what the user may do ends the user's sessions at once. */
  update(id: string, revision: number | null, change: UserUpdate): Promise<UserRecord>
  remove(id: string, revision: number | null): Promise<void>
  /** A code, used once, that sets the password; the one before is void. */
  invite(id: string, lifetimeMs: number): Promise<{ readonly code: string; readonly expiresAt: number }>
  /** Sets the password. Throws `permission` (LOGIN_NEEDED) if there is no such code any more, `invalid` for the password. */
  accept(code: string, password: Secret, address: string): Promise<UserRecord>
  /** The user of a right password. Throws `permission` (LOGIN_NEEDED) or `throttled` (LOGIN_THROTTLED). */
  check(name: string, password: Secret, address: string): Promise<UserRecord>
  changePassword(id: string, from: Secret, to: Secret, address: string): Promise<void>
}

export interface UserDraft {
  readonly name: string
  readonly grant: Grant
  /** '' = none. */
  readonly subject: string
}

export interface UserUpdate {
  readonly name?: string
  readonly grant?: Grant
  readonly subject?: string
  readonly disabled?: boolean
}

export interface UserParts {
  readonly table: UserTable
  readonly passwords: Passwords
  readonly throttle: LoginThrottle
  readonly clock: Clock
  /** Ends the sessions of a user at once. */
  readonly endSessions: (userId: string) => Promise<void>
}

const maxInviteMs = 30 * 24 * 3600 * 1000
const codeLength = 32

export function createUsers({ table, passwords, throttle, clock, endSessions }: UserParts): Users {
  async function check(name: string, password: Secret, address: string): Promise<UserRecord> {
    await throttle.check(name, address)
    const user = await table.find(name)
    // An unknown name takes as long as a wrong password.
    const same = await passwords.matches(user?.password ?? '', password)
    if (user === null || !same || user.disabled) {
      await throttle.failed(name, address)
      throw loginNeeded('name or password is wrong')
    }
    await throttle.succeeded(name, address)
    return user
  }

  return {
    list: () => table.list(),
    get: (id) => table.get(id),

    create: async ({ name, grant, subject }, request) => {
      checkName('user', name)
      const row = { id: newId(), name, ...checkGrant(grant), subject: checkSubject(subject), password: '' }
      return table.insert({ ...row, disabled: false, invite: '', inviteExpiresAt: 0 }, request)
    },

    update: async (id, revision, { name, grant, subject, disabled }) => {
      if (name !== undefined) checkName('user', name)
      const change: UserChange = {
        ...(name === undefined ? {} : { name }),
        ...(grant === undefined ? {} : checkGrant(grant)),
        ...(subject === undefined ? {} : { subject: checkSubject(subject) }),
        ...(disabled === undefined ? {} : { disabled }),
      }
      const updated = await table.update(id, revision, change)
      await endSessions(id)
      return updated
    },

    remove: async (id, revision) => {
      await endSessions(id)
      await table.remove(id, revision)
      await endSessions(id)
    },

    invite: async (id, lifetimeMs) => {
      if (lifetimeMs <= 0 || lifetimeMs > maxInviteMs) throw new CloudError('invalid', 'a link is valid for at most 30 days')
      const code = newCode(codeLength)
      const expiresAt = clock.now() + lifetimeMs
      await table.update(id, null, { invite: hashOf(code), inviteExpiresAt: expiresAt })
      return { code, expiresAt }
    },

    accept: async (code, password, address) => {
      // Codes cannot be guessed; the delay keeps the hashing cheap.
      await throttle.check('', address)
      const sealed = await passwords.seal(password)
      const user = await table.acceptInvite(hashOf(code), sealed, clock.now())
      if (user === null) {
        await throttle.failed('', address)
        throw loginNeeded('this link is not valid any more')
      }
      await endSessions(user.id)
      return user
    },

    check,

    changePassword: async (id, from, to, address) => {
      const user = await check((await table.get(id)).name, from, address)
      await table.update(user.id, null, { password: await passwords.seal(to), invite: '', inviteExpiresAt: 0 })
      await endSessions(user.id)
    },
  }
}

function checkSubject(subject: string): string {
  if (subject.length > 255 || /[\u0000-\u001f]/.test(subject))
    throw new CloudError('invalid', 'subject has at most 255 printable characters')
  return subject
}
