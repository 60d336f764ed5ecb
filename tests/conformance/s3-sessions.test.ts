/** Uploads in parts that nobody goes on with do not stay at the server. */
import { randomBytes } from 'node:crypto'
import { expect, test } from 'vitest'
import { S3Client } from '../../src-service/drive/connectors/s3/s3-client.ts'
import { resolveSettings } from '../../src-service/drive/connectors/s3/settings.ts'
import type { Seen } from '../support/chaos-proxy.ts'
import { absent, at, contentsAt, refusal, signal, sourceOf, writeOptions } from './candidate.ts'
import { withMinio } from './s3-bench.ts'

const isBegin = (seen: Seen) => seen.method === 'POST' && seen.url.includes('uploads=')
const isList = (seen: Seen) => seen.method === 'GET' && seen.url.includes('uploads=')

withMinio((s3) => {
  const bare = () => {
    const options = { preset: 'minio', endpoint: s3.minio.endpoint, bucket: s3.bench.bucket, accessKeyId: s3.minio.accessKeyId }
    const secret = (name: string) => (name === 'secretAccessKey' ? s3.minio.secretAccessKey : undefined)
    return new S3Client(resolveSettings({ settings: { options, secret }, remoteRoot: '', log: () => undefined }))
  }

  /** Ids of the sessions on a key, straight from the server, which lists those of exact keys only. */
  async function sessionsOn(key: string): Promise<string[]> {
    const client = bare()
    const query = [
      ['uploads', ''],
      ['prefix', key],
    ] as const
    const { body } = await client.send({ method: 'GET', bucket: s3.bench.bucket, key: Buffer.alloc(0), query }, signal)
    const text = await body.text(100_000)
    await client.close()
    return [...text.matchAll(/<UploadId>([^<]+)</g)].map((match) => match[1] ?? '')
  }

  async function beginOn(key: string): Promise<string> {
    const client = bare()
    await client.head({ method: 'POST', bucket: s3.bench.bucket, key: Buffer.from(key), query: [['uploads', '']] }, signal)
    await client.close()
    return (await sessionsOn(key)).at(-1) ?? ''
  }

  /** A session whose beginning the server has answered into the void, and what was saved of it. */
  async function lostBegin(key: string): Promise<string> {
    let saved = ''
    s3.strike(isBegin, { kind: 'lose-answer' })
    const saveHandle = (handle: string) => {
      saved = handle
      return Promise.resolve()
    }
    const source = sourceOf(randomBytes(6 * 2 ** 20))
    expect(await refusal(s3.connector.write(at(key), 'file', source, { ...writeOptions(absent), saveHandle }, signal))).toBe('offline')
    expect(s3.bench.proxy.struck).toBe(1)
    expect(await sessionsOn(key)).toHaveLength(1)
    return saved
  }

  test('one that began without our knowing is ended when the upload is tried again', async () => {
    const resume = await lostBegin('lost-begin')
    const contents = 'x'.repeat(6 * 2 ** 20)
    await s3.connector.write(at('lost-begin'), 'file', sourceOf(contents), { ...writeOptions(absent), resume }, signal)
    expect(await contentsAt(s3.connector, at('lost-begin'))).toBe(contents)
    expect(await sessionsOn('lost-begin')).toEqual([])
  })

  test('one that began without our knowing is ended when the upload is given up', async () => {
    const handle = await lostBegin('given-up')
    await s3.connector.abandon?.(handle, signal)
    expect(await sessionsOn('given-up')).toEqual([])
  })

  test('of those that nobody knows, the idle ones are ended', async () => {
    const [orphan, known] = [await beginOn('swept'), await beginOn('known')]
    const listed = (key: string, id: string, initiated: string) =>
      `<Upload><Key>${key}</Key><UploadId>${id}</UploadId><Initiated>${initiated}</Initiated></Upload>`
    const long = '2020-01-01T00:00:00.000Z'
    const uploads = [listed('swept', orphan, long), listed('known', known, long), listed('fresh', 'fresh', new Date().toISOString())]
    const body = `<?xml version="1.0"?><ListMultipartUploadsResult><IsTruncated>false</IsTruncated>${uploads.join('')}</ListMultipartUploadsResult>`
    s3.strike(isList, { kind: 'answer', status: 200, body })
    const handle = JSON.stringify({ bucket: s3.bench.bucket, key: 'known', uploadId: known, partSize: 5 * 2 ** 20 })
    expect(await s3.connector.sweep?.([handle], Date.now() - 60_000, signal)).toBe(1)
    expect([await sessionsOn('swept'), await sessionsOn('known')]).toEqual([[], [known]])
    expect(s3.bench.proxy.seen.filter((seen) => seen.method === 'DELETE').length).toBe(1)
  })
})
