import type { DescMethod, DescMethodUnary, DescService } from '@bufbuild/protobuf'
import { Code, ConnectError, createClient, createRouterTransport } from '@connectrpc/connect'
import type { Interceptor, ServiceImpl, Transport } from '@connectrpc/connect'
import { expect, it } from 'vitest'
import { readError } from '../../../proto/client/read-error.ts'
import { LogService } from '../../../proto/gen/cloudmoor/v1/log_pb.js'
import { SystemService } from '../../../proto/gen/cloudmoor/v1/system_pb.js'
import { loadContract } from '../../../proto/policy-faults.ts'
import { correlationId } from '../../common/telemetry/correlation.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { Principal, Role } from '../users/principal.ts'
import { principalKey } from './call.ts'
import { guardCalls } from './guard-calls.ts'
import { policyOf } from './policies.ts'

const lines: string[] = []
const log: Log = {
  write: (level, message) => void lines.push(`${level} ${message}`),
  forMount: () => log,
  setLevel: () => {},
  close: () => Promise.resolve(),
}

/** A transport to `service` whose methods do `work`, called by `principal`. */
function transportTo(service: DescService, work: (method: string) => unknown, principal: Principal | null, maxStreams = 10): Transport {
  const identify: Interceptor = (next) => (request) => {
    request.contextValues.set(principalKey, principal)
    return next(request)
  }
  const methods = service.methods.map((method) => [method.localName, () => work(method.name)])
  return createRouterTransport((router) => router.service(service, Object.fromEntries(methods) as Partial<ServiceImpl<DescService>>), {
    router: { interceptors: [identify, guardCalls(log, maxStreams)] },
  })
}

const admin: Principal = { name: 'local:1', role: 'admin' }

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
      const transport = transportTo(service, work, { name: 'x', role })
      const methods = service.methods.filter(isUnary)
      for (const method of methods) {
        const allowed = roles.indexOf(role) >= roles.indexOf(policyOf(method).role)
        const outcome = await transport.unary(method, undefined, undefined, undefined, {}).then(
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

function isUnary(method: DescMethod): method is DescMethodUnary {
  return method.methodKind === 'unary'
}

it('lets nobody in whom no listener has named', async () => {
  const client = createClient(
    SystemService,
    transportTo(SystemService, () => ({}), null),
  )
  await expect(client.getVersion({})).rejects.toMatchObject({ code: Code.Internal })
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
})
