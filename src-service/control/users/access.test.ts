import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../tests/support/manual-clock.ts'
import { Secret } from '../../common/secret.ts'
import { openStore } from '../store/open-store.ts'
import type { Store } from '../store/store.ts'
import { createAccess } from './access.ts'
import type { Access } from './access.ts'
import { allMounts } from './principal.ts'
import type { Grant, Principal } from './principal.ts'
import { isToken, newToken } from './token-text.ts'

let folder: string
let store: Store
let clock: ManualClock
let access: Access

const operator: Grant = { role: 'operator', scope: { kind: 'label', label: 'team-a' } }
const local: Principal = { name: 'local:1000', role: 'admin', scope: allMounts, origin: 'socket', ended: null }
const day = 24 * 3600 * 1000
const loginNeeded = { kind: 'permission', code: 'LOGIN_NEEDED' }

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'access-'))
  await mkdir(join(folder, 'backups'))
  store = await openStore({ database: join(folder, 'x.db'), backups: join(folder, 'backups'), lock: join(folder, 'lock'), lockWaitMs: 0 })
  clock = new ManualClock()
  access = createAccess(store, clock, { memoryKiB: 64, passes: 1 })
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})

async function userWithPassword(name: string, password: string) {
  const user = await access.users.create({ name, grant: operator, subject: '' }, null)
  const { code } = await access.users.invite(user.id, day)
  return access.users.accept(code, new Secret(password), '10.0.0.1')
}

describe('tokens', () => {
  const draft = { name: 'backup', grant: operator, expiresAt: 0, createdBy: 'local:1000' }

  it('have a form in which a slip is seen, and are kept as a hash', async () => {
    const { text, token } = await access.tokens.create(draft)
    expect(text.reveal()).toMatch(/^cmt_[0-9A-Za-z]{36}$/)
    expect(isToken(text.reveal())).toBe(true)
    const slip = text.reveal().replace(/.$/, (last) => (last === 'a' ? 'b' : 'a'))
    expect(isToken(slip)).toBe(false)
    expect(JSON.stringify(token)).not.toContain(text.reveal())
    for (const name of ['x.db', 'x.db-wal']) expect((await readFile(join(folder, name))).includes(text.reveal())).toBe(false)
    await expect(access.tokens.create(draft)).rejects.toMatchObject({ code: 'NAME_TAKEN' })
  })

  it('carry their grant, and show their last use', async () => {
    const { text, token } = await access.tokens.create(draft)
    const principal = await access.tokens.authenticate(text.reveal(), '10.0.0.9')
    expect(principal).toMatchObject({ name: 'token:backup', role: 'operator', scope: operator.scope, origin: '10.0.0.9' })
    expect(await access.tokens.get(token.id)).toMatchObject({ lastUsedAt: clock.now(), lastUsedFrom: '10.0.0.9' })
    await expect(access.tokens.authenticate(newToken(), 'x')).rejects.toMatchObject(loginNeeded)
    await expect(access.tokens.authenticate('cmt_x', 'x')).rejects.toMatchObject(loginNeeded)
  })

  it('end at once when they are rotated, revoked or over, with what is open', async () => {
    const { text, token } = await access.tokens.create({ ...draft, expiresAt: clock.now() + day })
    const first = await access.tokens.authenticate(text.reveal(), 'x')
    const rotated = await access.tokens.rotate(token.id)
    expect(first.ended?.aborted).toBe(true)
    expect(first.ended?.reason).toMatchObject(loginNeeded)
    await expect(access.tokens.authenticate(text.reveal(), 'x')).rejects.toMatchObject(loginNeeded)
    const second = await access.tokens.authenticate(rotated.text.reveal(), 'x')
    expect(second.ended?.aborted).toBe(false)
    await clock.advance(day + 1000)
    expect(second.ended?.aborted).toBe(true)
    await expect(access.tokens.authenticate(rotated.text.reveal(), 'x')).rejects.toMatchObject(loginNeeded)
    const other = await access.tokens.create({ ...draft, name: 'other' })
    const third = await access.tokens.authenticate(other.text.reveal(), 'x')
    await access.tokens.revoke(other.token.id)
    expect(third.ended?.aborted).toBe(true)
  })

  it('are refused with a grant that means nothing', async () => {
    const make = (grant: Grant) => access.tokens.create({ ...draft, grant })
    await expect(make({ role: 'admin', scope: { kind: 'label', label: 'a' } })).rejects.toMatchObject({ kind: 'invalid' })
    await expect(make({ role: 'operator', scope: { kind: 'mounts', mountIds: [] } })).rejects.toMatchObject({ kind: 'invalid' })
    await expect(make({ role: 'operator', scope: { kind: 'label', label: '' } })).rejects.toMatchObject({ kind: 'invalid' })
    await expect(access.tokens.create({ ...draft, expiresAt: clock.now() })).rejects.toMatchObject({ kind: 'invalid' })
  })
})

