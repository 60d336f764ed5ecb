import { create } from '@bufbuild/protobuf'
import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { connect as connectHttp2, constants as http2 } from 'node:http2'
import { connect } from 'node:net'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { apiLevel } from '../../../proto/client/api-level.ts'
import { connectService, openTransport } from '../../../proto/client/connect.ts'
import type { ServiceConnection } from '../../../proto/client/connect.ts'
import { readError } from '../../../proto/client/read-error.ts'
import { FileState } from '../../../proto/gen/cloudmoor/v1/file_pb.js'
import { LogLevel } from '../../../proto/gen/cloudmoor/v1/log_pb.js'
import { ConditionKind, MountAccess, MountSchema, MountState } from '../../../proto/gen/cloudmoor/v1/mount_pb.js'
import { ManagedBy } from '../../../proto/gen/cloudmoor/v1/resources_pb.js'
import { DiagnosisResult } from '../../../proto/gen/cloudmoor/v1/system_pb.js'
import { TransferState } from '../../../proto/gen/cloudmoor/v1/transfer_pb.js'
import { Health, HealthCheckResponse_ServingStatus } from '../../../proto/gen/grpc/health/v1/health_pb.js'
import { startTestService } from '../../../tests/support/test-service.ts'
import type { TestService } from '../../../tests/support/test-service.ts'
import { CloudError } from '../../common/errors.ts'

let service: TestService
const protocols = ['http1', 'http2', 'grpc'] as const

beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.stop())

async function failureOf(call: Promise<unknown>) {
  try {
    await call
  } catch (caught) {
    return readError(caught)
  }
  throw new Error('the call succeeded')
}

