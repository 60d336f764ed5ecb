import { X509Certificate } from 'node:crypto'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { request as httpsRequest } from 'node:https'
import { connect, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { TLSSocket } from 'node:tls'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { connectService } from '../../../proto/client/connect.ts'
import type { ServiceConnection } from '../../../proto/client/connect.ts'
import { makeCertificates } from '../../../tests/servers/certificates.ts'
import { startTestService } from '../../../tests/support/test-service.ts'
import type { TestService } from '../../../tests/support/test-service.ts'
import { allMounts } from '../users/principal.ts'
import { readCertificate, selfMadeCertificate } from './certificate.ts'
import type { WebSettings } from './open-web.ts'
import { openWebListener } from './web-listener.ts'

let service: TestService
let local: ServiceConnection
let url: string

const web: WebSettings = {
  listen: [{ address: '127.0.0.1', port: 0 }],
  certificate: null,
  publicUrl: '',
  pathPrefix: '',
  trustedProxies: [],
}

async function start(changes: Partial<WebSettings> = {}): Promise<void> {
  service = await startTestService({ web: { ...web, ...changes } })
  local = connectService(service.places.socket)
  url = (JSON.parse(await readFile(`${service.places.run}/web.json`, 'utf8')) as { url: string }).url
}

beforeEach(() => start())
afterEach(() => service.stop())

interface Answer {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: string
}

function ask(
  path: string,
  headers: Readonly<Record<string, string>> = {},
  body: string | null = null,
  method = body === null ? 'GET' : 'POST',
): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const secure = url.startsWith('https')
    const send = secure ? httpsRequest : httpRequest
    const options = { method, headers, rejectUnauthorized: false }
    const request = send(url + path, options, (response) => {
      const chunks: Buffer[] = []
      response.on('data', (chunk: Buffer) => chunks.push(chunk))
      response.on('end', () =>
        resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks).toString() }),
      )
    })
    request.on('error', reject)
    request.end(body ?? undefined)
  })
}

const call = (method: string, headers: Readonly<Record<string, string>>, body: object = {}) =>
  ask(`/cloudmoor.v1.${method}`, { 'content-type': 'application/json', ...headers }, JSON.stringify(body))

const whoAmI = (headers: Readonly<Record<string, string>>) => call('SessionService/WhoAmI', headers)

async function loginWithCode(): Promise<string> {
  const { code } = await local.sessions.createLoginCode({})
  const answer = await call('SessionService/LoginWithCode', {}, { code })
  expect(answer.status).toBe(200)
  return answer.headers['set-cookie']?.[0] ?? ''
}

describe('a browser', () => {
  it('becomes who asked for the code on the socket, once', async () => {
    const { code, link } = await local.sessions.createLoginCode({})
    expect(link).toBe(`${url}/#code=${code}`)
    const first = await call('SessionService/LoginWithCode', {}, { code })
    expect([first.status, first.headers['set-cookie']?.[0]]).toEqual([
      200,
      expect.stringMatching(/^cm_test=[0-9A-Za-z]{43}; Path=\/; HttpOnly; SameSite=Strict$/),
    ])
    expect(first.body).not.toContain(first.headers['set-cookie']?.[0]?.split(/[=;]/)[1])
    expect((await call('SessionService/LoginWithCode', {}, { code })).status).toBe(401)
    const cookie = first.headers['set-cookie']?.[0]?.split(';')[0] ?? ''
    const me = await whoAmI({ cookie, 'cloudmoor-client': 'web' })
    expect(JSON.parse(me.body)).toMatchObject({ principal: `local:${process.getuid?.()}`, grant: { role: 'ROLE_ADMIN' } })
    // A code does not beget codes: those are for the socket.
    expect((await call('SessionService/CreateLoginCode', { cookie, 'cloudmoor-client': 'web' })).status).toBe(403)
    const out = await call('SessionService/Logout', { cookie, 'cloudmoor-client': 'web' })
    expect(out.headers['set-cookie']?.[0]).toContain('Max-Age=0')
    expect((await whoAmI({ cookie, 'cloudmoor-client': 'web' })).status).toBe(401)
  })

  it('is taken by its cookie on its own calls only, with its header', async () => {
    const cookie = (await loginWithCode()).split(';')[0] ?? ''
    expect((await whoAmI({ cookie, 'cloudmoor-client': 'web', origin: url, 'sec-fetch-site': 'same-origin' })).status).toBe(200)
    expect((await whoAmI({ cookie })).status).toBe(401)
    expect((await ask('/api/v1/whoami', { cookie, 'cloudmoor-client': 'web' })).status).toBe(401)
    expect((await ask('/openapi.json', { cookie, 'cloudmoor-client': 'web' })).status).toBe(401)
    expect((await ask('/metrics', { cookie, 'cloudmoor-client': 'web' })).status).toBe(401)
    // Contents of files: reading also for a link or a picture of its own page, changing with the header alone. There is no such mount.
    const file = '/api/v1/mounts/none/content/x'
    expect((await ask(file)).status).toBe(401)
    expect((await ask(file, { cookie, 'sec-fetch-site': 'same-origin' })).status).toBe(404)
    expect((await ask(file, { cookie, 'sec-fetch-site': 'none' })).status).toBe(401)
    expect((await ask(file, { cookie }, 'x', 'PUT')).status).toBe(401)
    expect((await ask(file, { cookie, 'cloudmoor-client': 'web' }, 'x', 'PUT')).status).toBe(404)
  })

  it('of another site is refused, whatever it brings', async () => {
    const cookie = (await loginWithCode()).split(';')[0] ?? ''
    const { text } = await service.access.tokens.create({
      name: 't',
      grant: { role: 'admin', scope: allMounts },
      expiresAt: 0,
      createdBy: 'x',
    })
    for (const headers of [{ cookie, 'cloudmoor-client': 'web' }, { authorization: `Bearer ${text.reveal()}` }]) {
      expect((await whoAmI(headers)).status).toBe(200)
      for (const foreign of [
        { origin: 'https://evil.example' },
        { origin: 'null' },
        { origin: url.replace('http', 'https') },
        { 'sec-fetch-site': 'cross-site' },
        { 'sec-fetch-site': 'same-site' },
        { host: 'evil.example' },
        { host: '127.0.0.1' },
        { host: `localhost.evil.example:${new URL(url).port}` },
      ]) {
        const answer = await whoAmI({ ...headers, ...foreign })
        expect([foreign, answer.status, /FOREIGN_(HOST|ORIGIN)/.test(answer.body)]).toEqual([foreign, 403, true])
        expect(answer.headers['access-control-allow-origin']).toBeUndefined()
      }
      expect((await whoAmI({ ...headers, host: `LOCALHOST:${new URL(url).port}` })).status).toBe(200)
    }
  })
})

