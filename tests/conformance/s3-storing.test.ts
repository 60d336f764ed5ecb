/** How objects are stored, in buckets with versions too, and folders in every form that clients leave them in. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:http'
import type { IncomingHttpHeaders } from 'node:http'
import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import { header } from '../../src-service/drive/connectors/http.ts'
import { any, at, contentsAt, listAll, namesIn, put, refusal, signal, statOf } from './candidate.ts'
import { withMinio } from './s3-bench.ts'

const mebi = 2 ** 20

withMinio((s3) => {
  const headOf = async (key: string) => (await s3.raw({ method: 'HEAD', key: Buffer.from(key) })).headers

  test('class and encryption of new objects: small, large and copied', async () => {
    const connector = s3.bench.open({ storageClass: 'REDUCED_REDUNDANCY', encryption: 'AES256' })
    const small = await put(connector, at('stored-small'), 'contents')
    await put(connector, at('stored-large'), randomBytes(6 * mebi))
    await connector.copy?.(at('stored-small'), at('stored-copy'), small.rev, {}, any, signal)
    for (const key of ['stored-small', 'stored-large', 'stored-copy']) {
      const headers = await headOf(key)
      expect(header(headers, 'x-amz-storage-class'), key).toBe('REDUCED_REDUNDANCY')
      expect(header(headers, 'x-amz-server-side-encryption'), key).toBe('AES256')
    }
    expect(await contentsAt(connector, at('stored-copy'))).toBe('contents')
  })

  test('a key of the key service is named, and who pays is said with every request', async () => {
    const seen: IncomingHttpHeaders[] = []
    const server = createServer((request, response) => {
      seen.push(request.headers)
      request.resume().on('end', () => response.writeHead(200, { etag: '"x"', 'content-length': '0' }).end())
    })
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const address = server.address()
    const endpoint = typeof address === 'object' && address ? `http://127.0.0.1:${address.port}` : ''
    const options = { endpoint, bucket: 'b', accessKeyId: 'a', requesterPays: true, encryption: 'aws:kms', kmsKeyId: 'key-1' }
    const open = (changed: Record<string, string>) =>
      openConnector('s3', {
        settings: { options: { ...options, ...changed }, secret: (name) => (name === 'secretAccessKey' ? 'secret' : undefined) },
        remoteRoot: '',
        log: () => undefined,
      })
    const connector = open({})
    await put(connector, at('file'), 'x', any)
    expect(seen).toEqual([
      expect.objectContaining({
        'x-amz-request-payer': 'requester',
        'x-amz-server-side-encryption': 'aws:kms',
        'x-amz-server-side-encryption-aws-kms-key-id': 'key-1',
        authorization: expect.stringMatching(/x-amz-request-payer;.*x-amz-server-side-encryption/),
      }),
    ])
    expect(() => open({ encryption: 'AES256' })).toThrow(expect.objectContaining({ kind: 'invalid' }))
    await connector.close()
    server.closeAllConnections()
    server.close()
  })

  test('parts are as large and as many at once as was asked for', async () => {
    const connector = s3.bench.open({ partSize: 6, parallelParts: 1 })
    let most = 0
    let now = 0
    s3.bench.proxy.decide = ({ url }) => {
      if (url.includes('partNumber=')) most = Math.max(most, ++now)
      return { kind: 'pass' }
    }
    await connector.write(
      at('tuned'),
      'file',
      { size: 20 * mebi, read: async (start, end) => Buffer.alloc(end - start) },
      {
        precondition: any,
        posix: {},
        resume: null,
        saveHandle: async () => {
          now--
        },
        onProgress: () => undefined,
      },
      signal,
    )
    expect(s3.bench.proxy.seen.filter(({ url }) => url.includes('partNumber=')).length).toBe(4)
    expect(most).toBeLessThanOrEqual(1)
  })

  test('a bucket with versions: what is removed is gone, and its name is free again', async () => {
    const versioning = Buffer.from('<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>')
    await s3.raw({ method: 'PUT', query: [['versioning', '']], body: versioning })
    try {
      const { connector } = s3
      await connector.makeFolder(at('versions'), {}, signal)
      const first = await put(connector, at('versions', 'file'), 'first')
      const second = await put(connector, at('versions', 'file'), 'second', { kind: 'rev', rev: first.rev })
      await connector.remove(at('versions', 'file'), 'file', { kind: 'rev', rev: second.rev }, signal)
      expect(await connector.stat(at('versions', 'file'), 'any', signal)).toBeNull()
      expect(await listAll(connector, at('versions'))).toEqual([])
      expect(['conflict', 'not-found']).toContain(
        await refusal(put(connector, at('versions', 'file'), 'x', { kind: 'rev', rev: second.rev })),
      )
      await connector.remove(at('versions', 'file'), 'file', any, signal)
      await put(connector, at('versions', 'file'), 'third')
      expect(await contentsAt(connector, at('versions', 'file'))).toBe('third')
      await connector.remove(at('versions', 'file'), 'file', any, signal)
      await connector.remove(at('versions'), 'folder', any, signal)
      expect(await connector.stat(at('versions'), 'any', signal)).toBeNull()
      expect(await refusal(listAll(connector, at('versions')))).toBe('not-found')
    } finally {
      const suspended = Buffer.from('<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>')
      await s3.raw({ method: 'PUT', query: [['versioning', '']], body: suspended })
    }
  })

  describe('folders', () => {
    const plant = (key: string, contents: string, headers: Readonly<Record<string, string>> = {}) =>
      s3.raw({ method: 'PUT', key: Buffer.from(key), body: Buffer.from(contents), headers })

    test('with a marker, ours or others', async () => {
      await s3.connector.makeFolder(at('marked', 'by-us'), { mode: 0o750 }, signal)
      expect(header(await headOf('marked/by-us/'), 'content-type')).toBe('application/x-directory')
      await plant('marked/by-console/', '')
      await plant('marked/by-s3fs/', '', { 'content-type': 'application/x-directory', 'x-amz-meta-mode': '16877', 'x-amz-meta-uid': '7' })
      await plant('marked/with-contents/', 'not much')
      expect(await namesIn(s3.connector, at('marked'))).toEqual(['by-console', 'by-s3fs', 'by-us', 'with-contents'])
      expect(await statOf(s3.connector, at('marked', 'by-s3fs'))).toMatchObject({ type: 'folder', posix: { mode: 0o755, uid: 7 } })
      for (const name of ['by-console', 'by-s3fs', 'by-us', 'with-contents']) {
        expect(await statOf(s3.connector, at('marked', name)), name).toMatchObject({ type: 'folder', size: 0 })
        expect(await listAll(s3.connector, at('marked', name)), name).toEqual([])
        await s3.connector.remove(at('marked', name), 'folder', any, signal)
        expect(await s3.connector.stat(at('marked', name), 'any', signal), name).toBeNull()
      }
    })

    test('without one: there as long as something is in it, and for good once it is marked', async () => {
      await plant('unmarked/below/file', 'x')
      expect(await namesIn(s3.connector, at('unmarked'))).toEqual(['below'])
      expect(await statOf(s3.connector, at('unmarked', 'below'))).toMatchObject({ type: 'folder', posix: {} })
      expect(await refusal(s3.connector.makeFolder(at('unmarked', 'below'), {}, signal))).toBe('exists')
      await s3.connector.setAttributes?.(at('unmarked', 'below'), 'folder', { mode: 0o700 }, any, signal)
      await s3.connector.remove(at('unmarked', 'below', 'file'), 'file', any, signal)
      expect(await statOf(s3.connector, at('unmarked', 'below'))).toMatchObject({ type: 'folder', posix: { mode: 0o700 } })
      await plant('passing/file', 'x')
      await s3.connector.remove(at('passing', 'file'), 'file', any, signal)
      expect(await s3.connector.stat(at('passing'), 'any', signal)).toBeNull()
    })
  })
})
