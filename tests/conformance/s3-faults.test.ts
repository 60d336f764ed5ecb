/** What the S3 connector makes of a bad world: each refusal has the right kind, says what to do, and nothing is lost. */
import { randomBytes } from 'node:crypto'
import { createServer } from 'node:net'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { CloudError } from '../../src-service/common/errors.ts'
import type { ConnectorContext } from '../../src-service/drive/connectors/connector.ts'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import type { OpenConnector } from '../../src-service/drive/connectors/registry.ts'
import { S3Connector } from '../../src-service/drive/connectors/s3/s3-connector.ts'
import { findMinio, startMinio } from '../servers/minio.ts'
import type { MinioServer } from '../servers/minio.ts'
import type { Fate, Seen } from '../support/chaos-proxy.ts'
import { absent, any, at, contentsAt, listAll, namesIn, put, readAll, refusal, signal, statOf } from './candidate.ts'
import { openS3Bench } from './s3-bench.ts'
import type { S3Bench } from './s3-bench.ts'

const found = await findMinio()
const path = 'path' in found ? found.path : null

if (path === null) test.skip(`MinIO: ${'missing' in found ? found.missing : ''}`, () => undefined)
else {
  let minio: MinioServer
  let bench: S3Bench
  let connector: OpenConnector
  beforeAll(async () => {
    minio = await startMinio(path)
    bench = await openS3Bench(minio, 'minio')
    connector = bench.open()
  })
  afterAll(async () => {
    await bench.close()
    await minio.stop()
  })
  beforeEach(() => {
    bench.proxy.decide = () => ({ kind: 'pass' })
    bench.proxy.struck = 0
    bench.proxy.sockets = 0
    bench.proxy.seen.length = 0
  })

  /** The first requests that match meet the fates, one each; the others pass. */
  const strike = (matches: (seen: Seen) => boolean, ...fates: Fate[]) => {
    bench.proxy.decide = (seen) => (matches(seen) ? (fates.shift() ?? { kind: 'pass' }) : { kind: 'pass' })
  }
  const error = async (promise: Promise<unknown>): Promise<CloudError> => {
    const caught: unknown = await promise.then(
      () => null,
      (reason: unknown) => reason,
    )
    if (!(caught instanceof CloudError)) throw new Error(`no CloudError but ${String(caught)}`)
    return caught
  }
  const isGet = (seen: Seen) => seen.method === 'GET' && !seen.url.includes('?')
  const isPut = (seen: Seen) => seen.method === 'PUT'
  const isList = (seen: Seen) => seen.url.includes('list-type=2')
  const xml = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`

  describe('wrong settings', () => {
    const opened = (options: Record<string, string>, secret: string | undefined = minio.secretAccessKey, root = '') =>
      openConnector('s3', {
        settings: {
          options: { endpoint: minio.endpoint, bucket: bench.bucket, accessKeyId: minio.accessKeyId, ...options },
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
      const caught = await checked(opened({ endpoint: minio.endpoint.replace('http:', 'https:') }))
      expect(caught.kind).toBe('offline')
      expect(caught.hint).toContain('http://')
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

  describe('answers that are no answers', () => {
    test.each([
      ['a web page', '<html><body>Sign in to the hotel network</body></html>'],
      ['nothing', ''],
      ['half a listing', '<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key>'],
      ['a listing without its end', '<ListBucketResult><Name>x</Name></ListBucketResult>'],
    ])('%s for a listing is garbage, not an empty folder', async (_name, body) => {
      bench.proxy.decide = (seen) => (isList(seen) ? { kind: 'answer', status: 200, body } : { kind: 'pass' })
      expect(await refusal(listAll(connector, at()))).toBe('garbage')
      expect(bench.proxy.struck).toBeGreaterThan(1)
    })

    test('a listing that is too large is garbage', async () => {
      bench.proxy.decide = () => ({ kind: 'answer', status: 200, body: ' '.repeat(17 * 2 ** 20) })
      expect(await refusal(listAll(connector, at()))).toBe('garbage')
    })

    test('a read that answers with the wrong range is garbage, before the first byte', async () => {
      const entry = await put(connector, at('wrong-range'), 'contents')
      bench.proxy.decide = (seen) =>
        isGet(seen)
          ? {
              kind: 'answer',
              status: 206,
              headers: { etag: entry.rev, 'content-range': 'bytes 0-3/8', 'content-length': '4' },
              body: 'xxxx',
            }
          : { kind: 'pass' }
      expect(await refusal(readAll(connector, at('wrong-range'), 2, 6, entry.rev))).toBe('garbage')
    })

    test('an answer of another version is a conflict', async () => {
      const entry = await put(connector, at('other-version'), 'contents')
      strike(isGet, { kind: 'answer', status: 206, headers: { etag: '"other"', 'content-range': 'bytes 0-7/8' }, body: 'xxxxxxxx' })
      expect(await refusal(readAll(connector, at('other-version'), 0, 8, entry.rev))).toBe('conflict')
      expect(bench.proxy.struck).toBe(1)
    })
  })

  describe('a bad way', () => {
    test('a read that breaks off goes on, byte by byte right', async () => {
      const contents = randomBytes(3 * 2 ** 20)
      const { rev } = await put(connector, at('broken-read'), contents)
      strike(isGet, { kind: 'cut', after: 1_000_000 }, { kind: 'cut', after: 700_000 }, { kind: 'reset' })
      expect((await readAll(connector, at('broken-read'), 0, contents.length, rev)).equals(contents)).toBe(true)
      expect(bench.proxy.struck).toBe(3)
      const ranges = bench.proxy.seen.filter(isGet)
      expect(ranges.length).toBe(4)
    })

    test('a read that breaks off without end is an error, never short', async () => {
      const contents = randomBytes(100_000)
      const { rev } = await put(connector, at('always-broken'), contents)
      bench.proxy.decide = (seen) => (isGet(seen) ? { kind: 'reset' } : { kind: 'pass' })
      expect(await refusal(readAll(connector, at('always-broken'), 0, contents.length, rev))).toBe('offline')
    })

    test('a storm of 503 with Retry-After is waited out, and seen', async () => {
      await put(connector, at('storm'), 'contents')
      strike(
        isList,
        ...[1, 2].map(() => ({ kind: 'answer', status: 503, headers: { 'retry-after': '1' }, body: xml('SlowDown') }) as const),
      )
      const begun = performance.now()
      const listing = namesIn(connector, at())
      await expect.poll(() => connector.limiter.throttledUntil).not.toBeNull()
      expect(await listing).toContain('storm')
      expect(performance.now() - begun).toBeGreaterThan(1900)
      expect(bench.proxy.struck).toBe(2)
    })

    test('a page in the middle of a listing is fetched again', async () => {
      await Promise.all(Array.from({ length: 1010 }, (_, index) => put(connector, at('paged', `f${index}`), '')))
      strike(
        (seen) => seen.url.includes('continuation-token'),
        { kind: 'answer', status: 500, body: xml('InternalError') },
        { kind: 'reset' },
      )
      expect((await listAll(connector, at('paged'))).length).toBe(1010)
      expect(bench.proxy.struck).toBe(2)
      expect(bench.proxy.seen.filter(isList).length).toBe(4)
    })

    test('an upload whose answer is lost is said to be unknown, and is not repeated', async () => {
      strike(isPut, { kind: 'lose-answer' })
      expect(await refusal(put(connector, at('lost-answer'), 'contents'))).toBe('offline')
      expect(bench.proxy.seen.filter(isPut).length).toBe(1)
      expect(await contentsAt(connector, at('lost-answer'))).toBe('contents')
    })

    test('a completion whose answer is lost is said to be unknown, and the object is found', async () => {
      const contents = randomBytes(6 * 2 ** 20)
      strike((seen) => seen.method === 'POST' && seen.url.includes('uploadId='), { kind: 'lose-answer' })
      expect(await refusal(put(connector, at('lost-completion'), contents))).toBe('offline')
      expect(bench.proxy.struck).toBe(1)
      const entry = await statOf(connector, at('lost-completion'))
      expect((await readAll(connector, at('lost-completion'), 0, contents.length, entry.rev)).equals(contents)).toBe(true)
    })

    test('a completion that fails within its 200 is an error', async () => {
      strike((seen) => seen.method === 'POST' && seen.url.includes('uploadId='), {
        kind: 'answer',
        status: 200,
        body: xml('InternalError'),
      })
      expect(await refusal(put(connector, at('failed-completion'), randomBytes(6 * 2 ** 20)))).toBe('unavailable')
      expect(await connector.stat(at('failed-completion'), 'any', signal)).toBeNull()
    })

    test('a completion into which another request came is tried again', async () => {
      strike((seen) => seen.method === 'POST' && seen.url.includes('uploadId='), {
        kind: 'answer',
        status: 409,
        body: xml('ConditionalRequestConflict'),
      })
      await put(connector, at('conflicting-completion'), randomBytes(6 * 2 ** 20))
      expect(bench.proxy.struck).toBe(1)
    })

    test('a part that is throttled is sent again without the others', async () => {
      const contents = randomBytes(12 * 2 ** 20)
      strike((seen) => seen.url.includes('partNumber=2'), { kind: 'answer', status: 503, body: xml('SlowDown') })
      const before = bench.proxy.received
      const entry = await put(connector, at('throttled-part'), contents)
      expect(bench.proxy.struck).toBe(1)
      expect((await readAll(connector, at('throttled-part'), 0, contents.length, entry.rev)).equals(contents)).toBe(true)
      expect(bench.proxy.received - before).toBeLessThan(2 * contents.length)
    })

    test('a part that is damaged on its way is refused by the server', async () => {
      const lying = { size: 1000, read: () => Promise.resolve(randomBytes(1000)) }
      let reads = 0
      const changing = { size: 2 * 2 ** 20, read: async (start: number, end: number) => Buffer.alloc(end - start, ++reads) }
      await connector.write(
        at('small-lie'),
        'file',
        lying,
        { precondition: any, posix: {}, resume: null, saveHandle: async () => undefined, onProgress: () => undefined },
        signal,
      )
      const writing = connector.write(
        at('damaged'),
        'file',
        changing,
        { precondition: absent, posix: {}, resume: null, saveHandle: async () => undefined, onProgress: () => undefined },
        signal,
      )
      expect(await refusal(writing)).toBe('unavailable')
      expect(await connector.stat(at('damaged'), 'any', signal)).toBeNull()
    })

    test('a server that refuses conditions is looked at first', async () => {
      const one = bench.open()
      bench.proxy.decide = (seen) =>
        isPut(seen) && bench.proxy.struck === 0 ? { kind: 'answer', status: 501, body: xml('NotImplemented') } : { kind: 'pass' }
      expect(one.capabilities.conditionalWrite).toBe('server')
      await put(one, at('unconditional-server'), 'first')
      expect(one.capabilities.conditionalWrite).toBe('checked')
      expect(await refusal(put(one, at('unconditional-server'), 'second'))).toBe('conflict')
      expect(await contentsAt(one, at('unconditional-server'))).toBe('first')
    })

    test('a clock that is wrong is said, with its offset', async () => {
      strike(isList, {
        kind: 'answer',
        status: 403,
        headers: { date: new Date(Date.now() - 7_200_000).toUTCString() },
        body: xml('RequestTimeTooSkewed'),
      })
      const caught = await error(connector.check(signal))
      expect(caught).toMatchObject({ kind: 'sign-in', code: 'RequestTimeTooSkewed' })
      expect(caught.hint).toMatch(/72\d\d s ahead/)
    })

    test('a bucket of another region is said, with the region', async () => {
      strike(isList, { kind: 'answer', status: 301, headers: { 'x-amz-bucket-region': 'eu-west-1' }, body: xml('PermanentRedirect') })
      expect((await error(connector.check(signal))).hint).toContain('region=eu-west-1')
    })

    test('no connection is lost by any of it', async () => {
      const contents = randomBytes(200_000)
      const { rev } = await put(connector, at('reused'), contents)
      for (let round = 0; round < 30; round++) {
        await refusal(put(connector, at('reused'), 'x', absent))
        await connector.stat(at('not-there'), 'any', signal)
        await readAll(connector, at('reused'), 0, 1000, rev)
      }
      expect(bench.proxy.sockets).toBeLessThan(5)
    })
  })

  describe('an account with all its buckets', () => {
    test('buckets are folders that are made, listed and removed', async () => {
      const account = bench.openAccount()
      await account.check(signal)
      const name = `made-${randomBytes(4).toString('hex')}`
      await account.makeFolder(at(name), {}, signal)
      expect(await namesIn(account, at())).toEqual(expect.arrayContaining([bench.bucket, name]))
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
      const account = bench.openAccount()
      expect(await refusal(put(account, at('a-file'), 'x'))).toBe('is-a-folder')
      expect(await refusal(account.makeFolder(at('Not A Bucket'), {}, signal))).toBe('name-invalid')
      expect(await refusal(account.makeFolder(at(bench.bucket), {}, signal))).toBe('exists')
    })

    test('a new prefix is an empty drive', async () => {
      const below = bench.open({}, 'never/used')
      await below.check(signal)
      expect(await listAll(below, at())).toEqual([])
      expect(await statOf(below, at())).toMatchObject({ type: 'folder' })
      await put(below, at('file'), 'contents')
      expect(await contentsAt(connector, at('never', 'used', 'file'))).toBe('contents')
    })
  })

  test('the connector itself retries nothing', async () => {
    const context: ConnectorContext = {
      settings: {
        options: { endpoint: bench.proxy.endpoint, bucket: bench.bucket, accessKeyId: minio.accessKeyId },
        secret: (name) => (name === 'secretAccessKey' ? minio.secretAccessKey : undefined),
      },
      remoteRoot: '',
      log: () => undefined,
    }
    const bare = new S3Connector(context)
    strike(() => true, { kind: 'reset' })
    expect(await refusal(bare.check(signal))).toBe('offline')
    expect(bench.proxy.seen.length).toBe(1)
    await bare.close()
  })
}
