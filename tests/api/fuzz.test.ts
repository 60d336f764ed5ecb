/** Bytes that no client should send, to every listener: the service goes on, and what it held for them is let go. */
import { once } from 'node:events'
import { readFile } from 'node:fs/promises'
import { request } from 'node:http'
import { connect } from 'node:net'
import type { NetConnectOpts } from 'node:net'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { isProof, random, seed } from '../support/random.ts'
import { startTestService } from '../support/test-service.ts'
import type { TestService } from '../support/test-service.ts'
import { corpus, spoil } from './hostile-bytes.ts'

const frames = isProof ? 200_000 : 5_000
const atOnce = 16
/** Time for an answer; what is still open then is cut by us. */
const patienceMs = 15

let service: TestService
let port: number

beforeAll(async () => {
  service = await startTestService({
    web: { listen: [{ address: '127.0.0.1', port: 0 }], certificate: null, publicUrl: '', pathPrefix: '', trustedProxies: [] },
  })
  port = Number(new URL((JSON.parse(await readFile(`${service.places.run}/web.json`, 'utf8')) as { url: string }).url).port)
})
afterAll(() => service.stop())

function health(place: { readonly socketPath: string } | { readonly host: string; readonly port: number }): Promise<number> {
  return new Promise((resolve, reject) => {
    const asked = request({ ...place, path: '/api/v1/health', agent: false }, (answer) => resolve(answer.resume().statusCode ?? 0))
    asked.on('error', reject).end()
  })
}

/** Bytes in use: what nobody refers to any more does not count. */
function held(): number {
  setFlagsFromString('--expose-gc')
  const collect = runInNewContext('gc') as () => void
  collect()
  const { heapUsed, external } = process.memoryUsage()
  return heapUsed + external
}

/** One connection: a conversation of the corpus with some frames spoilt. Gives how many frames were sent. */
async function converse(place: NetConnectOpts): Promise<number> {
  const chosen = corpus[Math.floor(random() * corpus.length)] ?? []
  const spoilt = chosen.flatMap((frame, index) => {
    // The beginning stays right more often than not: what stands behind it is to be reached too.
    if (random() < (index === 0 ? 0.8 : 0.4)) return [frame]
    return Array.from({ length: 1 + Math.floor(random() * 3) }, () => spoil(frame, random))
  })
  const socket = connect(place)
  socket.on('error', () => undefined)
  socket.resume()
  const timer = setTimeout(() => socket.destroy(), patienceMs + 2000)
  await once(socket, 'connect').catch(() => undefined)
  for (const frame of spoilt) socket.write(frame)
  setTimeout(() => socket.destroy(), patienceMs)
  if (!socket.destroyed) await once(socket, 'close').catch(() => undefined)
  clearTimeout(timer)
  return spoilt.length
}

it.for(['the unix socket', 'TCP'])(`${frames} frames to %s`, { timeout: isProof ? 1_500_000 : 120_000 }, async (name) => {
  const unix = name === 'the unix socket'
  const place = unix ? { path: service.places.socket } : { host: '127.0.0.1', port }
  console.info(`${frames} frames to ${name}, seed ${seed}`)
  const before = held()
  let sent = 0
  await Promise.all(
    Array.from({ length: atOnce }, async () => {
      while (sent < frames) sent += await converse(place)
    }),
  )
  expect(sent).toBeGreaterThanOrEqual(frames)
  expect(await health(unix ? { socketPath: service.places.socket } : (place as { host: string; port: number }))).toBe(200)
  expect(held() - before).toBeLessThan(64 << 20)
  const faults = (await readFile(`${service.places.logs}/service.log`, 'utf8'))
    .split('\n')
    .filter((line) => line.startsWith('{"level":"error"'))
  const messages = faults.map((line) => (JSON.parse(line) as { fields?: { error?: { message?: string } } }).fields?.error?.message ?? line)
  expect([...new Set(messages)]).toEqual([])
})
