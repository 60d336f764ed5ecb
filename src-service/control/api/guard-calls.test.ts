import type { DescField, DescMessage, DescMethod, DescMethodUnary, DescService } from '@bufbuild/protobuf'
import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect'
import type { HandlerContext, ServiceImpl, Transport } from '@connectrpc/connect'
import { describe, expect, it } from 'vitest'
import { readError } from '../../../proto/client/read-error.ts'
import { LogService } from '../../../proto/gen/cloudmoor/v1/log_pb.js'
import { MountService } from '../../../proto/gen/cloudmoor/v1/mount_pb.js'
import { ProviderService } from '../../../proto/gen/cloudmoor/v1/provider_pb.js'
import { SystemService } from '../../../proto/gen/cloudmoor/v1/system_pb.js'
import { ruleOf } from '../../../proto/openapi/json-schema.ts'
import { loadContract } from '../../../proto/policy-faults.ts'
import { CloudError } from '../../common/errors.ts'
import { correlationId } from '../../common/telemetry/correlation.ts'
import type { Log } from '../../common/telemetry/log.ts'
import { createGrants } from '../users/grants.ts'
import { allMounts } from '../users/principal.ts'
import type { Principal, Role } from '../users/principal.ts'
import { principalKey } from './call.ts'
import { CallMetrics } from './metrics/call-metrics.ts'
import { createGuard } from './guard-calls.ts'
import { policyOf } from './policies.ts'

const lines: string[] = []
const log: Log = {
  write: (level, message) => void lines.push(`${level} ${message}`),
  forMount: () => log,
  setLevel: () => {},
  close: () => Promise.resolve(),
}

const noAudit = { begin: () => Promise.resolve(), end: () => Promise.resolve(), refused: () => {} }

/** A transport to `service` whose methods do `work`, called by `principal`. */
function transportTo(
  service: DescService,
  work: (method: string) => unknown,
  principal: Principal | null,
  maxStreams = 10,
  grants = createGrants(),
): Transport {
  const guard = createGuard({ log, grants, refreshGrants: () => Promise.resolve(), maxStreams, calls: new CallMetrics(), audit: noAudit })
  const requestGate = (context: HandlerContext) => {
    context.values.set(principalKey, principal)
    guard.gate(context)
  }
  const methods = service.methods.map((method) => [method.localName, () => work(method.name)])
  return createRouterTransport((router) => router.service(service, Object.fromEntries(methods) as Partial<ServiceImpl<DescService>>), {
    router: { requestGate, interceptors: [guard.interceptor] },
  })
}

const admin: Principal = { name: 'local:1', role: 'admin', scope: allMounts, origin: 'socket', ended: null }

it('lets a role call what it may, and nothing else', async () => {
  const services = (await loadContract()).flatMap((file) => file.services)
  const roles: readonly Role[] = ['read-only', 'operator', 'admin']
  for (const service of services) {
    for (const role of roles) {
      const called: string[] = []
      const work = (method: string) => {
        called.push(method)
        return {}
      }
      const transport = transportTo(service, work, { name: 'x', role, scope: allMounts, origin: 'socket', ended: null })
      const methods = service.methods.filter(isUnary)
      for (const method of methods) {
        const allowed = roles.indexOf(role) >= roles.indexOf(policyOf(method).role)
        const outcome = await transport.unary(method, undefined, undefined, undefined, leastRequest(method)).then(
          () => 'done',
          (caught: unknown) => readError(caught).reason,
        )
        expect([method.name, role, outcome]).toEqual([method.name, role, allowed ? 'done' : 'PERMISSION'])
      }
      const mayCall = methods.filter((method) => roles.indexOf(role) >= roles.indexOf(policyOf(method).role))
      expect(called).toEqual(mayCall.map((method) => method.name))
    }
  }
})

/** What a method must be given. */
function leastRequest({ input }: DescMethodUnary): Record<string, unknown> {
  return leastMessage(input, [])
}

function leastMessage({ fields }: DescMessage, also: readonly string[]): Record<string, unknown> {
  const needed = fields.filter((field) => ruleOf(field)?.required === true || also.includes(field.jsonName))
  return Object.fromEntries(needed.map((field) => [field.localName, leastValue(field)]))
}

function leastValue(field: DescField): unknown {
  if (field.fieldKind === 'enum') return 1
  if (field.fieldKind === 'message') return leastMessage(field.message, ruleOf(field)?.requiredFields ?? [])
  if (field.fieldKind === 'list') return [field.listKind === 'message' ? {} : 'x']
  const rule = ruleOf(field)
  return (rule?.pattern.startsWith('^/') === true ? '/' : 'x').repeat(Math.max(1, rule?.minLength ?? 0))
}

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === 'unary'
}

it('lets nobody in whom no listener has named', async () => {
  const client = createClient(
    SystemService,
    transportTo(SystemService, () => ({}), null),
  )
  await expect(client.getVersion({})).rejects.toMatchObject({ code: Code.Unauthenticated })
})

it('gives the work its correlation id and records changes', async () => {
  lines.length = 0
  let seen: string | undefined
  const client = createClient(
    SystemService,
    transportTo(SystemService, () => ((seen = correlationId()), {}), admin),
  )
  let header: string | null = null
  await client.restart({}, { onHeader: (headers) => (header = headers.get('cloudmoor-correlation-id')) })
  expect(seen).toMatch(/^[0-9a-z]{16}$/)
  expect(header).toBe(seen)
  await client.getVersion({})
  expect(lines).toEqual(['info call done'])
})

