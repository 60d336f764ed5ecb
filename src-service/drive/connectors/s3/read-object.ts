import { CloudError } from '../../../common/errors.ts'
import { header } from '../http.ts'
import type { S3Client } from './s3-client.ts'
import type { S3Place } from './s3-place.ts'

/** Bytes [start, end) of the version `rev`: the server compares, and the head of the answer is checked before the first byte goes out. */
export async function* readObject(
  client: S3Client,
  { bucket, key }: S3Place,
  start: number,
  end: number,
  rev: string,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  if (start >= end) return
  const headers = { range: `bytes=${start}-${end - 1}`, 'if-match': rev }
  const response = await client.send({ method: 'GET', bucket, key, headers }, signal)
  let position = start
  try {
    const etag = header(response.headers, 'etag')
    if (etag !== undefined && etag !== rev) throw new CloudError('conflict', 'the object was changed meanwhile')
    const whole = response.status === 200 && start === 0 && Number(header(response.headers, 'content-length')) === end
    if (!whole && !coversRange(header(response.headers, 'content-range'), start, end)) {
      throw new CloudError('garbage', 'the server answered with another range than the one asked for')
    }
    for await (const chunk of response.body) {
      position += chunk.length
      if (position > end) throw new CloudError('garbage', 'the server sent more than was asked for')
      yield chunk
    }
  } finally {
    if (position !== end) response.body.cancel()
  }
  if (position !== end) throw new CloudError('offline', `the answer broke off ${end - position} bytes early`)
}

function coversRange(value: string | undefined, start: number, end: number): boolean {
  const match = /^bytes (\d+)-(\d+)\//.exec(value ?? '')
  return match !== null && Number(match[1]) === start && Number(match[2]) === end - 1
}
