/** What the S3 connector makes of a bad world: each refusal has the right kind, says what to do, and nothing is lost. */
import { randomBytes } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import type { ConnectorContext, Precondition } from '../../src-service/drive/connectors/connector.ts'
import { copyObject } from '../../src-service/drive/connectors/s3/copy-object.ts'
import { S3Client } from '../../src-service/drive/connectors/s3/s3-client.ts'
import { S3Connector } from '../../src-service/drive/connectors/s3/s3-connector.ts'
import { resolveSettings } from '../../src-service/drive/connectors/s3/settings.ts'
import type { Seen } from '../support/chaos-proxy.ts'
import { absent, any, at, contentsAt, error, listAll, namesIn, put, readAll, refusal, signal, statOf } from './candidate.ts'
import { withMinio } from './s3-bench.ts'

const isGet = (seen: Seen) => seen.method === 'GET' && !seen.url.includes('?')
const isPut = (seen: Seen) => seen.method === 'PUT'
const isList = (seen: Seen) => seen.url.includes('list-type=2')
const xml = (code: string) => `<?xml version="1.0"?><Error><Code>${code}</Code><Message>no</Message></Error>`

withMinio((s3) => {
  const contextOf = (): ConnectorContext => ({
    settings: {
      options: { endpoint: s3.bench.proxy.endpoint, bucket: s3.bench.bucket, accessKeyId: s3.minio.accessKeyId },
      secret: (name) => (name === 'secretAccessKey' ? s3.minio.secretAccessKey : undefined),
    },
    remoteRoot: '',
    log: () => undefined,
  })

  describe('answers that are no answers', () => {
    test.each([
      ['a web page', '<html><body>Sign in to the hotel network</body></html>'],
      ['nothing', ''],
      ['half a listing', '<?xml version="1.0"?><ListBucketResult><IsTruncated>false</IsTruncated><Contents><Key>a</Key>'],
      ['a listing without its end', '<ListBucketResult><Name>x</Name></ListBucketResult>'],
    ])('%s for a listing is garbage, not an empty folder', async (_name, body) => {
      s3.bench.proxy.decide = (seen) => (isList(seen) ? { kind: 'answer', status: 200, body } : { kind: 'pass' })
      expect(await refusal(listAll(s3.connector, at()))).toBe('garbage')
      expect(s3.bench.proxy.struck).toBeGreaterThan(1)
    })

    test('a listing that is too large is garbage', async () => {
      s3.bench.proxy.decide = () => ({ kind: 'answer', status: 200, body: ' '.repeat(17 * 2 ** 20) })
      expect(await refusal(listAll(s3.connector, at()))).toBe('garbage')
    })

    test('a read that answers with the wrong range is garbage, before the first byte', async () => {
      const entry = await put(s3.connector, at('wrong-range'), 'contents')
      s3.bench.proxy.decide = (seen) =>
        isGet(seen)
          ? {
              kind: 'answer',
              status: 206,
              headers: { etag: entry.rev, 'content-range': 'bytes 0-3/8', 'content-length': '4' },
              body: 'xxxx',
            }
          : { kind: 'pass' }
      expect(await refusal(readAll(s3.connector, at('wrong-range'), 2, 6, entry.rev))).toBe('garbage')
    })

    test('an answer of another version is a conflict', async () => {
      const entry = await put(s3.connector, at('other-version'), 'contents')
      s3.strike(isGet, { kind: 'answer', status: 206, headers: { etag: '"other"', 'content-range': 'bytes 0-7/8' }, body: 'xxxxxxxx' })
      expect(await refusal(readAll(s3.connector, at('other-version'), 0, 8, entry.rev))).toBe('conflict')
      expect(s3.bench.proxy.struck).toBe(1)
    })
  })

  describe('a bad way', () => {
    test('a read that breaks off goes on, byte by byte right', async () => {
      const contents = randomBytes(3 * 2 ** 20)
      const { rev } = await put(s3.connector, at('broken-read'), contents)
      s3.strike(isGet, { kind: 'cut', after: 1_000_000 }, { kind: 'cut', after: 700_000 }, { kind: 'reset' })
      expect((await readAll(s3.connector, at('broken-read'), 0, contents.length, rev)).equals(contents)).toBe(true)
      expect(s3.bench.proxy.struck).toBe(3)
      const ranges = s3.bench.proxy.seen.filter(isGet)
      expect(ranges.length).toBe(4)
    })

    test('a read that breaks off without end is an error, never short', async () => {
      const contents = randomBytes(100_000)
      const { rev } = await put(s3.connector, at('always-broken'), contents)
      s3.bench.proxy.decide = (seen) => (isGet(seen) ? { kind: 'reset' } : { kind: 'pass' })
      expect(await refusal(readAll(s3.connector, at('always-broken'), 0, contents.length, rev))).toBe('offline')
    })

    test('a storm of 503 with Retry-After is waited out, and seen', async () => {
      await put(s3.connector, at('storm'), 'contents')
      s3.strike(
        isList,
        ...[1, 2].map(() => ({ kind: 'answer', status: 503, headers: { 'retry-after': '1' }, body: xml('SlowDown') }) as const),
      )
      const begun = performance.now()
      const listing = namesIn(s3.connector, at())
      await expect.poll(() => s3.connector.limiter.throttledUntil).not.toBeNull()
      expect(await listing).toContain('storm')
      expect(performance.now() - begun).toBeGreaterThan(1900)
      expect(s3.bench.proxy.struck).toBe(2)
    })

    test('a page in the middle of a listing is fetched again', async () => {
      await Promise.all(Array.from({ length: 1010 }, (_, index) => put(s3.connector, at('paged', `f${index}`), '')))
      s3.strike(
        (seen) => seen.url.includes('continuation-token'),
        { kind: 'answer', status: 500, body: xml('InternalError') },
        { kind: 'reset' },
      )
      expect((await listAll(s3.connector, at('paged'))).length).toBe(1010)
      expect(s3.bench.proxy.struck).toBe(2)
      expect(s3.bench.proxy.seen.filter(isList).length).toBe(4)
    })

    test('an upload whose answer is lost is said to be unknown, and is not repeated', async () => {
      s3.strike(isPut, { kind: 'lose-answer' })
      expect(await refusal(put(s3.connector, at('lost-answer'), 'contents'))).toBe('offline')
      expect(s3.bench.proxy.seen.filter(isPut).length).toBe(1)
      expect(await contentsAt(s3.connector, at('lost-answer'))).toBe('contents')
    })

    test('a completion whose answer is lost is said to be unknown, and the object is found', async () => {
      const contents = randomBytes(6 * 2 ** 20)
      s3.strike((seen) => seen.method === 'POST' && seen.url.includes('uploadId='), { kind: 'lose-answer' })
      expect(await refusal(put(s3.connector, at('lost-completion'), contents))).toBe('offline')
      expect(s3.bench.proxy.struck).toBe(1)
      const entry = await statOf(s3.connector, at('lost-completion'))
      expect((await readAll(s3.connector, at('lost-completion'), 0, contents.length, entry.rev)).equals(contents)).toBe(true)
    })

    test('a completion that fails within its 200 is an error', async () => {
      s3.strike((seen) => seen.method === 'POST' && seen.url.includes('uploadId='), {
        kind: 'answer',
        status: 200,
        body: xml('InternalError'),
      })
      expect(await refusal(put(s3.connector, at('failed-completion'), randomBytes(6 * 2 ** 20)))).toBe('unavailable')
      expect(await s3.connector.stat(at('failed-completion'), 'any', signal)).toBeNull()
    })

    test('a completion into which another request came is tried again', async () => {
      s3.strike((seen) => seen.method === 'POST' && seen.url.includes('uploadId='), {
        kind: 'answer',
        status: 409,
        body: xml('ConditionalRequestConflict'),
      })
      await put(s3.connector, at('conflicting-completion'), randomBytes(6 * 2 ** 20))
      expect(s3.bench.proxy.struck).toBe(1)
    })

    test('a part that is throttled is sent again without the others', async () => {
      const contents = randomBytes(12 * 2 ** 20)
      s3.strike((seen) => seen.url.includes('partNumber=2'), { kind: 'answer', status: 503, body: xml('SlowDown') })
      const before = s3.bench.proxy.received
      const entry = await put(s3.connector, at('throttled-part'), contents)
      expect(s3.bench.proxy.struck).toBe(1)
      expect((await readAll(s3.connector, at('throttled-part'), 0, contents.length, entry.rev)).equals(contents)).toBe(true)
      expect(s3.bench.proxy.received - before).toBeLessThan(2 * contents.length)
    })

    test('a part that is damaged on its way is refused by the server', async () => {
      const lying = { size: 1000, read: () => Promise.resolve(randomBytes(1000)) }
      let reads = 0
      const changing = { size: 2 * 2 ** 20, read: async (start: number, end: number) => Buffer.alloc(end - start, ++reads) }
      await s3.connector.write(
        at('small-lie'),
        'file',
        lying,
        { precondition: any, posix: {}, resume: null, saveHandle: async () => undefined, onProgress: () => undefined },
        signal,
      )
      const writing = s3.connector.write(
        at('damaged'),
        'file',
        changing,
        { precondition: absent, posix: {}, resume: null, saveHandle: async () => undefined, onProgress: () => undefined },
        signal,
      )
      expect(await refusal(writing)).toBe('unavailable')
      expect(await s3.connector.stat(at('damaged'), 'any', signal)).toBeNull()
    })

    test('a server that refuses conditions is looked at first', async () => {
      const one = s3.bench.open()
      s3.bench.proxy.decide = (seen) =>
        isPut(seen) && s3.bench.proxy.struck === 0 ? { kind: 'answer', status: 501, body: xml('NotImplemented') } : { kind: 'pass' }
      expect(one.capabilities.conditionalWrite).toBe('server')
      await put(one, at('unconditional-server'), 'first')
      expect(one.capabilities.conditionalWrite).toBe('checked')
      expect(await refusal(put(one, at('unconditional-server'), 'second'))).toBe('conflict')
      expect(await contentsAt(one, at('unconditional-server'))).toBe('first')
    })

    test('a clock that is wrong is said, with its offset', async () => {
      s3.strike(isList, {
        kind: 'answer',
        status: 403,
        headers: { date: new Date(Date.now() - 7_200_000).toUTCString() },
        body: xml('RequestTimeTooSkewed'),
      })
      const caught = await error(s3.connector.check(signal))
      expect(caught).toMatchObject({ kind: 'sign-in', code: 'RequestTimeTooSkewed' })
      expect(caught.hint).toMatch(/72\d\d s ahead/)
    })

    test('a bucket of another region is said, with the region', async () => {
      s3.strike(isList, { kind: 'answer', status: 301, headers: { 'x-amz-bucket-region': 'eu-west-1' }, body: xml('PermanentRedirect') })
      expect((await error(s3.connector.check(signal))).hint).toContain('region=eu-west-1')
    })

    test('no connection is lost by any of it', async () => {
      const contents = randomBytes(200_000)
      const { rev } = await put(s3.connector, at('reused'), contents)
      for (let round = 0; round < 30; round++) {
        await refusal(put(s3.connector, at('reused'), 'x', absent))
        await s3.connector.stat(at('not-there'), 'any', signal)
        await readAll(s3.connector, at('reused'), 0, 1000, rev)
      }
      expect(s3.bench.proxy.sockets).toBeLessThan(5)
    })
  })

  describe('a server that checks removals and copies itself', () => {
    test('is asked to, and what is gone already counts as removed', async () => {
      const aws = s3.bench.open({ preset: 'aws', pathStyle: true })
      expect(aws.capabilities.conditionalRemove).toBe('server')
      const { rev } = await put(aws, at('conditional'), 'x')
      const isDelete = (seen: Seen) => seen.method === 'DELETE'
      s3.strike(isDelete, { kind: 'answer', status: 412, body: xml('PreconditionFailed') })
      expect(await refusal(aws.remove(at('conditional'), 'file', { kind: 'rev', rev: '"other"' }, signal))).toBe('conflict')
      await aws.remove(at('conditional'), 'file', { kind: 'rev', rev }, signal)
      for (const [status, code] of [
        [404, 'NoSuchKey'],
        [412, 'PreconditionFailed'],
      ] as const) {
        s3.strike(isDelete, { kind: 'answer', status, body: xml(code) })
        await aws.remove(at('conditional'), 'file', { kind: 'rev', rev }, signal)
      }
      expect(s3.bench.proxy.struck).toBe(3)
    })

    test('a source that changes while it is moved is a conflict, not a name that is taken', async () => {
      const aws = s3.bench.open({ preset: 'aws', pathStyle: true })
      await put(aws, at('moving'), 'x')
      s3.strike((seen) => isPut(seen) && seen.url.endsWith('/moved-away'), { kind: 'answer', status: 412, body: xml('PreconditionFailed') })
      const moving = aws.move?.(at('moving'), at('moved-away'), 'file', any, null, signal)
      expect(await refusal(moving ?? Promise.resolve())).toBe('conflict')
      expect(await contentsAt(aws, at('moving'))).toBe('x')
    })
  })

  test('a move whose second half fails says that both names may be there', async () => {
    await put(s3.connector, at('half-moved'), 'contents')
    s3.strike((seen) => seen.method === 'DELETE', { kind: 'answer', status: 503, body: xml('SlowDown') })
    const moving = s3.connector.move?.(at('half-moved'), at('half-moved-to'), 'file', any, null, signal)
    expect(await refusal(moving ?? Promise.resolve())).toBe('unavailable')
    expect(s3.bench.proxy.seen.filter((seen) => seen.method === 'DELETE').length).toBe(1)
    expect(await contentsAt(s3.connector, at('half-moved-to'))).toBe('contents')
    expect(await contentsAt(s3.connector, at('half-moved'))).toBe('contents')
  })

  test('what is too large for one request is copied in parts', async () => {
    const contents = randomBytes(12 * 2 ** 20)
    const { rev, size } = await put(s3.connector, at('copied-in-parts'), contents)
    const client = new S3Client(resolveSettings(contextOf()))
    const copy = (condition: Precondition) => {
      const source = { place: { bucket: s3.bench.bucket, key: Buffer.from('copied-in-parts') }, rev, size }
      const target = { bucket: s3.bench.bucket, key: Buffer.from('copy in parts') }
      const limits = { largest: 5 * 2 ** 20, part: 5 * 2 ** 20 }
      return copyObject(client, source, target, { 'x-amz-meta-mode': '33188' }, condition, signal, limits)
    }
    const copied = await copy(absent)
    expect(s3.bench.proxy.seen.filter((seen) => seen.url.includes('partNumber=')).length).toBeGreaterThanOrEqual(3)
    expect((await statOf(s3.connector, at('copy in parts'))).posix.mode).toBe(0o644)
    expect((await readAll(s3.connector, at('copy in parts'), 0, size, copied)).equals(contents)).toBe(true)
    expect(await refusal(copy(absent))).toBe('conflict')
    s3.strike((seen) => seen.url.includes('partNumber=2'), { kind: 'answer', status: 500, body: xml('InternalError') })
    expect(await refusal(copy(any))).toBe('unavailable')
    const uploads = await client.send(
      {
        method: 'GET',
        bucket: s3.bench.bucket,
        key: Buffer.alloc(0),
        query: [
          ['uploads', ''],
          ['prefix', 'copy in parts'],
        ],
      },
      signal,
    )
    expect(await uploads.body.text(10_000)).not.toContain('<UploadId>')
    await client.close()
  })

  test('the connector itself retries nothing', async () => {
    const bare = new S3Connector(contextOf())
    s3.strike(() => true, { kind: 'reset' })
    expect(await refusal(bare.check(signal))).toBe('offline')
    expect(s3.bench.proxy.seen.length).toBe(1)
    await bare.close()
  })
})