describe('a program', () => {
  it('comes in with a token, and out at once when it is revoked: also from a stream', async () => {
    const { text, token } = await service.access.tokens.create({
      name: 't',
      grant: { role: 'operator', scope: allMounts },
      expiresAt: 0,
      createdBy: 'x',
    })
    const headers = { authorization: `Bearer ${text.reveal()}` }
    expect((await ask('/api/v1/whoami', headers)).body).toContain('token:t')
    expect((await ask('/api/v1/whoami', { authorization: 'Basic eDp5' })).status).toBe(401)
    expect((await ask('/api/v1/users', headers)).status).toBe(403)
    const stream = ask('/api/v1/logs:tail?follow=true', headers)
    await new Promise((resolve) => setTimeout(resolve, 200))
    const started = performance.now()
    await local.tokens.revokeToken({ id: token.id })
    expect((await stream).body).toContain('LOGIN_NEEDED')
    expect(performance.now() - started).toBeLessThan(1000)
    expect((await ask('/api/v1/whoami', headers)).status).toBe(401)
  })

  it('learns without a login that the service is there, and nothing else', async () => {
    expect((await ask('/api/v1/health')).status).toBe(200)
    expect((await ask('/readyz')).status).toBe(200)
    const page = await ask('/')
    expect([page.status, page.headers['content-type'], page.body]).toEqual([
      200,
      'text/html; charset=utf-8',
      expect.stringContaining('no interface for the browser yet'),
    ])
    expect(page.headers['content-security-policy']).toContain("default-src 'none'")
    expect(page.body).not.toMatch(/<script|https?:|1\.2\.3|test/)
    expect((await ask('/', { host: 'evil.example' })).status).toBe(403)
    for (const path of ['/openapi.json', '/api/v1/mounts', '/api/v1/system/version'])
      expect([path, (await ask(path)).status]).toEqual([path, 401])
  })
})

