import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { ManualClock } from '../../../tests/support/manual-clock.ts'
import { Secret } from '../../common/secret.ts'
import { openStore } from '../store/open-store.ts'
import type { Store } from '../store/store.ts'
import { createAccess } from './access.ts'
import type { Access } from './access.ts'
import { everyLine, openAudit } from './audit.ts'
import { allMounts } from './principal.ts'
import type { Grant, Principal } from './principal.ts'

/** The clock of the machine is set back: nobody loses a right, none lasts much longer, and the record keeps its order. */

let folder: string
let store: Store
let clock: ManualClock
let access: Access
const second = 1000
const hour = 3600 * second
const day = 24 * hour
const everything: Grant = { role: 'operator', scope: allMounts }
const local: Principal = { name: 'local:1000', role: 'admin', scope: allMounts, origin: 'socket', ended: null }
const loginNeeded = { kind: 'permission', code: 'LOGIN_NEEDED' }
const password = new Secret('correct horse battery')

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'clock-'))
  await mkdir(join(folder, 'backups'))
  clock = new ManualClock()
  const places = { database: join(folder, 'x.db'), backups: join(folder, 'backups'), lock: join(folder, 'lock') }
  store = await openStore({ ...places, lockWaitMs: 0 })
  access = createAccess(store, clock, { memoryKiB: 64, passes: 1 })
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})

async function user(name: string) {
  const made = await access.users.create({ name, grant: everything, subject: '' }, null)
  return { made, invite: await access.users.invite(made.id, day) }
}

describe('a session', () => {
  it('goes on after a small step, and still ends an hour after its last use', async () => {
    const { made } = await user('anna')
    const { cookie } = await access.sessions.openFor(made, 'x')
    clock.jump(-10 * 60 * second)
    await access.sessions.authenticate(cookie.reveal(), 'x')
    await clock.advance(50 * 60 * second)
    await access.sessions.authenticate(cookie.reveal(), 'x')
    await clock.advance(hour + second)
    await expect(access.sessions.authenticate(cookie.reveal(), 'x')).rejects.toMatchObject(loginNeeded)
  })

  it('that was used in what is now the future asks for another login, which works', async () => {
    const { made, invite } = await user('anna')
    await access.users.accept(invite.code, password, 'x')
    const { cookie } = await access.sessions.openFor(made, 'x')
    clock.jump(-5 * hour)
    await expect(access.sessions.authenticate(cookie.reveal(), 'x')).rejects.toMatchObject(loginNeeded)
    const again = await access.sessions.openFor(await access.users.check('anna', password, 'x'), 'x')
    expect(await access.sessions.authenticate(again.cookie.reveal(), 'x')).toMatchObject({ name: 'user:anna' })
  })

  it('is not opened by a code that was made in what is now the future', async () => {
    const { code } = access.sessions.newCode(local)
    clock.jump(-5 * hour)
    await expect(access.sessions.openWithCode(code, 'x')).rejects.toMatchObject(loginNeeded)
    const next = access.sessions.newCode(local)
    expect((await access.sessions.openWithCode(next.code, 'x')).session.principal).toBe('local:1000')
  })
})

describe('a token', () => {
  it('stays valid and shows its last use; it ends at the time that it was given', async () => {
    const end = clock.now() + day
    const { text, token } = await access.tokens.create({ name: 'backup', grant: everything, expiresAt: end, createdBy: 'x' })
    await access.tokens.authenticate(text.reveal(), '10.0.0.1')
    clock.jump(-5 * hour)
    await access.tokens.authenticate(text.reveal(), '10.0.0.1')
    await expect.poll(async () => (await access.tokens.get(token.id)).lastUsedAt).toBe(clock.now())
    const { ended } = await access.tokens.authenticate(text.reveal(), '10.0.0.1')
    await clock.advance(day)
    expect(ended?.aborted).toBe(false)
    await clock.advance(5 * hour + second)
    expect(ended?.aborted).toBe(true)
    await expect(access.tokens.authenticate(text.reveal(), 'x')).rejects.toMatchObject(loginNeeded)
  })

  it('that was over is so again only until its time; one that was revoked stays so', async () => {
    const { text, token } = await access.tokens.create({ name: 'backup', grant: everything, expiresAt: 0, createdBy: 'x' })
    await access.tokens.revoke(token.id)
    clock.jump(-5 * day)
    await expect(access.tokens.authenticate(text.reveal(), 'x')).rejects.toMatchObject(loginNeeded)
  })
})

it('an invite is not lost, and works once', async () => {
  const { invite } = await user('anna')
  clock.jump(-30 * day)
  expect(await access.users.accept(invite.code, password, 'x')).toMatchObject({ name: 'anna' })
  await expect(access.users.accept(invite.code, password, 'x')).rejects.toMatchObject(loginNeeded)
})

it('who failed to log in waits a minute at most', async () => {
  const { invite } = await user('anna')
  await access.users.accept(invite.code, password, 'x')
  for (let tries = 0; tries < 12; tries++) {
    await access.users.check('anna', new Secret('wrong'), 'x').catch(() => {})
    await clock.advance(61 * second)
  }
  await access.users.check('anna', new Secret('wrong'), 'x').catch(() => {})
  clock.jump(-10 * 60 * second)
  await expect(access.users.check('anna', password, 'x')).rejects.toMatchObject({ code: 'LOGIN_THROTTLED', retryAfterMs: 60 * second })
  await clock.advance(30 * second)
  await expect(access.users.check('anna', password, 'x')).rejects.toMatchObject({ code: 'LOGIN_THROTTLED', retryAfterMs: 30 * second })
  await clock.advance(30 * second)
  expect(await access.users.check('anna', password, 'x')).toMatchObject({ name: 'anna' })
  for (let tries = 0; tries < 5; tries++) await access.users.check('anna', new Secret('wrong'), 'x').catch(() => {})
  clock.jump(-5 * hour)
  expect(await access.users.check('anna', password, 'x')).toMatchObject({ name: 'anna' })
})

it('the record keeps its order and is whole, days are closed, and only what is old goes', async () => {
  const fact = {
    ...{ principal: 'local:1', origin: 'socket', action: 'A', class: 'change', result: 'ok' },
    ...{ mountId: '', providerId: '', target: '', correlationId: 'c' },
  }
  const audit = await openAudit({ table: store.audit, key: Buffer.alloc(32, 1), clock, log: () => {}, keptDays: 30 })
  const write = (target: string) => audit.write({ ...fact, target })
  await write('first')
  clock.jump(-10 * day)
  await write('second')
  await clock.advance(day)
  await write('third')
  const lines = await audit.read(everyLine, 10)
  expect(lines.map(({ target, sequence, segment }) => [target, sequence, segment])).toEqual([
    ['first', 1, 1],
    ['second', 2, 2],
    ['third', 3, 3],
  ])
  expect(await audit.verify()).toMatchObject({ lines: 3, brokenAt: 0 })
})