describe('a grant over some mounts', () => {
  const grants = createGrants()
  grants.refresh([
    { id: 'm1', providerId: 'p1', labels: ['team-a'] },
    { id: 'm2', providerId: 'p2', labels: [] },
  ])
  const narrow: Record<string, Principal> = {
    mounts: { name: 'x', role: 'operator', scope: { kind: 'mounts', mountIds: ['m1'] }, origin: 'socket', ended: null },
    label: { name: 'y', role: 'operator', scope: { kind: 'label', label: 'team-a' }, origin: 'socket', ended: null },
  }

  it.each(Object.keys(narrow))('of kind %s: what lies outside does not exist', async (kind) => {
    const principal = narrow[kind] ?? admin
    const outcome = (call: Promise<unknown>) =>
      call.then(
        () => 'done',
        (caught: unknown) => readError(caught).reason,
      )
    const mounts = createClient(
      MountService,
      transportTo(MountService, () => ({}), principal, 10, grants),
    )
    const providers = createClient(
      ProviderService,
      transportTo(ProviderService, () => ({}), principal, 10, grants),
    )
    expect(await outcome(mounts.getMount({ id: 'm1' }))).toBe('done')
    expect(await outcome(mounts.getMount({ id: 'm2' }))).toBe('NOT_FOUND')
    expect(await outcome(mounts.getMount({ id: 'absent' }))).toBe('NOT_FOUND')
    expect(await outcome(mounts.getMount({}))).toBe('PERMISSION')
    expect(await outcome(mounts.updateMount({ mount: { id: 'm2' } }))).toBe('NOT_FOUND')
    expect(await outcome(mounts.updateMount({ mount: { id: 'm1', providerId: 'p2' } }))).toBe('NOT_FOUND')
    expect(await outcome(mounts.createMount({ mount: { name: 'm', path: '/m', providerId: 'p1' } }))).toBe('PERMISSION')
    expect(await outcome(mounts.listMounts({}))).toBe('done')
    expect(await outcome(providers.getProvider({ id: 'p1' }))).toBe('done')
    expect(await outcome(providers.getProvider({ id: 'p2' }))).toBe('NOT_FOUND')
    const logs = createClient(LogService, transportTo(LogService, noLines, principal, 10, grants))
    expect(await outcome(drain(logs.tailLogs({ mountId: 'm1' })))).toBe('done')
    expect(await outcome(drain(logs.tailLogs({ mountId: 'm2' })))).toBe('NOT_FOUND')
  })

  it('follows the labels of the mounts', () => {
    const label = narrow['label'] ?? admin
    const sight = grants.sightOf(label)
    expect(sight.mount('m2')).toBe(false)
    grants.changed({ id: 'm2', providerId: 'p2', labels: ['team-a'] })
    expect([sight.mount('m2'), sight.provider('p2'), sight.whole]).toEqual([true, true, false])
    grants.removed('m2')
    expect(grants.grantAllows(label, 'm2')).toBe(false)
    expect(grants.grantAllows(admin, 'm2')).toBe(true)
  })
})

it('ends a call, and a stream within a second, with the login it came in with', async () => {
  const login = new AbortController()
  const principal: Principal = { ...admin, ended: login.signal }
  async function* endless() {
    yield {}
    await new Promise(() => {})
  }
  const client = createClient(LogService, transportTo(LogService, endless, principal))
  const stream = client.tailLogs({})[Symbol.asyncIterator]()
  await stream.next()
  const rest = stream.next()
  const started = performance.now()
  login.abort(new CloudError('permission', 'the token was revoked', { code: 'LOGIN_NEEDED' }))
  const ended: unknown = await rest.catch((caught: unknown) => caught)
  expect(performance.now() - started).toBeLessThan(1000)
  expect(readError(ended).reason).toBe('LOGIN_NEEDED')
  const again: unknown = await client
    .tailLogs({})
    [Symbol.asyncIterator]()
    .next()
    .catch((caught: unknown) => caught)
  expect(readError(again).reason).toBe('LOGIN_NEEDED')
})

async function* noLines() {}

async function drain(stream: AsyncIterable<unknown>): Promise<void> {
  const seen: unknown[] = []
  for await (const each of stream) seen.push(each)
}

it('opens so many streams and counts those that ended', async () => {
  async function* endless() {
    yield {}
    await new Promise(() => {})
  }
  const client = createClient(LogService, transportTo(LogService, endless, admin, 2))
  const start = async () => {
    const abort = new AbortController()
    const stream = client.tailLogs({}, { signal: abort.signal })[Symbol.asyncIterator]()
    await stream.next()
    return async () => {
      const rest = stream.next()
      abort.abort()
      await expect(rest).rejects.toThrow(ConnectError)
    }
  }
  const [endFirst, endSecond] = [await start(), await start()]
  const refused: unknown = await start().catch((caught: unknown) => caught)
  expect(readError(refused)).toMatchObject({ status: 'ResourceExhausted', reason: 'TOO_MANY_STREAMS' })
  await endFirst()
  await (await start())()
  await endSecond()
  const atOnce = await Promise.allSettled(Array.from({ length: 8 }, start))
  const opened = atOnce.flatMap((each) => (each.status === 'fulfilled' ? [each.value] : []))
  expect(opened.length).toBe(2)
  for (const end of opened) await end()
  const refuse = () => {
    throw new CloudError('offline', 'no')
  }
  const failing = createClient(LogService, transportTo(LogService, refuse, admin, 2))
  for (const reason of ['OFFLINE', 'OFFLINE', 'OFFLINE'])
    expect(readError(await drain(failing.tailLogs({})).catch((caught: unknown) => caught)).reason).toBe(reason)
})