describe.each(protocols)('over %s', (protocol) => {
  let client: ServiceConnection
  beforeAll(() => {
    client = connectService(service.places.socket, { protocol, timeoutMs: 10_000 })
  })
  afterAll(() => client.close())

  it('says who it is and how it is', async () => {
    expect(await client.system.getVersion({})).toMatchObject({ version: '1.2.3', apiLevel })
    expect(await client.system.getStatus({})).toMatchObject({
      pid: process.pid,
      kind: 'user',
      stateDir: service.places.state,
      startTime: { seconds: 1_700_000_000n },
    })
    expect((await client.system.diagnose({})).diagnoses).toMatchObject([
      { name: 'fuse-device', result: DiagnosisResult.FAILURE, hint: 'modprobe fuse' },
      { name: 'vault', result: DiagnosisResult.OK },
    ])
  })

  it('lists the provider types with their schemas', async () => {
    const { providerTypes } = await client.providers.listProviderTypes({})
    const s3 = providerTypes.find((type) => type.id === 's3')
    expect(s3?.optionsSchema).toMatchObject({ properties: { secretAccessKey: { secret: true }, endpoint: { destination: true } } })
  })

  it('leads an account and a mount through their lives', async () => {
    const secrets = { secretAccessKey: 'hunter2' }
    const { provider } = await client.providers.createProvider({
      provider: { name: `p ${protocol}`, type: 's3', options: { accessKeyId: 'AK', endpoint: 'http://127.0.0.1:1', pathStyle: 'true' } },
      secrets,
      test: true,
    })
    if (provider === undefined) throw new Error('no provider')
    expect(provider).toMatchObject({
      etag: '1',
      managedBy: ManagedBy.API,
      options: { pathStyle: true },
      secrets: [{ name: 'secretAccessKey' }],
    })
    expect((await client.providers.listProviders({ name: `p ${protocol}` })).providers).toEqual([provider])
    const updated = await client.providers.updateProvider({
      provider: { id: provider.id, etag: '1', options: { partSize: 16 } },
      updateMask: { paths: ['options.partSize'] },
    })
    expect(updated.provider).toMatchObject({ etag: '2', options: { accessKeyId: 'AK', partSize: 16 } })
    expect((await client.providers.testProvider({ id: provider.id })).checks).toMatchObject([{ name: 'write' }])
    expect((await client.browse.listFolder({ providerId: provider.id })).entries).toMatchObject([{ name: 'a', folder: true }])

    const { mount } = await client.mounts.createMount({
      mount: {
        name: `m ${protocol}`,
        providerId: provider.id,
        path: '/mnt/x',
        cacheSize: 5_000_000_000n,
        access: MountAccess.ALL,
        options: { fsync: 'remote' },
        umask: 0,
      },
    })
    if (mount === undefined) throw new Error('no mount')
    expect(mount).toMatchObject({ enabled: false, umask: 0, cacheSize: 5_000_000_000n, options: { fsync: 'remote' } })
    expect(mount.status).toMatchObject({ state: MountState.UNMOUNTED, queue: { files: 2n, parked: 1n }, cache: { dirtyBytes: 5n } })
    const started = await client.mounts.startMount({ id: mount.id })
    expect(started.mount).toMatchObject({
      enabled: true,
      etag: '1',
      status: { state: MountState.MOUNTED, workerPid: 4711, conditions: [{ kind: ConditionKind.OFFLINE }] },
    })
    const changed = await client.mounts.updateMount({
      mount: { id: mount.id, readOnly: true, path: '/ignored', options: { freshness: 'strict' } },
      updateMask: { paths: ['read_only', 'options'] },
    })
    expect(changed.mount).toMatchObject({ readOnly: true, path: '/mnt/x', options: { freshness: 'strict' } })
    expect(changed.mount?.options).not.toHaveProperty('fsync')

    expect(await client.files.getFileState({ mountId: mount.id, path: 'a/b' })).toMatchObject({
      path: 'a/b',
      state: FileState.QUEUED,
      localOnly: ['owner'],
      sheet: [],
    })
    await client.transfers.retryTransfers({ mountId: mount.id })

    expect(await failureOf(client.providers.removeProvider({ id: provider.id }))).toMatchObject({
      status: 'FailedPrecondition',
      reason: 'PROVIDER_IN_USE',
    })
    expect(await failureOf(client.mounts.stopMount({ id: mount.id }))).toMatchObject({
      reason: 'MOUNT_BUSY',
      hint: 'End it, or use --force.',
    })
    await client.mounts.stopMount({ id: mount.id, force: true })
    await client.mounts.removeMount({ id: mount.id, etag: '2' })
    await client.providers.removeProvider({ id: provider.id })
    expect(await failureOf(client.mounts.getMount({ id: mount.id }))).toMatchObject({ status: 'NotFound', reason: 'NOT_FOUND' })
  })

  it('streams the log and ends when the client does', async () => {
    service.log.forMount('m9').write('warn', `before ${protocol}`, { files: 3 })
    service.log.write('debug', 'not asked for')
    const abort = new AbortController()
    const messages: string[] = []
    const stream = client.logs.tailLogs({ follow: true, lines: 1, minLevel: LogLevel.WARN, mountId: 'm9' }, { signal: abort.signal })
    const error: unknown = await (async () => {
      for await (const { entries } of stream) {
        messages.push(...entries.map((entry) => entry.message))
        if (messages.length === 1) service.log.forMount('m9').write('error', `after ${protocol}`)
        if (messages.length === 2) abort.abort()
      }
    })().catch((caught: unknown) => caught)
    expect(messages).toEqual([`before ${protocol}`, `after ${protocol}`])
    expect(ConnectError.from(error).code).toBe(Code.Canceled)
  })

  it('answers the health protocol', async () => {
    const { transport, close } = openTransport(service.places.socket, { protocol })
    const health = createClient(Health, transport)
    const serving = { status: HealthCheckResponse_ServingStatus.SERVING }
    expect(await health.check({})).toMatchObject(serving)
    expect(await health.check({ service: 'cloudmoor.v1.MountService' })).toMatchObject(serving)
    expect(await failureOf(health.check({ service: 'x' }))).toMatchObject({ status: 'NotFound' })
    const abort = new AbortController()
    for await (const answer of health.watch({}, { signal: abort.signal })) {
      expect(answer).toMatchObject(serving)
      break
    }
    abort.abort()
    close()
  })
})

