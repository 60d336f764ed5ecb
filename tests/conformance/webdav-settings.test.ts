/** How the WebDAV connector signs in and whom it trusts, against a real Apache over real TLS. */
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'
import { once } from 'node:events'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import type { OpenConnector } from '../../src-service/drive/connectors/registry.ts'
import { findApache, startApache } from '../servers/apache.ts'
import type { ApacheServer } from '../servers/apache.ts'
import { findNginx, startNginx } from '../servers/nginx.ts'
import { at, contentsAt, error, listAll, put, refusal, signal } from './candidate.ts'

const found = await findApache()

describe('webdav settings', () => {
  if ('missing' in found) {
    test.skip(`Apache: ${found.missing}`, () => undefined)
    return
  }
  let server: ApacheServer
  beforeAll(async () => {
    server = await startApache(found)
  })
  afterAll(async () => {
    await server.stop()
  })
  const logged: string[] = []
  const opened = (options: Readonly<Record<string, string | boolean>>, secrets: Readonly<Record<string, string>> = {}) =>
    openConnector('webdav', {
      settings: { options: { username: server.username, ...options }, secret: (name) => ({ password: server.password, ...secrets })[name] },
      remoteRoot: '',
      log: (level, message) => logged.push(`${level} ${message}`),
    })
  /** It reads and writes, and signs in no oftener than it must. */
  const works = async (one: OpenConnector, name: string) => {
    await one.check(signal)
    await put(one, at(name), 'contents')
    expect(await contentsAt(one, at(name))).toBe('contents')
    await one.close()
  }
  const refused = async (one: OpenConnector) => {
    const caught = await error(one.check(signal))
    await one.close()
    return caught
  }

  describe('signing in', () => {
    test('basic, said and found out', async () => {
      await works(opened({ url: server.basic, auth: 'basic' }), 'basic')
      await works(opened({ url: server.basic }), 'basic-auto')
    })

    test('digest, said and found out; the password itself is never sent', async () => {
      const before = (await server.log()).length
      await works(opened({ url: server.digest, auth: 'digest' }), 'digest')
      await works(opened({ url: server.digest }), 'digest-auto')
      // The server writes its log when it has answered: the last line of the test before may come late.
      const lines = (await server.log()).slice(before).filter((line) => !line.includes('/basic-auto '))
      expect(lines.some((line) => line.includes(' Digest username='))).toBe(true)
      expect(lines.filter((line) => line.includes(' Basic '))).toEqual([])
      // One refusal each, to get the challenge.
      expect(lines.filter((line) => line.includes(' 401 ')).length).toBe(2)
    })

    test('a first upload by digest is not sent in vain', async () => {
      const one = opened({ url: server.digest })
      const before = (await server.log()).length
      await one.write(
        at('first'),
        'file',
        { size: 5, read: async () => Buffer.from('first') },
        { precondition: { kind: 'any' }, posix: {}, resume: null, saveHandle: async () => undefined, onProgress: () => undefined },
        signal,
      )
      await one.close()
      // The server writes its log when it has answered.
      const uploads = async () => (await server.log()).slice(before).filter((line) => line.startsWith('PUT'))
      await expect.poll(uploads).toEqual([expect.stringContaining(' 201 Digest')])
    })

    test('a token', async () => {
      await works(opened({ url: server.bearer, auth: 'bearer' }, { token: server.token }), 'token')
      expect(await refused(opened({ url: server.bearer, auth: 'bearer' }, { token: 'of somebody else' }))).toBeInstanceOf(Error)
    })

    test.each(['basic', 'digest'] as const)('a wrong password by %s', async (way) => {
      const caught = await refused(opened({ url: server[way] }, { password: 'a wrong one that nobody may see' }))
      expect(caught).toMatchObject({ kind: 'sign-in', code: '401' })
      expect(caught.hint).toContain('password')
      expect(JSON.stringify(caught, Object.getOwnPropertyNames(caught))).not.toContain('nobody may see')
    })

    test('no password yet', async () => {
      expect(await refused(opened({ url: server.basic }, { password: '' }))).toMatchObject({ kind: 'sign-in' })
      expect(await refused(opened({ url: server.basic, username: '' }, { password: '' }))).toMatchObject({ kind: 'sign-in' })
    })
  })

  describe('certificates', () => {
    test('of an authority that nobody knows: refused, and said what to do', async () => {
      const caught = await refused(opened({ url: server.tls }))
      expect(caught).toMatchObject({ kind: 'offline', code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })
      expect(caught.hint).toContain('--set ca=')
    })

    test('accepted with the certificate of the authority', async () => {
      await works(opened({ url: server.tls, ca: server.certificates.authority.cert }), 'by-authority')
    })

    test('self-signed: refused; accepted when it is given itself; accepted by the switch, loudly', async () => {
      const caught = await refused(opened({ url: server.selfSigned }))
      expect(caught).toMatchObject({ kind: 'offline', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
      expect(caught.hint).toContain('--set ca=')
      await works(opened({ url: server.selfSigned, ca: server.certificates.selfSigned.cert }), 'given-itself')
      logged.length = 0
      const unchecked = opened({ url: server.selfSigned, verifyTls: false })
      expect(logged).toEqual([expect.stringMatching(/^warn TLS VERIFICATION IS OFF/)])
      const sheet = (await unchecked.measure?.(false, signal)) ?? []
      expect(sheet.find((check) => check.name === 'server certificate checked')).toMatchObject({
        result: 'no',
        detail: expect.stringContaining('TLS VERIFICATION IS OFF') as string,
      })
      await works(unchecked, 'by-switch')
    })

    test('the authority of another server does not do', async () => {
      const caught = await refused(opened({ url: server.selfSigned, ca: server.certificates.authority.cert }))
      expect(caught).toMatchObject({ kind: 'offline', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
    })

    test('of the client, in place of a password', async () => {
      const { authority, client } = server.certificates
      const options = { url: server.clientCertificate, ca: authority.cert, username: '' }
      expect(['offline', 'io']).toContain((await refused(opened(options))).kind)
      const withCertificate = { ...options, clientCertificate: client.cert }
      expect(await refused(opened(withCertificate))).toMatchObject({ kind: 'sign-in' })
      await works(opened(withCertificate, { clientKey: client.key }), 'by-certificate')
    })

    test('TLS where none is spoken', async () => {
      const caught = await refused(opened({ url: server.basic.replace('http:', 'https:') }))
      expect(caught.kind).toBe('offline')
      expect(caught.hint).toContain('http://')
    })
  })

  describe('addresses', () => {
    test('a redirect is not followed: nobody else gets the password', async () => {
      const heard: IncomingMessage['headers'][] = []
      const elsewhere = createServer((request, response) => {
        heard.push(request.headers)
        response.end()
      })
      elsewhere.listen(0, '127.0.0.1')
      await once(elsewhere, 'listening')
      const address = elsewhere.address()
      const target = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}/dav/`
      const redirecting = createServer((_request, response) => response.writeHead(302, { location: `${target}?secret=1` }).end())
      redirecting.listen(0, '127.0.0.1')
      await once(redirecting, 'listening')
      const own = redirecting.address()
      const one = opened({ url: `http://127.0.0.1:${typeof own === 'object' ? own?.port : 0}/dav`, auth: 'basic' })
      const caught = await error(listAll(one, at('folder')))
      // Unknown, not absent: a sign-in page of a hotel says the same.
      expect(caught).toMatchObject({ kind: 'unavailable', code: '302' })
      expect(caught.hint).toContain(target)
      expect(caught.hint).not.toContain('secret')
      await one.close()
      expect(heard).toEqual([])
      for (const listener of [redirecting, elsewhere]) await new Promise((resolve) => listener.close(resolve))
    })

    test('a folder that is not there, a file, and a page for people', async () => {
      const one = opened({ url: server.basic })
      await put(one, at('a-file'), 'x')
      expect(await refused(opened({ url: `${server.basic}/nowhere` }))).toMatchObject({ kind: 'not-found' })
      expect(await refused(opened({ url: `${server.basic}/a-file` }))).toMatchObject({ kind: 'not-a-folder' })
      await one.close()
      const page = createServer((_request, response) => response.end('<html>welcome</html>'))
      page.listen(0, '127.0.0.1')
      await once(page, 'listening')
      const address = page.address()
      const caught = await refused(opened({ url: `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}` }))
      expect(caught).toMatchObject({ kind: 'garbage' })
      expect(caught.hint).toContain('url')
      await new Promise((resolve) => page.close(resolve))
    })

    test('a drive whose root is gone is no empty drive', async () => {
      const one = opened({ url: `${server.basic}/nowhere` })
      expect(await refusal(listAll(one, at()))).toBe('unavailable')
      expect(await refusal(listAll(one, at('folder')))).toBe('unavailable')
      expect(await refusal(one.stat(at('file'), 'any', signal))).toBe('unavailable')
      await one.close()
    })

    test('what is no address is refused at once', () => {
      const invalid = expect.objectContaining({ kind: 'invalid' }) as unknown
      expect(() => opened({ url: '' })).toThrow(invalid)
      expect(() => opened({ url: 'dav.example.com' })).toThrow(invalid)
      expect(() => opened({ url: 'https://ada:secret@example.com/' })).toThrow(invalid)
      expect(() => opened({ url: 'https://cloud.example.com', preset: 'nextcloud', username: '' })).toThrow(invalid)
    })

    test('a Nextcloud needs only its server', async () => {
      const asked: string[] = []
      const cloud = createServer((request, response) => {
        asked.push(request.url ?? '')
        response.writeHead(404).end()
      })
      cloud.listen(0, '127.0.0.1')
      await once(cloud, 'listening')
      const address = cloud.address()
      const url = `http://127.0.0.1:${typeof address === 'object' ? address?.port : 0}`
      const one = opened({ url, preset: 'nextcloud', username: 'ada lovelace', auth: 'none' })
      expect((await refused(one)).kind).toBe('not-found')
      expect(asked).toEqual(['/remote.php/dav/files/ada%20lovelace/'])
      await new Promise((resolve) => cloud.close(resolve))
    })
  })
})

test('nginx over TLS: refused, and accepted with the certificate of its authority; moves lead to the same server', async ({ skip }) => {
  const tool = await findNginx()
  if ('missing' in tool) return skip(`nginx: ${tool.missing}`)
  await using all = new AsyncDisposableStack()
  const server = await startNginx(tool)
  all.defer(() => server.stop())
  const opened = (more: Readonly<Record<string, string>>) => {
    const options = { url: server.tls, username: server.username, ...more }
    const settings = { options, secret: (name: string) => (name === 'password' ? server.password : undefined) }
    const one = openConnector('webdav', { settings, remoteRoot: '', log: () => undefined })
    all.defer(() => one.close())
    return one
  }
  expect(await error(opened({}).check(signal))).toMatchObject({ kind: 'offline', code: 'UNABLE_TO_VERIFY_LEAF_SIGNATURE' })
  const trusted = opened({ ca: server.certificates.authority.cert })
  // Of this size it is sent under a name of its own and moved.
  const contents = 'x'.repeat(2 * 2 ** 20)
  const { rev } = await put(trusted, at('large'), contents)
  await trusted.move?.(at('large'), at('moved here'), 'file', { kind: 'rev', rev }, null, signal)
  expect(await contentsAt(trusted, at('moved here'))).toBe(contents)
  expect((await listAll(trusted, at())).map(({ name }) => name.toString())).toEqual(['moved here'])
})
