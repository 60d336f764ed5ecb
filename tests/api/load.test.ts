/** Many clients, many streams, and those that do not read. How long calls take is measured by bench/api/run. */
import { createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import { mkdir, readFile } from 'node:fs/promises'
import { get } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { fullLoad, growthOf, putUnderLoad } from '../../bench/api/load.ts'
import { readError } from '../../proto/client/read-error.ts'
import { EventService } from '../../proto/gen/cloudmoor/v1/event_pb.js'
import { heldMemory } from '../support/held-memory.ts'
import { Installation } from '../support/installation.ts'
import { isProof } from '../support/random.ts'
import { startTestService } from '../support/test-service.ts'

describe('a service', () => {
  let place: Installation
  let url: string
  let token: string
  beforeAll(async () => {
    place = await Installation.create()
    await place.cloudmoor(['service', 'start'])
    await mkdir(join(place.folder, 'cloud'))
    await place.account('cloud', { type: 'local', set: { path: join(place.folder, 'cloud') }, secrets: {} })
    await place.cloudmoor(['mount', 'add', 'm', '--provider', 'cloud', '--path', join(place.folder, 'm')])
    token = (await place.cloudmoor(['token', 'create', 'load', '--role', 'admin'])).trim()
    url = (JSON.parse(await readFile(join(place.home, 'run/web.json'), 'utf8')) as { url: string }).url
  })
  afterAll(() => place[Symbol.asyncDispose]())

  const headers = () => ({ authorization: `Bearer ${token}` })

  it('answers 50 clients with 200 streams, and needs no more memory for it', { timeout: 150_000 }, async () => {
    const answer = (await (await fetch(`${url}/api/v1/mounts`, { headers: headers() })).json()) as { mounts: { id: string }[] }
    const pid = (await place.status()).service?.pid ?? 0
    const load = { ...fullLoad, seconds: isProof ? fullLoad.seconds : 16 }
    const result = await putUnderLoad({ url, token, mountId: answer.mounts[0]?.id ?? '' }, pid, load)
    const { streams } = load
    expect(result).toMatchObject({ errors: {}, begun: streams, upToDate: streams, resets: 0, calls: load.perSecond * load.seconds })
    expect(result.heard).toBeGreaterThanOrEqual(result.changes * streams)
    expect(result.memory.length).toBeGreaterThan(load.seconds / 2)
    expect(Math.max(...result.memory)).toBeLessThan(250)
    if (isProof) expect(growthOf(result.memory)).toBeLessThan(5)
  })

  it('opens 1,000 streams and refuses another, in every protocol', { timeout: 60_000 }, async () => {
    const abort = new AbortController()
    const clients = Array.from({ length: 10 }, () => createClient(EventService, createGrpcTransport({ baseUrl: url })))
    const open = async (index: number) => {
      const stream = clients[index % clients.length]?.watch({}, { headers: headers(), signal: abort.signal })[Symbol.asyncIterator]()
      await stream?.next()
      return stream
    }
    const outcomes = await Promise.allSettled(Array.from({ length: 1010 }, (_, index) => open(index)))
    const refused = outcomes.flatMap((outcome) => (outcome.status === 'rejected' ? [readError(outcome.reason)] : []))
    expect(refused.map(({ status, reason }) => `${status} ${reason}`)).toEqual(Array(10).fill('ResourceExhausted TOO_MANY_STREAMS'))
    const rest = await fetch(`${url}/api/v1/events:watch`, { headers: headers() })
    expect([rest.status, await rest.text()]).toEqual([429, expect.stringContaining('"TOO_MANY_STREAMS"')])
    abort.abort()
    await expect.poll(async () => (await fetch(`${url}/api/v1/logs:tail`, { headers: headers() })).status, { timeout: 10_000 }).toBe(200)
  })
})

it('keeps nothing for who does not read: they begin anew', { timeout: 120_000 }, async () => {
  const service = await startTestService({
    web: { listen: [{ address: '127.0.0.1', port: 0 }], certificate: null, publicUrl: '', pathPrefix: '', trustedProxies: [] },
  })
  try {
    const { url } = JSON.parse(await readFile(`${service.places.run}/web.json`, 'utf8')) as { url: string }
    const { text } = await service.access.tokens.create({
      ...{ name: 'slow', expiresAt: 0, createdBy: 'test' },
      grant: { role: 'admin', scope: { kind: 'all' } },
    })
    const headers = { authorization: `Bearer ${text.reveal()}` }
    const json = { 'content-type': 'application/json' }
    const long = 'x'.repeat(3000)
    const make = async (path: string, body: object) => {
      const answer = await fetch(`${url}/api/v1${path}`, { method: 'POST', headers: { ...headers, ...json }, body: JSON.stringify(body) })
      return ((await answer.json()) as { readonly id: string }).id
    }
    const providerId = await make('/providers', { provider: { name: 'p', type: 'local', options: { path: '/srv' } } })
    const mountId = await make('/mounts', { name: 'm', providerId, path: `/${long}` })
    const slow = await Promise.all(Array.from({ length: 8 }, () => open(`${url}/api/v1/events:watch`, headers)))
    const session = connectHttp2(url)
    const grpc = Array.from({ length: 8 }, () => {
      const stream = session.request({
        ...{ ':method': 'POST', ':path': '/cloudmoor.v1.EventService/Watch', ...headers },
        ...{ 'content-type': 'application/grpc+proto', te: 'trailers' },
      })
      stream.on('error', () => undefined)
      stream.end(Buffer.alloc(5))
      return stream
    })
    await Promise.all(grpc.map((stream) => new Promise((resolve) => stream.once('response', resolve))))
    const before = heldMemory()
    // What the kernel takes on the way is beside the 10,000 that are kept for everybody.
    const published = 16_000
    for (let change = 0; change < published; change += 100) {
      const update = (label: number) =>
        service.mounts.update(mountId, null, { labels: [`l${label}`], options: {} }, AbortSignal.timeout(10_000))
      await Promise.all(Array.from({ length: 100 }, (_, index) => update(change + index)))
    }
    // What is kept for a while for everybody: 10,000 events. Kept for each of the sixteen it would be more than 500 MB.
    expect(heldMemory() - before).toBeLessThan(100 << 20)
    const ends = await Promise.all(slow.map((answer) => readUntil(answer, `"l${published - 1}"`)))
    for (const { resets, bytes } of ends) {
      expect(resets).toBe(1)
      expect(bytes).toBeLessThan((published * long.length) / 2)
    }
    for (const stream of grpc) stream.close()
    session.destroy()
  } finally {
    await service.stop()
  }
})

/** A stream of which only the head has been read. */
function open(url: string, headers: Readonly<Record<string, string>>): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    get(url, { headers, agent: false }, resolve).on('error', reject)
  })
}

/** Reads on until something is there. Gives how often the stream began anew, and how much it said. */
function readUntil(answer: IncomingMessage, last: string): Promise<{ readonly resets: number; readonly bytes: number }> {
  return new Promise((resolve, reject) => {
    let [resets, bytes, line] = [0, 0, '']
    answer.on('error', reject)
    answer.on('data', (chunk: Buffer) => {
      bytes += chunk.length
      const lines = (line + chunk.toString()).split('\n')
      line = lines.pop() ?? ''
      resets += lines.filter((each) => each.includes('"snapshot":{"reset":true')).length
      if (!lines.some((each) => each.includes(last))) return
      answer.removeAllListeners('error')
      answer.on('error', () => undefined)
      answer.destroy()
      resolve({ resets, bytes })
    })
  })
}