describe('users', () => {
  it('set their password by a link that works once', async () => {
    const user = await access.users.create({ name: 'anna', grant: operator, subject: '' }, null)
    await expect(access.users.check('anna', new Secret(''), 'x')).rejects.toMatchObject(loginNeeded)
    const first = await access.users.invite(user.id, day)
    const second = await access.users.invite(user.id, day)
    const password = new Secret('correct horse battery')
    await expect(access.users.accept(first.code, password, 'x')).rejects.toMatchObject(loginNeeded)
    await expect(access.users.accept(second.code, new Secret('short'), 'x')).rejects.toMatchObject({ kind: 'invalid' })
    const both = await Promise.allSettled([
      access.users.accept(second.code, password, 'x'),
      access.users.accept(second.code, password, 'x'),
    ])
    expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected'])
    expect((await access.users.get(user.id)).password).toMatch(/^\$argon2id\$v=19\$m=64,t=1,p=1\$/)
    expect(await access.users.check('anna', password, 'x')).toMatchObject({ id: user.id })
    const third = await access.users.invite(user.id, 1000)
    await clock.advance(2000)
    await expect(access.users.accept(third.code, password, 'x')).rejects.toMatchObject(loginNeeded)
  })

  it('need no password: an outside identity is enough to exist', async () => {
    const user = await access.users.create({ name: 'ben', grant: operator, subject: 'https://id.example/ben' }, null)
    expect(user.password).toBe('')
    await expect(access.users.create({ name: 'ben2', grant: operator, subject: 'https://id.example/ben' }, null)).rejects.toThrow()
  })

  it('are slowed down by account and by address, for a minute at most, and never for good', async () => {
    await userWithPassword('anna', 'correct horse battery')
    const wrong = () => access.users.check('anna', new Secret('wrong'), '10.0.0.2')
    for (let tries = 0; tries < 4; tries++) await expect(wrong()).rejects.toMatchObject(loginNeeded)
    await expect(wrong()).rejects.toMatchObject({ code: 'LOGIN_THROTTLED', retryAfterMs: 1000 })
    // The right password has to wait too, from anywhere; and so has any account from that address.
    await expect(access.users.check('anna', new Secret('correct horse battery'), '10.0.0.3')).rejects.toMatchObject({
      code: 'LOGIN_THROTTLED',
    })
    await expect(access.users.check('ben', new Secret('x'), '10.0.0.2')).rejects.toMatchObject({ code: 'LOGIN_THROTTLED' })
    await expect(access.users.check('ben', new Secret('x'), '10.0.0.4')).rejects.toMatchObject(loginNeeded)
    for (let tries = 0; tries < 12; tries++) {
      await clock.advance(60_000)
      await expect(wrong()).rejects.toMatchObject(loginNeeded)
    }
    await clock.advance(60_000)
    expect(await access.users.check('anna', new Secret('correct horse battery'), '10.0.0.3')).toMatchObject({ name: 'anna' })
    // A restart forgets nothing of the address.
    const again = createAccess(store, clock, { memoryKiB: 64, passes: 1 })
    await wrong().catch(() => {})
    await expect(again.users.check('anna', new Secret('x'), '10.0.0.2')).rejects.toMatchObject({ code: 'LOGIN_THROTTLED' })
    // Who is on the unix socket logs in nowhere.
    const { code } = again.sessions.newCode(local)
    await again.sessions.openWithCode(code, '10.0.0.2')
  })
})

describe('sessions', () => {
  it('open once with a code, within a minute', async () => {
    const { code } = access.sessions.newCode(local)
    const { cookie } = await access.sessions.openWithCode(code, '127.0.0.1')
    expect(await access.sessions.authenticate(cookie.reveal(), '127.0.0.1')).toMatchObject({ name: 'local:1000', role: 'admin' })
    await expect(access.sessions.openWithCode(code, '127.0.0.1')).rejects.toMatchObject(loginNeeded)
    const late = access.sessions.newCode(local)
    await clock.advance(60_001)
    await expect(access.sessions.openWithCode(late.code, '127.0.0.1')).rejects.toMatchObject(loginNeeded)
    const groupMember = access.sessions.newCode({ ...local, name: 'local:1001', role: 'operator' })
    const opened = await access.sessions.openWithCode(groupMember.code, '127.0.0.1')
    expect(await access.sessions.authenticate(opened.cookie.reveal(), 'x')).toMatchObject({ name: 'local:1001', role: 'operator' })
  })

  it.each(['disable', 'narrow', 'remove', 'revoke', 'log out', 'password', 'time'])('end at once by %s', async (way) => {
    const user = await userWithPassword('anna', 'correct horse battery')
    const { session, cookie } = await access.sessions.openFor(user, 'x')
    const principal = await access.sessions.authenticate(cookie.reveal(), 'x')
    expect(principal).toMatchObject({ name: 'user:anna', role: 'operator', scope: operator.scope })
    switch (way) {
      case 'disable':
        await access.users.update(user.id, null, { disabled: true })
        break
      case 'narrow':
        await access.users.update(user.id, null, { grant: { role: 'read-only', scope: operator.scope } })
        break
      case 'remove':
        await access.users.remove(user.id, null)
        break
      case 'revoke':
        await access.sessions.end(session.id)
        break
      case 'log out':
        await access.sessions.endByCookie(cookie.reveal())
        break
      case 'password':
        await access.users.changePassword(user.id, new Secret('correct horse battery'), new Secret('another horse battery'), 'x')
        break
      default:
        await clock.advance(12 * 3600 * 1000 + 1000)
    }
    expect(principal.ended?.aborted).toBe(true)
    await expect(access.sessions.authenticate(cookie.reveal(), 'x')).rejects.toMatchObject(loginNeeded)
  })

  it('end after an hour without use', async () => {
    const user = await userWithPassword('anna', 'correct horse battery')
    const { cookie } = await access.sessions.openFor(user, 'x')
    await clock.advance(3_000_000)
    await access.sessions.authenticate(cookie.reveal(), 'x')
    await clock.advance(3_601_000)
    await expect(access.sessions.authenticate(cookie.reveal(), 'x')).rejects.toMatchObject(loginNeeded)
  })
})
