import { request as httpRequest } from 'node:http'
import { readFile } from 'node:fs/promises'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startTestService } from '../../../../tests/support/test-service.ts'
import type { TestService } from '../../../../tests/support/test-service.ts'
import { CloudError } from '../../../common/errors.ts'

let service: TestService
beforeAll(async () => {
  service = await startTestService()
})
afterAll(() => service.stop())

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string | string[] | undefined>>
  readonly text: string
  readonly json: Readonly<Record<string, unknown>>
}

function call(verb: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<Answer> {
  const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body)
  const given = { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers }
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath: service.places.socket, path, method: verb, headers: given }, (response) => {
      let answer = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (answer += chunk))
      response.on('end', () => {
        const isJson = response.headers['content-type'] === 'application/json'
        resolve({
          status: response.statusCode ?? 0,
          headers: response.headers,
          text: answer,
          json: isJson ? (JSON.parse(answer) as Answer['json']) : {},
        })
      })
    })
    request.on('error', reject).end(text)
  })
}

/** The first events of a stream; `meanwhile` runs once the first is there. */
function readEvents(
  count: number,
  headers: Record<string, string>,
  meanwhile: () => Promise<unknown>,
  query = '',
): Promise<Answer['json'][]> {
  return new Promise((resolve, reject) => {
    const accept = { accept: 'text/event-stream', ...headers }
    const request = httpRequest(
      { socketPath: service.places.socket, path: `/api/v1/events:watch${query}`, headers: accept },
      (response) => {
        let text = ''
        let begun = false
        response.setEncoding('utf8').on('data', (chunk: string) => {
          text += chunk
          const events = [...text.matchAll(/^id: (.*)\ndata: (.*)\n\n/gm)].map(([, id, data]) => ({
            ...(JSON.parse(data ?? '') as object),
            id,
          }))
          if (events.length > 0 && !begun) {
            begun = true
            meanwhile().catch(reject)
          }
          if (events.length < count) return
          request.destroy()
          resolve(events.slice(0, count))
        })
      },
    )
    request.on('error', reject).end()
  })
}

function reasonOf({ json }: Answer): unknown {
  return (json['details'] as { reason?: string }[] | undefined)?.find((detail) => detail.reason !== undefined)?.reason
}

const local = (name: string) => ({ provider: { name, type: 'local', options: { path: '/srv' } } })

