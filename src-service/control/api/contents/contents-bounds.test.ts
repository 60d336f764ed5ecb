import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { Agent, createServer, request as httpRequest } from 'node:http'
import type { ClientRequest, IncomingMessage, RequestListener, Server } from 'node:http'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { Log } from '../../../common/telemetry/log.ts'
import { createGrants } from '../../users/grants.ts'
import { allMounts } from '../../users/principal.ts'
import { bySocket } from '../call.ts'
import { createGuard } from '../guard-calls.ts'
import { CallMetrics } from '../metrics/call-metrics.ts'
import { createContentsGateway } from './contents-gateway.ts'
import { readContentsPath } from './contents-path.ts'

/** How many contents go through at a time, and how long one may stand still: before a worker that does what a test says. */

const log: Log = { write: () => {}, forMount: () => log, setLevel: () => {}, close: () => Promise.resolve() }
const noAudit = { begin: () => Promise.resolve(), end: () => Promise.resolve(), refused: () => {} }

let folder: string
let worker: Server
let work: RequestListener
let door: Server
let ending: AbortController
const agent = new Agent({ maxSockets: 200 })

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bounds-'))
  worker = createServer((request, response) => work(request, response)).listen(join(folder, 'worker'))
  await once(worker, 'listening')
  ending = new AbortController()
})
afterEach(async () => {
  ending.abort()
  for (const server of [worker, door]) {
    server.closeAllConnections()
    server.close()
  }
  await rm(folder, { recursive: true })
})

async function open(idleMs?: number): Promise<void> {
  const parts = { log, grants: createGrants(), refreshGrants: () => Promise.resolve(), maxStreams: 10, audit: noAudit }
  const gateway = createContentsGateway({
    ...{ log, ending: ending.signal, guard: createGuard({ ...parts, calls: new CallMetrics() }) },
    mounts: { contents: (_id, _signal, use) => use(connect(join(folder, 'worker'))) },
    ...(idleMs === undefined ? {} : { idleMs }),
  })
  const principal = { name: 'local:1', role: 'admin', scope: allMounts, origin: 'socket', ended: null } as const
  door = createServer((request, response) => {
    const target = readContentsPath(request.url ?? '')
    if (target !== null) gateway(request, response, { arrival: bySocket, principal }, target)
  }).listen(join(folder, 'door'))
  await once(door, 'listening')
}

function ask(method: string): ClientRequest {
  const request = httpRequest({ socketPath: join(folder, 'door'), path: '/api/v1/mounts/m/content/file', method, agent })
  request.on('error', () => {})
  return request
}

async function answerTo(request: ClientRequest): Promise<{ readonly status: number | undefined; readonly body: string }> {
  const [response] = (await once(request, 'response')) as [IncomingMessage]
  let body = ''
  response.on('error', () => {})
  response.setEncoding('utf8').on('data', (chunk: string) => (body += chunk))
  await new Promise((resolve) => response.once('close', resolve))
  return { status: response.statusCode, body }
}

describe('contents', () => {
  it('go through 64 at a time; one more is refused, until one of them is done', async () => {
    let held = 0
    work = (_, response) => {
      held++
      response.writeHead(200, { 'content-length': '4' }).write('by')
    }
    await open()
    const transfers = Array.from({ length: 64 }, () => ask('GET').end())
    await Promise.all(transfers.map((transfer) => once(transfer, 'response')))
    expect(held).toBe(64)
    const refused = await answerTo(ask('GET').end())
    expect([refused.status, refused.body]).toEqual([429, expect.stringContaining('TOO_MANY_STREAMS')])
    expect(held).toBe(64)
    transfers[0]?.destroy()
    work = (_, response) => response.end('all!')
    await expect.poll(async () => (await answerTo(ask('GET').end())).status).toBe(200)
    for (const transfer of transfers) transfer.destroy()
  })

  it('that stand still are cut: a download, whoever stands still', async () => {
    work = (_, response) => void response.writeHead(200, { 'content-length': '100' }).write('some')
    await open(200)
    const started = performance.now()
    const { status, body } = await answerTo(ask('GET').end())
    expect([status, body]).toEqual([200, 'some'])
    work = () => {}
    const { status: late } = await answerTo(ask('GET').end())
    expect(late).toBe(504)
    expect(performance.now() - started).toBeLessThan(5000)
  })

  it('that stand still are cut: an upload, with the worker told that it broke off', async () => {
    const ended: boolean[] = []
    work = (request, response) => {
      request.on('data', () => {})
      request.on('close', () => ended.push(request.complete))
      request.on('error', () => {})
      request.on('end', () => response.writeHead(201).end())
    }
    await open(200)
    const upload = ask('PUT')
    upload.setHeader('content-length', '100')
    upload.write('some')
    expect((await answerTo(upload)).status).toBe(504)
    await expect.poll(() => ended).toEqual([false])
    upload.destroy()
  })

  it('that move, however slowly, are not', async () => {
    work = (_, response) => {
      let left = 8
      response.writeHead(200, { 'content-length': '8' })
      const drops = setInterval(() => {
        response.write('x')
        if (--left === 0) clearInterval(drops)
      }, 100)
    }
    await open(300)
    expect(await answerTo(ask('GET').end())).toEqual({ status: 200, body: 'xxxxxxxx' })
  })
})
