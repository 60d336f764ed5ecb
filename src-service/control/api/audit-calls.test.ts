import Database from 'better-sqlite3'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createClient } from '@connectrpc/connect'
import { connectService, openTransport } from '../../../proto/client/connect.ts'
import type { ServiceConnection } from '../../../proto/client/connect.ts'
import { EventService, LiveKind } from '../../../proto/gen/cloudmoor/v1/event_pb.js'
import { readError } from '../../../proto/client/read-error.ts'
import { Role } from '../../../proto/gen/cloudmoor/v1/policy_pb.js'
import { startTestService } from '../../../tests/support/test-service.ts'
import type { TestService } from '../../../tests/support/test-service.ts'

let service: TestService
let client: ServiceConnection

beforeAll(async () => {
  service = await startTestService()
  client = connectService(service.places.socket)
})
afterAll(() => service.stop())

async function lines(begun = false) {
  const found = []
  for await (const { entries } of client.audit.tailAudit({ begun })) found.push(...entries)
  return found
}

it('a change is recorded before and after, with who, from where, on what and its id; a read is not', async () => {
  await client.mounts.listMounts({})
  const headers = { 'cloudmoor-correlation-id': 'audited-1' }
  await client.users.createUser({ user: { name: 'anna', grant: { role: Role.OPERATOR } } }, { headers })
  const common = {
    principal: `local:${process.getuid?.()}`,
    origin: 'socket',
    action: 'cloudmoor.v1.UserService.CreateUser',
    target: 'anna',
  }
  expect(await lines(true)).toMatchObject([
    { ...common, result: 'begun', class: 'change', correlationId: 'audited-1' },
    { ...common, result: 'ok', times: 1 },
  ])
  await client.users.createUser({ user: { name: 'anna', grant: { role: Role.OPERATOR } } }).catch(() => {})
  expect((await lines()).at(-1)).toMatchObject({ ...common, result: 'NAME_TAKEN' })
  await client.sessions.login({ name: 'anna', password: 'wrong password' }).catch(() => {})
  expect((await lines()).at(-1)).toMatchObject({ action: 'cloudmoor.v1.SessionService.Login', target: 'anna', result: 'LOGIN_NEEDED' })
  expect(await client.audit.verifyAudit({})).toMatchObject({ lines: 5n, brokenAt: 0n })
})

it('while it cannot be written nothing can be changed, and everything read', async () => {
  const database = new Database(service.places.database)
  database.exec("CREATE TRIGGER full BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'disk full'); END")
  try {
    const refused: unknown = await client.users
      .createUser({ user: { name: 'ben', grant: { role: Role.OPERATOR } } })
      .catch((e: unknown) => e)
    expect(readError(refused)).toMatchObject({ reason: 'AUDIT_UNAVAILABLE', status: 'Unavailable' })
    expect((await client.users.listUsers({})).users.map(({ name }) => name)).toEqual(['anna'])
    expect((await lines()).length).toBe(3)
  } finally {
    database.exec('DROP TRIGGER full')
    database.close()
  }
  await client.users.createUser({ user: { name: 'ben', grant: { role: Role.OPERATOR } } })
})

it('comes live on the stream of events, to those who ask', async () => {
  const { transport, close } = openTransport(service.places.socket)
  const events = createClient(EventService, transport)
  const abort = new AbortController()
  const next = (async () => {
    for await (const { content } of events.watch({ live: [LiveKind.AUDIT] }, { signal: abort.signal })) {
      if (content.case === 'event' && content.value.what.case === 'audit') return content.value.what.value
    }
    return null
  })()
  await new Promise((resolve) => setTimeout(resolve, 700))
  await client.users.createUser({ user: { name: 'dora', grant: { role: Role.READ_ONLY } } })
  expect(await next).toMatchObject({ action: 'cloudmoor.v1.UserService.CreateUser', target: 'dora', result: 'ok' })
  abort.abort()
  close()
})

it('followed, it gives new lines as they come', async () => {
  const abort = new AbortController()
  const seen: string[] = []
  const following = (async () => {
    for await (const { entries } of client.audit.tailAudit({ lines: 1, follow: true }, { signal: abort.signal })) {
      seen.push(...entries.map(({ target }) => target))
      if (seen.includes('carl')) abort.abort()
    }
  })().catch(() => {})
  await new Promise((resolve) => setTimeout(resolve, 200))
  await client.users.createUser({ user: { name: 'carl', grant: { role: Role.READ_ONLY } } })
  await following
  expect(seen).toEqual(['dora', 'carl'])
})