describe('plain HTTP', () => {
  it('reads, with query parameters of every kind', async () => {
    expect((await call('GET', '/api/v1/system/version')).json).toEqual({ version: '1.2.3', apiLevel: 1 })
    await call('POST', '/api/v1/providers', local('q1'))
    expect((await call('GET', '/api/v1/providers?name=q1&pageSize=1')).json).toMatchObject({ providers: [{ name: 'q1' }] })
    for (const query of ['pageSize=x', 'pageSize=1&pageSize=2', 'pageSize=1.5', 'pageSize=-1', 'page_size=1', 'pagesize=1']) {
      const answer = await call('GET', `/api/v1/providers?${query}`)
      expect([query, answer.status, reasonOf(answer)]).toEqual([query, 400, 'INVALID'])
    }
    expect((await call('GET', '/api/v1/providers?pagesize=1')).json).toMatchObject({
      details: [{ metadata: { hint: 'Did you mean pageSize?' } }, {}],
    })
  })

  it('leads an account and a mount through their lives, with etags', async () => {
    const made = await call('POST', '/api/v1/providers', local('life'))
    expect([made.status, made.headers['etag']]).toEqual([200, '"1"'])
    const id = String(made.json['id'])
    expect((await call('GET', `/api/v1/providers/${id}`)).json).toEqual(made.json)
    const changed = await call('PATCH', `/api/v1/providers/${id}`, { provider: { name: 'life 2' } }, { 'if-match': '"1"' })
    expect([changed.status, changed.headers['etag'], changed.json['name']]).toEqual([200, '"2"', 'life 2'])
    const late = await call('PATCH', `/api/v1/providers/${id}`, { provider: { name: 'life 3' } }, { 'if-match': '"1"' })
    expect([late.status, reasonOf(late)]).toEqual([412, 'CONFLICT'])
    const mount = await call('POST', '/api/v1/mounts', { name: 'life', providerId: id, path: '/m', cacheSize: '5000000000' })
    expect(mount.json).toMatchObject({ name: 'life', cacheSize: '5000000000' })
    const mountId = String(mount.json['id'])
    const patched = await call('PATCH', `/api/v1/mounts/${mountId}`, { readOnly: true, options: { writeBackSeconds: 7 } })
    expect(patched.json).toMatchObject({ readOnly: true, path: '/m', options: { writeBackSeconds: 7 } })
    const masked = await call('PATCH', `/api/v1/mounts/${mountId}?updateMask=readOnly`, { readOnly: false, path: '/ignored' })
    expect(masked.json).toMatchObject({ path: '/m' })
    expect((await call('POST', `/api/v1/mounts/${mountId}:start`)).json).toMatchObject({ enabled: true })
    expect((await call('GET', `/api/v1/mounts/${mountId}/state/a/b%20c`)).json).toMatchObject({ path: 'a/b c' })
    const used = await call('DELETE', `/api/v1/providers/${id}`)
    expect([used.status, reasonOf(used)]).toEqual([409, 'PROVIDER_IN_USE'])
    await call('POST', `/api/v1/mounts/${mountId}:stop`, { force: true })
    expect((await call('DELETE', `/api/v1/mounts/${mountId}`)).status).toBe(200)
    expect((await call('DELETE', `/api/v1/providers/${id}`, undefined, { 'if-match': '"2"' })).status).toBe(200)
    expect((await call('GET', `/api/v1/providers/${id}`)).status).toBe(404)
  })

  it('takes back what it gave, but not what never changes', async () => {
    const provider = await call('POST', '/api/v1/providers', local('back'))
    const given = { name: 'back', providerId: String(provider.json['id']), path: '/back', remoteRoot: 'a', labels: ['team'] }
    const mount = await call('POST', '/api/v1/mounts', given)
    const user = await call('POST', '/api/v1/users', { name: 'back', grant: { role: 'ROLE_OPERATOR' } })
    const places = { providers: provider, mounts: mount, users: user }
    for (const [kind, { json }] of Object.entries(places)) {
      const body = kind === 'providers' ? { provider: json } : json
      const back = await call('PATCH', `/api/v1/${kind}/${String(json['id'])}`, body)
      expect([kind, back.status, back.json['etag']]).toEqual([kind, 200, expect.any(String)])
      const none = await call('PATCH', `/api/v1/${kind}/${String(json['id'])}`)
      expect([kind, none.status, none.json['message']]).toEqual([kind, 400, expect.stringMatching(/needs a body|required/)])
    }
    for (const change of [{ providerId: 'other' }, { remoteRoot: 'b' }, { cacheDir: '/elsewhere' }])
      expect((await call('PATCH', `/api/v1/mounts/${String(mount.json['id'])}`, change)).status).toBe(400)
    expect((await call('PATCH', `/api/v1/providers/${String(provider.json['id'])}`, { provider: { type: 's3' } })).status).toBe(400)
  })

  it('takes masks as JSON writes them, in Connect and in REST', async () => {
    const made = await call('POST', '/api/v1/providers', local('masked'))
    const { json: mount } = await call('POST', '/api/v1/mounts', { name: 'masked', providerId: String(made.json['id']), path: '/masked' })
    const id = String(mount['id'])
    const connect = async (updateMask: string, fields: object) => {
      const { status, json } = await call('POST', '/cloudmoor.v1.MountService/UpdateMount', { mount: { id, ...fields }, updateMask })
      return [status, status === 200 ? json['mount'] : json['code']]
    }
    const rest = async (updateMask: string, fields: object) => {
      const { status, json } = await call('PATCH', `/api/v1/mounts/${id}?updateMask=${updateMask}`, fields)
      return [status, status === 200 ? json : { 3: 'invalid_argument' }[Number(json['code'])]]
    }
    for (const change of [connect, rest]) {
      const options = { writeBackSeconds: 8, fsync: 'remote' }
      const set = await change('readOnly,options.writeBackSeconds', { readOnly: true, path: '/ignored', options })
      expect(set).toMatchObject([200, { readOnly: true, path: '/masked', options: { writeBackSeconds: 8 } }])
      expect(set).not.toMatchObject([200, { options: { fsync: 'remote' } }])
      const reset = await change('readOnly,options.writeBackSeconds', {})
      expect(reset).not.toMatchObject([200, { options: { writeBackSeconds: 8 } }])
      expect(reset[0]).toBe(200)
      expect(await change('read_only', { readOnly: true })).toEqual([400, 'invalid_argument'])
      expect(await change('options.constructor', {})).toMatchObject([200, { options: {} }])
    }
  })

  it('makes a thing once for one idempotency key', async () => {
    const key = { 'idempotency-key': 'k1' }
    const made = await Promise.all([1, 2].map(() => call('POST', '/api/v1/providers', local('once'), key)))
    expect(made[0]?.json).toEqual(made[1]?.json)
    expect(reasonOf(await call('POST', '/api/v1/providers', local('other'), key))).toBe('REQUEST_ID_REUSED')
  })

  it('streams lines, and events where they are asked for', async () => {
    service.log.forMount('m8').write('warn', 'seen')
    const lines = await call('GET', '/api/v1/logs:tail?mountId=m8')
    expect(lines.headers['content-type']).toBe('application/x-ndjson')
    expect(JSON.parse(lines.text)).toMatchObject({ entries: [{ message: 'seen', level: 'LOG_LEVEL_WARN' }] })
    const events = await call('GET', '/api/v1/logs:tail?mountId=m8', undefined, { accept: 'text/event-stream' })
    expect(events.headers['content-type']).toBe('text/event-stream')
    expect(events.text).toMatch(/^data: \{"entries":.*\}\n\n$/)
  })

  it('sends events with their cursors, and goes on after the last that was seen', async () => {
    const first = await readEvents(3, {}, async () => {
      await call('POST', '/api/v1/providers', local('seen'))
      service.alerts.raise({ severity: 'warning', mountId: '', reason: 'test', message: 'look' })
    })
    expect(first).toMatchObject([
      { snapshot: { reset: false } },
      { event: { provider: { name: 'seen' } } },
      { event: { alert: { message: 'look' } } },
    ])
    const cursor = String(first[1]?.['cursor'])
    const again = await readEvents(2, { 'last-event-id': cursor }, () => Promise.resolve())
    expect(again).toMatchObject([{ cursor, heartbeat: {} }, { event: { alert: { message: 'look' } } }])
    expect(await readEvents(1, { 'last-event-id': '0000000000000000.1' }, () => Promise.resolve())).toMatchObject([
      { snapshot: { reset: true } },
    ])
  })

  it('sends log lines to those who ask for them', async () => {
    const seen = await readEvents(
      2,
      {},
      async () => {
        await new Promise((resolve) => setTimeout(resolve, 400))
        service.log.write('warn', 'live line')
      },
      '?live=LIVE_KIND_LOG',
    )
    expect(seen[1]).toMatchObject({ event: { log: { message: 'live line' } } })
  })

  it('counts what it does and what workers do', async () => {
    const { status, text, headers } = await call('GET', '/metrics')
    expect([status, headers['content-type']]).toEqual([200, expect.stringContaining('text/plain')])
    expect(text).toMatch(/^cloudmoor_api_calls_total\{method="cloudmoor.v1.ProviderService.CreateProvider",outcome="OK"\} [1-9]/m)
    const { json: provider } = await call('POST', '/api/v1/providers', local('counted'))
    await call('POST', '/api/v1/mounts', { name: 'counted', providerId: provider['id'], path: '/counted' })
    const after = await call('GET', '/metrics')
    expect(after.text).toContain('cloudmoor_fuse_requests_total{mount="counted",id="id-counted",operation="LOOKUP"} 5')
    expect(after.text).toContain('cloudmoor_probes_total{mount="counted",id="id-counted"} 2')
    expect(after.text).toContain('cloudmoor_reconnect_attempts_total{mount="counted",id="id-counted"} 1')
    expect(after.text).toContain('cloudmoor_mount_state{mount="counted",id="id-counted",state="unmounted"} 1')
    expect((await call('GET', '/api/v1/metrics')).json).toMatchObject({ samples: [{ memoryBytes: expect.stringMatching(/^[1-9]\d+$/) }] })
  })

  it('tells what it is without a word of its own', async () => {
    expect((await call('GET', '/api/v1/health')).json).toEqual({ status: 'ok' })
    expect((await call('GET', '/readyz')).json).toEqual({ status: 'ready' })
    expect((await call('GET', '/openapi.json')).json).toMatchObject({ openapi: '3.1.0' })
  })
})