describe('errors', () => {
  let client: ServiceConnection
  beforeAll(() => {
    client = connectService(service.places.socket, { timeoutMs: 10_000 })
  })

  it('carry reason, hint and the id that the log has', async () => {
    const error = await failureOf(
      client.providers.createProvider({ provider: { name: 'x', type: 's3', options: { accessKeyId: 'A', bukcet: 'b' } } }),
    )
    expect(error).toMatchObject({
      status: 'InvalidArgument',
      reason: 'UNKNOWN_OPTION',
      message: expect.stringContaining('Did you mean bucket'),
    })
    const lines: { message: string; correlationId: string }[] = []
    for await (const { entries } of client.logs.tailLogs({ correlationId: error.correlationId })) lines.push(...entries)
    expect(lines.map((line) => line.message)).toEqual(['call failed'])
  })

  it('take the id that the client gave, if it is harmless', async () => {
    const call = (id: string) => failureOf(client.mounts.getMount({ id: 'absent' }, { headers: { 'cloudmoor-correlation-id': id } }))
    expect((await call('my-own-id-1')).correlationId).toBe('my-own-id-1')
    expect((await call('"x" 1234567')).correlationId).toMatch(/^[0-9a-z]{16}$/)
  })

  it('give the provider’s own code and when to try again', async () => {
    service.mounts.onProbe = () => Promise.reject(new CloudError('throttled', 'slow down', { code: 'SlowDown', retryAfterMs: 2500 }))
    const { provider } = await client.providers.createProvider({ provider: { name: 'slow', type: 'local', options: { path: '/srv' } } })
    const error = await failureOf(client.providers.testProvider({ id: provider?.id ?? '' }))
    expect(error).toMatchObject({ status: 'Unavailable', reason: 'THROTTLED', providerCode: 'SlowDown', retryAfterMs: 2500 })
  })

  it('keep what a fault of ours says in the log', async () => {
    service.mounts.onProbe = () => Promise.reject(new TypeError('x is undefined in /some/file'))
    const { providers } = await client.providers.listProviders({ name: 'slow' })
    const error = await failureOf(client.providers.testProvider({ id: providers[0]?.id ?? '' }))
    expect(error).toMatchObject({ status: 'Internal', reason: 'INTERNAL', message: expect.not.stringContaining('file') })
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(await readFile(`${service.places.logs}/service.log`, 'utf8')).toContain('x is undefined')
  })

  it('come at the client’s deadline, also when the work goes on', async () => {
    service.mounts.onProbe = () => new Promise(() => {})
    const { providers } = await client.providers.listProviders({ name: 'slow' })
    const error = await failureOf(client.providers.testProvider({ id: providers[0]?.id ?? '' }, { timeoutMs: 200 }))
    expect(error.status).toBe('DeadlineExceeded')
  })

  it('say what is wrong with a request', async () => {
    const wrong = [
      client.mounts.createMount({}),
      client.mounts.listMounts({ pageSize: -1 }),
      client.mounts.listMounts({ pageToken: '!' }),
      client.mounts.createMount({ mount: { name: 'x', options: { a: { b: 1 } } } }),
      client.logs.tailLogs({ lines: 1_000_000 })[Symbol.asyncIterator]().next(),
    ]
    const failures = await Promise.all(wrong.map(failureOf))
    for (const failure of failures) expect(failure).toMatchObject({ status: 'InvalidArgument', reason: 'INVALID' })
    expect(await failureOf(client.mounts.removeMount({ id: 'x', etag: 'W/"5"' }))).toMatchObject({ status: 'Aborted', reason: 'CONFLICT' })
  })

  it('say that nobody is there', async () => {
    const nobody = connectService(`${service.places.socket}.absent`)
    expect(await failureOf(nobody.system.getVersion({}))).toMatchObject({ reason: 'NO_SERVICE' })
  })
})

describe('a creation with a request id', () => {
  it('happens once, also when repeated at once, and gives what the first made', async () => {
    const client = connectService(service.places.socket)
    const request = { provider: { name: 'once', type: 'local', options: { path: '/srv' } }, requestId: 'r1' }
    const made = await Promise.all([1, 2, 3].map(() => client.providers.createProvider(request)))
    expect(new Set(made.map(({ provider }) => provider?.id)).size).toBe(1)
    const other = { ...request, provider: { ...request.provider, name: 'twice' } }
    expect(await failureOf(client.providers.createProvider(other))).toMatchObject({ reason: 'REQUEST_ID_REUSED' })
    const mount = create(MountSchema, { name: 'once', providerId: made[0]?.provider?.id ?? '', path: '/m' })
    const first = await client.mounts.createMount({ mount, requestId: 'r1' })
    expect((await client.mounts.createMount({ mount, requestId: 'r1' })).mount).toEqual(first.mount)
    expect(await failureOf(client.mounts.createMount({ mount, requestId: 'r2' }))).toMatchObject({ reason: 'NAME_TAKEN' })
  })
})

