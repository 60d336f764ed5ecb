import { createHmac } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders, Server } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { systemClock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import type { AlertRecord } from '../store/alert-records.ts'
import type { AlertNews } from './alerts.ts'
import type { Webhook, WebhookParts } from './webhook.ts'
import { openWebhook } from './webhook.ts'

interface Got {
  readonly headers: IncomingHttpHeaders
  readonly body: string
  readonly url: string
}

let server: Server
let got: Got[]
let answer: (index: number) => number | 'hang'
let logged: string[]
let webhook: Webhook | undefined
let address: string

const settings = { url: 'vault:hook', key: 'vault:key', plain: true }

function newsOf(id: string, what: AlertNews['what'] = 'raised'): AlertNews {
  const alert: AlertRecord = {
    ...{ id, severity: 'error', mountId: 'm', reason: 'disconnected', message: 'cut', lines: ['line'], correlationId: 'c', times: 1 },
    ...{ raisedAt: 1_700_000_000_000, lastAt: 1_700_000_000_000, acknowledgedAt: 0, acknowledgedBy: '', resolvedAt: 0, resolvedBy: '' },
  }
  return { what, alert }
}

function start(parts: Partial<WebhookParts> = {}): Webhook {
  webhook = openWebhook({
    settings: () => Promise.resolve(settings),
    secret: (reference) => Promise.resolve(new Secret(reference === 'vault:hook' ? `${address}/hook?token=t0ps3cret` : 'key')),
    clock: systemClock,
    log: (_level, message) => logged.push(message),
    service: { instance: 'i', version: '1' },
    mountName: () => Promise.resolve('photos'),
    backoff: { base: 5, cap: 10 },
    deadlineMs: 200,
    ...parts,
  })
  return webhook
}

const until = async (count: number) => {
  for (let look = 0; look < 200 && got.length < count; look++) await new Promise((resolve) => setTimeout(resolve, 10))
  expect(got.length).toBeGreaterThanOrEqual(count)
}

beforeEach(async () => {
  got = []
  logged = []
  answer = () => 204
  server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8')
    request.on('data', (chunk: string) => (body += chunk))
    request.on('end', () => {
      const status = answer(got.length)
      got.push({ headers: request.headers, body, url: request.url ?? '' })
      if (status !== 'hang') response.writeHead(status, { location: 'http://127.0.0.1:1/' }).end()
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  address = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
})
afterEach(async () => {
  await webhook?.close()
  server.closeAllConnections()
  server.close()
})

it('gets what happened, signed, once each and in order; repetitions are not told', async () => {
  const { take } = start()
  take(newsOf('a'))
  take(newsOf('a', 'repeated'))
  take(newsOf('a', 'acknowledged'))
  take(newsOf('a', 'resolved'))
  await until(3)
  expect(got.map(({ headers }) => headers['cloudmoor-delivery'])).toEqual(['a-raised', 'a-acknowledged', 'a-resolved'])
  const [{ headers, body, url } = { headers: {}, body: '', url: '' }] = got
  expect(url).toBe('/hook?token=t0ps3cret')
  const [, time = '', signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(String(headers['cloudmoor-signature'])) ?? []
  expect(signature).toBe(createHmac('sha256', 'key').update(`${time}.${body}`).digest('hex'))
  expect(Math.abs(Date.now() / 1000 - Number(time))).toBeLessThan(60)
  expect(JSON.parse(body)).toEqual({
    event: 'raised',
    alert: {
      ...{ id: 'a', severity: 'error', reason: 'disconnected', message: 'cut', lines: ['line'], correlationId: 'c', times: 1 },
      ...{ acknowledgedBy: '', mount: { id: 'm', name: 'photos' }, raisedAt: '2023-11-14T22:13:20.000Z', resolvedAt: null },
    },
    service: { instance: 'i', version: '1' },
  })
})

it('is tried again while it fails or hangs, and not when it refuses', async () => {
  answer = (index) => [500, 'hang' as const, 429, 200, 403, 200][index] ?? 200
  const { take } = start()
  take(newsOf('a'))
  take(newsOf('refused'))
  take(newsOf('c'))
  await until(6)
  expect(got.map(({ headers }) => headers['cloudmoor-delivery'])).toEqual([
    'a-raised',
    'a-raised',
    'a-raised',
    'a-raised',
    'refused-raised',
    'c-raised',
  ])
  expect(logged.join()).toContain('status 403')
  expect(logged.join()).not.toContain('t0ps3cret')
})

it('says why nobody answers', async () => {
  server.close()
  start().take(newsOf('a'))
  await expect.poll(() => logged.join()).toContain('it is tried again: the webhook does not answer (offline)')
})

it('follows no redirection', async () => {
  answer = () => 307
  start().take(newsOf('a'))
  await until(1)
  await expect.poll(() => logged.join()).toContain('status 307')
})

it('goes without encryption only where that is allowed, and never without a signature', async () => {
  start({ settings: () => Promise.resolve({ ...settings, plain: false }) }).take(newsOf('a'))
  await expect.poll(() => logged.join()).toContain('https address')
  await webhook?.close()
  start({ settings: () => Promise.resolve({ ...settings, key: '' }) }).take(newsOf('a'))
  await expect.poll(() => logged.join()).toContain('no key to sign')
  expect(got).toEqual([])
  expect(logged.join()).not.toContain('t0ps3cret')
})

it('waits for a locked vault', async () => {
  let locked = true
  const secret = (reference: string) =>
    locked
      ? Promise.reject(new CloudError('sign-in', 'the vault is locked'))
      : Promise.resolve(new Secret(reference === 'vault:hook' ? address : 'key'))
  const { take } = start({ secret })
  take(newsOf('a'))
  await expect.poll(() => logged.join()).toContain('the vault is locked')
  locked = false
  await until(1)
})

it('never waits, and gives up the oldest of too many', async () => {
  answer = () => 'hang'
  const { take } = start({ deadlineMs: 60_000 })
  const began = performance.now()
  for (let number = 0; number < 1000; number++) take(newsOf(`a${number}`))
  expect(performance.now() - began).toBeLessThan(1000)
  expect(logged.filter((message) => message.includes('the oldest are given up')).length).toBe(4)
  await until(1)
  await webhook?.close()
  expect(got).toHaveLength(1)
})