describe('every error', () => {
  const wrong: [string, string, string, unknown, Record<string, string>, number, string][] = [
    ['no route', 'GET', '/api/v1/nothing', undefined, {}, 404, 'NOT_FOUND'],
    ['no page', 'GET', '/nothing', undefined, {}, 404, 'NOT_FOUND'],
    ['wrong verb', 'PUT', '/api/v1/mounts', {}, {}, 405, 'UNSUPPORTED'],
    ['not JSON', 'POST', '/api/v1/providers', '{"a', {}, 400, 'INVALID'],
    ['not an object', 'POST', '/api/v1/providers', '[]', {}, 400, 'INVALID'],
    ['unknown field', 'POST', '/api/v1/providers', { provder: {} }, {}, 400, 'INVALID'],
    ['wrong type', 'POST', '/api/v1/providers', { test: 'yes' }, {}, 400, 'INVALID'],
    ['unknown enum', 'POST', '/api/v1/mounts', { access: 'MINE' }, {}, 400, 'INVALID'],
    ['a body too many', 'GET', '/api/v1/mounts', {}, { 'content-length': '2' }, 400, 'INVALID'],
    ['another kind of body', 'POST', '/api/v1/providers', '<a/>', { 'content-type': 'text/xml' }, 400, 'INVALID'],
    ['too large', 'POST', '/api/v1/providers', ' '.repeat(5_000_000), {}, 413, 'TOO_LARGE'],
    ['too deep', 'POST', '/api/v1/providers', `{"provider":{"options":${'{"a":'.repeat(90)}1${'}'.repeat(90)}}}`, {}, 400, 'INVALID'],
  ]

  it.each(wrong)('has reason and an id that the log has: %s', async (_name, verb, path, body, headers, status, reason) => {
    const answer = await call(verb, path, body, headers)
    expect([answer.status, reasonOf(answer)]).toEqual([status, reason])
    const id = answer.headers['cloudmoor-correlation-id']
    expect(JSON.stringify(answer.json)).toContain(`"requestId":"${String(id)}"`)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await readFile(`${service.places.logs}/service.log`, 'utf8')).toContain(`"correlationId":"${String(id)}"`)
  })

  it.each([
    ['Connect', 'application/json', '{"pageSize": tr'],
    ['Connect, of a stream', 'application/connect+json', '\0\0\0\0\x02{"'],
    ['gRPC-Web', 'application/grpc-web+proto', '\0\0\0\0\x01\xff'],
  ])('has them in other protocols too, also when the body cannot be read: %s', async (_name, type, body) => {
    const method = type.includes('connect+') ? 'LogService/TailLogs' : 'MountService/ListMounts'
    const answer = await call('POST', `/cloudmoor.v1.${method}`, Buffer.from(body, 'latin1').toString('latin1'), { 'content-type': type })
    const id = /cloudmoor-correlation-id\W+([0-9a-z]{16})/.exec(JSON.stringify(answer.headers) + answer.text)?.[1]
    expect(id).toMatch(/^[0-9a-z]{16}$/)
    if (type.includes('json')) expect(answer.text).toContain('ErrorInfo')
    else expect(answer.text).toContain('grpc-status-details-bin')
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(await readFile(`${service.places.logs}/service.log`, 'utf8')).toContain(`"correlationId":"${id ?? ''}"`)
  })

  it('says which verbs there are', async () => {
    expect((await call('PUT', '/api/v1/mounts', {})).headers['allow']).toBe('GET, POST')
  })

  it('says when to try again', async () => {
    service.mounts.onProbe = () => Promise.reject(new CloudError('throttled', 'slow down', { retryAfterMs: 2500 }))
    const { json } = await call('POST', '/api/v1/providers', local('slow'))
    const answer = await call('POST', `/api/v1/providers/${String(json['id'])}:test`, {})
    expect([answer.status, reasonOf(answer)]).toEqual([503, 'THROTTLED'])
    expect(answer.json['details']).toContainEqual({ '@type': 'type.googleapis.com/google.rpc.RetryInfo', retryDelay: '2.500s' })
  })
})