describe('an address', () => {
  it('beyond loopback needs TLS; the service says so and does not start', async () => {
    await expect(startTestService({ web: { ...web, listen: [{ address: '0.0.0.0', port: 0 }] } })).rejects.toMatchObject({
      kind: 'invalid',
      message: expect.stringContaining('without TLS'),
    })
  })

  it('has a certificate of the administrator, believed by who trusts its authority, and no start without one that fits', async () => {
    await service.stop()
    const { authority, server, client } = await makeCertificates()
    const folder = await mkdtemp(join(tmpdir(), 'tls-'))
    const files = { cert: join(folder, 'cert.pem'), key: join(folder, 'key.pem'), other: join(folder, 'other.pem') }
    await writeFile(files.cert, server.cert)
    await writeFile(files.key, server.key)
    await writeFile(files.other, client.key)
    await start({ listen: [{ address: '0.0.0.0', port: 0 }], certificate: await readCertificate(files.cert, files.key) })
    expect(url).toMatch(/^https:/)
    const { port } = new URL(url)
    const seen = await new Promise<string>((resolve, reject) => {
      const request = httpsRequest({ host: '127.0.0.1', port, path: '/api/v1/health', ca: authority.cert }, (response) => {
        const { socket } = response
        response.resume()
        resolve(socket instanceof TLSSocket ? `${response.statusCode} ${socket.getPeerCertificate().fingerprint256}` : 'no TLS')
      })
      request.on('error', reject).end()
    })
    const published = JSON.parse(await readFile(`${service.places.run}/web.json`, 'utf8')) as { fingerprint: string }
    expect(seen).toBe(`200 ${published.fingerprint}`)
    expect(published.fingerprint).toBe(new X509Certificate(server.cert).fingerprint256)
    expect(await readFile(join(service.places.logs, 'service.log'), 'utf8')).toContain(published.fingerprint)
    // Nothing is answered in clear on that port.
    await expect(fetch(`http://127.0.0.1:${port}/api/v1/health`)).rejects.toThrow()
    for (const [cert, key] of [
      [files.cert, files.other],
      [files.key, files.key],
      [join(folder, 'absent'), files.key],
    ] as const)
      await expect(readCertificate(cert, key)).rejects.toMatchObject({ kind: 'invalid', message: expect.stringContaining(cert) as string })
    await rm(folder, { recursive: true })
  })

  it('has a self-made certificate that stays the same, and a cookie for TLS alone', async () => {
    await service.stop()
    const state = await mkdtemp(join(tmpdir(), 'tls-'))
    const now = Date.now()
    const certificate = await selfMadeCertificate(state, ['127.0.0.1'], now)
    expect(await selfMadeCertificate(state, ['127.0.0.1'], now)).toEqual(certificate)
    expect(await selfMadeCertificate(state, ['127.0.0.2'], now)).not.toEqual(certificate)
    await rm(state, { recursive: true })
    await start({ certificate })
    expect(url).toMatch(/^https:/)
    const published = JSON.parse(await readFile(`${service.places.run}/web.json`, 'utf8')) as { fingerprint: string }
    expect(published.fingerprint).toMatch(/^([0-9A-F]{2}:){31}[0-9A-F]{2}$/)
    expect(await readFile(join(service.places.logs, 'service.log'), 'utf8')).toContain(published.fingerprint)
    expect(await loginWithCode()).toMatch(/^__Host-cm_test=.*; Secure$/)
  })

  it('that is taken is another one for the default port, and an error for a chosen one', async () => {
    const taken = createServer().listen(0, '127.0.0.1')
    await new Promise((resolve) => taken.once('listening', resolve))
    const { port } = taken.address() as { port: number }
    const options = { address: '127.0.0.1', port, tls: null, handle: () => {}, log: service.log }
    await expect(openWebListener({ ...options, elsewhere: false })).rejects.toMatchObject({ kind: 'busy' })
    const elsewhere = await openWebListener({ ...options, elsewhere: true })
    expect(elsewhere.port).not.toBe(port)
    await elsewhere.close(0)
    taken.close()
  })

  it('believes a proxy that is trusted, and nobody else', async () => {
    const from = async (headers: Readonly<Record<string, string>>) => {
      const { text, token } = await service.access.tokens.create({
        name: 'p',
        grant: { role: 'read-only', scope: allMounts },
        expiresAt: 0,
        createdBy: 'x',
      })
      await ask('/api/v1/whoami', { ...headers, authorization: `Bearer ${text.reveal()}` })
      const { lastUsedFrom } = await service.access.tokens.get(token.id)
      await service.access.tokens.revoke(token.id)
      return lastUsedFrom
    }
    expect(await from({ 'x-forwarded-for': '203.0.113.9' })).toBe('127.0.0.1')
    await service.stop()
    await start({ trustedProxies: ['127.0.0.0/8'], publicUrl: 'https://files.example.com', pathPrefix: '/moor' })
    expect(await from({ 'x-forwarded-for': '198.51.100.1, 203.0.113.9' })).toBe('203.0.113.9')
    expect((await ask('/moor/api/v1/health', { host: 'files.example.com' })).status).toBe(200)
    expect((await local.sessions.createLoginCode({})).link).toMatch(/^https:\/\/files\.example\.com\/moor\/#code=/)
  })

  it('cuts who is slow, and refuses what is too big', async () => {
    const { port } = new URL(url)
    const big = await ask('/api/v1/health', { 'x-big': 'x'.repeat(20_000) }).catch(() => ({ status: 431 }))
    expect(big.status).toBe(431)
    const listener = await openWebListener({
      ...{ address: '127.0.0.1', port: 0, elsewhere: false, tls: null, handle: () => {}, log: service.log },
      limits: { headersMs: 200 },
    })
    const socket = connect(listener.port, '127.0.0.1')
    const started = performance.now()
    socket.write('GET / HTTP/1.1\r\nHost: ')
    socket.resume()
    await new Promise((resolve) => socket.once('close', resolve))
    expect(performance.now() - started).toBeLessThan(3000)
    await listener.close(0)
    expect(Number(port)).toBeGreaterThan(0)
  })
})