it('pages by name', async () => {
  const client = connectService(service.places.socket)
  for (const name of ['page a', 'page b', 'page c'])
    await client.providers.createProvider({ provider: { name, type: 'local', options: { path: '/srv' } } })
  const names: string[] = []
  let pageToken = ''
  do {
    const page = await client.providers.listProviders({ pageSize: 2, pageToken })
    expect(page.providers.length).toBeLessThanOrEqual(2)
    names.push(...page.providers.map((provider) => provider.name))
    pageToken = page.nextPageToken
  } while (pageToken !== '')
  expect(names).toEqual([...names].sort())
  expect(names).toEqual(expect.arrayContaining(['page a', 'page b', 'page c']))
})

it('lists the transfers of every mount and names those it could not ask', async () => {
  const client = connectService(service.places.socket)
  const { provider } = await client.providers.createProvider({ provider: { name: 'tp', type: 'local', options: { path: '/srv' } } })
  const providerId = provider?.id ?? ''
  for (const name of ['t1', 't2']) await client.mounts.createMount({ mount: { name, providerId, path: `/${name}` } })
  service.mounts.transfersOf = (id) => {
    if (id === 'id-t2') throw new CloudError('unavailable', 'no worker', { code: 'WORKER_UNAVAILABLE' })
    if (id !== 'id-t1') return []
    return [{ id: 7, path: 'a', direction: 'upload', state: 'parked', size: 9, done: 1, tries: 3, nextTryAt: 0, reason: 'too large' }]
  }
  const all = await client.transfers.listTransfers({})
  expect(all.transfers).toMatchObject([{ id: 7n, mountId: 'id-t1', state: TransferState.PARKED, size: 9n }])
  expect(all.transfers[0]?.nextTryTime).toBeUndefined()
  expect(all.unavailableMountIds).toEqual(['id-t2'])
  expect(await failureOf(client.transfers.listTransfers({ mountId: 'id-t2' }))).toMatchObject({
    status: 'Unavailable',
    reason: 'WORKER_UNAVAILABLE',
  })
})

it('tells times in whole milliseconds, wherever they come from', async () => {
  const client = connectService(service.places.socket)
  const { provider } = await client.providers.createProvider({ provider: { name: 'times', type: 'local', options: { path: '/t' } } })
  await client.mounts.createMount({ mount: { name: 'times', providerId: provider?.id ?? '', path: '/times' } })
  const transfer = { id: 7, path: 'a', direction: 'upload', state: 'waiting', size: 9, done: 1, tries: 3, reason: '' } as const
  service.mounts.transfersOf = () => [{ ...transfer, nextTryAt: 1_795_489_043_437.439 }]
  const { transfers } = await client.transfers.listTransfers({ mountId: 'id-times' })
  expect(transfers.map(({ nextTryTime }) => nextTryTime)).toMatchObject([{ seconds: 1_795_489_043n, nanos: 437_000_000 }])
})

it('calls no fault its own of a client that ends its stream with any number', async () => {
  const ends = [http2.NGHTTP2_PROTOCOL_ERROR, http2.NGHTTP2_INTERNAL_ERROR, http2.NGHTTP2_FRAME_SIZE_ERROR, http2.NGHTTP2_CANCEL]
  const session = connectHttp2('http://localhost', { createConnection: () => connect(service.places.socket) })
  const headers = { ':method': 'POST', ':path': '/cloudmoor.v1.EventService/Watch', 'content-type': 'application/grpc', te: 'trailers' }
  for (const code of ends) {
    for (const [part, bytes] of [Buffer.alloc(5), Buffer.alloc(3)].entries()) {
      const stream = session.request({ ...headers, 'cloudmoor-correlation-id': `stream-${code}-${part}` })
      stream.on('error', () => undefined)
      // A message of no fields begins the stream; a part of one is waited for.
      if (part === 0) stream.end(bytes)
      else stream.write(bytes)
      if (part === 0) await once(stream, 'response')
      else await new Promise((done) => session.ping(done))
      stream.close(code)
    }
  }
  session.close()
  const log = () => readFile(`${service.places.logs}/service.log`, 'utf8')
  for (const code of ends) await expect.poll(log).toContain(`"stream-${code}-1"`)
  expect((await log()).split('\n').filter((line) => line.includes('"stream-') && line.includes('"level":"error"'))).toEqual([])
})

it('shuts down through the process it lives in', async () => {
  const client = connectService(service.places.socket)
  const { unsent } = await client.system.shutdown({ uploadTimeout: { seconds: 3n } })
  expect(unsent).toMatchObject([{ mountId: 'm1', name: 'drive', queue: { files: 1n } }])
  await client.system.shutdown({})
  expect(service.shutdowns).toEqual([3000, null])
})