describe('a bomb is refused at once and takes no memory', () => {
  const deep = '['.repeat(2_000_000)
  const nested = Buffer.concat(Array.from({ length: 50_000 }, () => Buffer.from([0x0a, 0x01])))
  const zipped = gzipSync(Buffer.alloc(200 * 1024 * 1024, 0x20))
  const create = '/cloudmoor.v1.ProviderService/CreateProvider'
  it.each([
    ['JSON in REST', '/api/v1/providers', deep, { 'content-type': 'application/json' }],
    ['JSON in Connect', create, deep, { 'content-type': 'application/json' }],
    ['protobuf', create, nested, { 'content-type': 'application/proto' }],
    ['what is small only while it is packed', create, zipped, { 'content-type': 'application/json', 'content-encoding': 'gzip' }],
  ])('%s', async (_name, path, body, headers) => {
    const before = process.memoryUsage.rss()
    // Of the processor, that other tests need as well.
    const began = process.cpuUsage()
    const answer = await send(path, body, headers)
    const { user, system } = process.cpuUsage(began)
    expect(user + system).toBeLessThan(1e6)
    expect(answer).toBeGreaterThanOrEqual(400)
    expect(answer).toBeLessThan(500)
    expect(process.memoryUsage.rss() - before).toBeLessThan(100 * 1024 * 1024)
    expect((await call('GET', '/api/v1/health')).status).toBe(200)
  })
})

function send(path: string, body: string | Buffer, headers: Record<string, string>): Promise<number> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath: service.places.socket, path, method: 'POST', headers }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode ?? 0))
    })
    request.on('error', reject).end(body)
  })
}
