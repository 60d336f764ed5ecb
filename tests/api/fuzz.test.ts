/** Bytes that no client should send, to every listener: the service goes on, and what it held for them is let go. */
import { once } from 'node:events'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { request } from 'node:http'
import { request as requestSecurely } from 'node:https'
import { connect } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { connect as connectSecurely, TLSSocket } from 'node:tls'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { selfMadeCertificate } from '../../src-service/control/api/certificate.ts'
import type { Certificate } from '../../src-service/control/api/web-listener.ts'
import { heldMemory } from '../support/held-memory.ts'
import { isProof, random, seed } from '../support/random.ts'
import { startTestService } from '../support/test-service.ts'
import type { TestService } from '../support/test-service.ts'
import { corpus, spoil } from './hostile-bytes.ts'

const frames = isProof ? 200_000 : 5_000
const atOnce = 16
/** Time for an answer; what is still open then is cut by us. */
const patienceMs = 15

/** Where frames are sent to, in the way that a client opens a connection there. */
interface Listener {
  readonly service: TestService
  readonly connect: (first: Buffer) => Socket
  /** What it answers to a client that behaves: an HTTP status. */
  readonly health: () => Promise<number>
}

let folder: string
let plain: TestService
let secure: TestService
const listeners: Record<string, Listener> = {}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'cm-fuzz-'))
  plain = await start(null)
  secure = await start(await selfMadeCertificate(folder, ['127.0.0.1'], Date.now()))
  const path = plain.places.socket
  listeners['the unix socket'] = { service: plain, connect: () => connect(path), health: () => health(request, { socketPath: path }) }
  const place = { host: '127.0.0.1', port: await portOf(plain) }
  listeners['TCP'] = { service: plain, connect: () => connect(place), health: () => health(request, place) }
  const hidden = { host: '127.0.0.1', port: await portOf(secure), rejectUnauthorized: false }
  listeners['TLS'] = {
    service: secure,
    connect: (first) => {
      // Some do not even shake hands, some say that they speak another protocol than they do.
      if (random() < 0.2) return connect(hidden)
      const isHttp2 = first.subarray(0, 3).toString() === 'PRI' ? random() < 0.9 : random() < 0.1
      return connectSecurely({ ...hidden, ALPNProtocols: [isHttp2 ? 'h2' : 'http/1.1'] })
    },
    health: () => health(requestSecurely, hidden),
  }
})
afterAll(async () => {
  await plain.stop()
  await secure.stop()
  await rm(folder, { recursive: true })
})

function start(certificate: Certificate | null): Promise<TestService> {
  return startTestService({
    web: { listen: [{ address: '127.0.0.1', port: 0 }], certificate, publicUrl: '', pathPrefix: '', trustedProxies: [] },
  })
}

async function portOf({ places }: TestService): Promise<number> {
  return Number(new URL((JSON.parse(await readFile(`${places.run}/web.json`, 'utf8')) as { url: string }).url).port)
}

function health(ask: typeof request | typeof requestSecurely, place: object): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = ask({ ...place, path: '/api/v1/health', agent: false }, (answer) => resolve(answer.resume().statusCode ?? 0))
    asked.on('error', reject).end()
  })
}

/** One connection: a conversation of the corpus with some frames spoilt. Gives how many frames were sent. */
async function converse({ connect: open }: Listener): Promise<number> {
  const chosen = corpus[Math.floor(random() * corpus.length)] ?? []
  const spoilt = chosen.flatMap((frame, index) => {
    // The beginning stays right more often than not: what stands behind it is to be reached too.
    if (random() < (index === 0 ? 0.8 : 0.4)) return [frame]
    return Array.from({ length: 1 + Math.floor(random() * 3) }, () => spoil(frame, random))
  })
  const socket = open(chosen[0] ?? Buffer.alloc(0))
  socket.on('error', () => undefined)
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), patienceMs + 2000)
  await once(socket, socket instanceof TLSSocket ? 'secureConnect' : 'connect').catch(() => undefined)
  for (const frame of spoilt) socket.write(frame)
  setTimeout(() => socket.destroy(), patienceMs)
  if (!socket.destroyed) await once(socket, 'close').catch(() => undefined)
  clearTimeout(timer)
  return spoilt.length
}

it.for(['the unix socket', 'TCP', 'TLS'])(`${frames} frames to %s`, { timeout: isProof ? 1_500_000 : 120_000 }, async (name) => {
  const listener = listeners[name]
  if (listener === undefined) throw new Error(`there is no ${name}`)
  console.info(`${frames} frames to ${name}, seed ${seed}`)
  const before = heldMemory()
  let sent = 0
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (sent < frames) sent += await converse(listener)
    }),
  )
  expect(sent).toBeGreaterThanOrEqual(frames)
  expect(await listener.health()).toBe(200)
  expect(heldMemory() - before).toBeLessThan(64 << 20)
  const log = await readFile(`${listener.service.places.logs}/service.log`, 'utf8')
  // What came through the door was looked at: otherwise nothing was tried.
  expect(log).toContain('call failed')
  const faults = log.split('\n').filter((line) => line.startsWith('{"level":"error"'))
  const messages = faults.map((line) => (JSON.parse(line) as { fields?: { error?: { message?: string } } }).fields?.error?.message ?? line)
  expect([...new Set(messages)]).toEqual([])
})
