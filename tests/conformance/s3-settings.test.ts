/** What the S3 connector says to wrong settings, and how it shows an account. */
import { randomBytes } from 'node:crypto'
import { execFile, spawnSync } from 'node:child_process'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer as createTlsServer } from 'node:https'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, test } from 'vitest'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import type { OpenConnector } from '../../src-service/drive/connectors/registry.ts'
import { any, at, contentsAt, error, listAll, namesIn, put, refusal, signal, statOf } from './candidate.ts'
import { withMinio } from './s3-bench.ts'

const hasOpenssl = spawnSync('openssl', ['version']).status === 0

withMinio((s3) => {
  describe('wrong settings', () => {
    const opened = (options: Record<string, string>, secret: string | undefined = s3.minio.secretAccessKey, root = '') =>
      openConnector('s3', {
        settings: {
          options: { endpoint: s3.minio.endpoint, bucket: s3.bench.bucket, accessKeyId: s3.minio.accessKeyId, ...options },
          secret: (name) => (name === 'secretAccessKey' ? secret : undefined),
        },
        remoteRoot: root,
        log: () => undefined,
      })
    const checked = async (one: OpenConnector) => {
      const caught = await error(one.check(signal))
      await one.close()
      return caught
    }

    test('a wrong secret', async () => {
      const caught = await checked(opened({}, 'a wrong secret that nobody may see'))
      expect(caught).toMatchObject({ kind: 'sign-in', code: 'SignatureDoesNotMatch' })
      expect(caught.hint).toContain('secret key')
      expect(JSON.stringify(caught, Object.getOwnPropertyNames(caught))).not.toContain('nobody may see')
    })

    test('a wrong access key', async () => {
      expect(await checked(opened({ accessKeyId: 'nobody' }))).toMatchObject({ kind: 'sign-in', code: 'InvalidAccessKeyId' })
    })

    test('no secret yet', async () => {
      expect(await checked(opened({}, ''))).toMatchObject({ kind: 'sign-in' })
    })

    test('a wrong bucket is said at the check, and is no empty drive later', async () => {
      const caught = await checked(opened({ bucket: 'no-such-bucket' }))
      expect(caught).toMatchObject({ kind: 'not-found', code: 'NoSuchBucket' })
      expect(caught.hint).toContain('bucket')
      const one = opened({ bucket: 'no-such-bucket' })
      expect(await refusal(listAll(one, at('folder')))).toBe('unavailable')
      expect(await refusal(one.stat(at('file'), 'any', signal))).toBe('unavailable')
      await one.close()
    })

    test('nobody listens there', async () => {
      const caught = await checked(opened({ endpoint: 'http://127.0.0.1:9' }))
      expect(caught).toMatchObject({ kind: 'offline', code: 'ECONNREFUSED' })
      expect(caught.message).toContain('http://127.0.0.1:9')
      expect(caught.hint).toContain('endpoint')
    })

    test('a host that does not exist', async () => {
      const caught = await checked(opened({ endpoint: 'http://no-such-host.invalid:9000' }))
      expect(caught.kind).toBe('offline')
      expect(caught.hint).toBeDefined()
    })

    test('TLS where none is spoken', async () => {
      const caught = await checked(opened({ endpoint: s3.minio.endpoint.replace('http:', 'https:') }))
      expect(caught.kind).toBe('offline')
      expect(caught.hint).toContain('http://')
    })

    test.skipIf(!hasOpenssl)('a certificate that nobody vouches for (openssl makes it)', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'cloudmoor-tls-'))
      const [key, cert] = [join(folder, 'key.pem'), join(folder, 'cert.pem')]
      const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1']
      await promisify(execFile)('openssl', ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, ...subject])
      const server = createTlsServer({ key: await readFile(key), cert: await readFile(cert) }, (_request, response) => response.end())
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const address = server.address()
      const port = typeof address === 'object' ? address?.port : 0
      const caught = await checked(opened({ endpoint: `https://127.0.0.1:${port}` }))
      expect(caught).toMatchObject({ kind: 'offline', code: 'DEPTH_ZERO_SELF_SIGNED_CERT' })
      expect(caught.hint).toContain('NODE_EXTRA_CA_CERTS')
      await new Promise((resolve) => server.close(resolve))
      await rm(folder, { recursive: true })
    })

    test('something that does not speak HTTP', async () => {
      const server = createServer((socket) => socket.resume().end('220 mail.example.com ESMTP\r\n'))
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
      const address = server.address()
      const port = typeof address === 'object' ? address?.port : 0
      expect(await checked(opened({ endpoint: `http://127.0.0.1:${port}` }))).toMatchObject({ kind: 'garbage' })
      await new Promise((resolve) => server.close(resolve))
    })

    test('an endpoint that is missing or none', () => {
      expect(() => opened({ preset: 'minio', endpoint: '' })).toThrow(expect.objectContaining({ kind: 'invalid' }))
      expect(() => opened({ endpoint: 'minio:9000' })).toThrow(expect.objectContaining({ kind: 'invalid' }))
    })
  })

  describe('an account with all its buckets', () => {
    test('buckets are folders that are made, listed and removed', async () => {
      const account = s3.bench.openAccount()
      await account.check(signal)
      const name = `made-${randomBytes(4).toString('hex')}`
      await account.makeFolder(at(name), {}, signal)
      expect(await namesIn(account, at())).toEqual(expect.arrayContaining([s3.bench.bucket, name]))
      expect(await statOf(account, at(name))).toMatchObject({ type: 'folder' })
      await put(account, at(name, 'file'), 'contents')
      expect(await contentsAt(account, at(name, 'file'))).toBe('contents')
      expect(await refusal(account.remove(at(name), 'folder', any, signal))).toBe('not-empty')
      await account.remove(at(name, 'file'), 'file', any, signal)
      await account.remove(at(name), 'folder', any, signal)
      expect(await account.stat(at(name), 'any', signal)).toBeNull()
      expect(await refusal(listAll(account, at(name)))).toBe('not-found')
    })

    test('files beside buckets and buckets of no name are refused', async () => {
      const account = s3.bench.openAccount()
      expect(await refusal(put(account, at('a-file'), 'x'))).toBe('is-a-folder')
      expect(await refusal(account.makeFolder(at('Not A Bucket'), {}, signal))).toBe('name-invalid')
      expect(await refusal(account.makeFolder(at(s3.bench.bucket), {}, signal))).toBe('exists')
    })

    test('a new prefix is an empty drive', async () => {
      const below = s3.bench.open({}, 'never/used')
      await below.check(signal)
      expect(await listAll(below, at())).toEqual([])
      expect(await statOf(below, at())).toMatchObject({ type: 'folder' })
      await put(below, at('file'), 'contents')
      expect(await contentsAt(s3.connector, at('never', 'used', 'file'))).toBe('contents')
    })
  })
})
