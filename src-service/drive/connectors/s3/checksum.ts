import { createHash } from 'node:crypto'
import { crc32 } from 'node:zlib'
import type { UploadSource } from '../connector.ts'
import type { Dialect } from './dialects.ts'

/** Bytes read from the local disk, hashed or sent at once. */
const sliceSize = 512 * 1024

/** A checksum in the form that goes into headers and part lists. */
export interface Checksum {
  readonly crc32?: string
  readonly md5?: string
}

/** A body ready to be sent with its checksum. Up to one slice is held in memory; more is read for the checksum and each time it is sent. */
export interface CheckedBody {
  readonly body: Buffer | AsyncIterable<Buffer>
  readonly length: number
  readonly checksum: Checksum
}

/** Bytes [start, end) of the source. */
export async function checkedBody(
  kind: Dialect['checksum'],
  source: UploadSource,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<CheckedBody> {
  const length = end - start
  if (length <= sliceSize) {
    const body = length === 0 ? Buffer.alloc(0) : await source.read(start, end, signal)
    return { body, length, checksum: await checksumOf(kind, [body]) }
  }
  const checksum = await checksumOf(kind, slices(source, start, end, signal))
  return { body: { [Symbol.asyncIterator]: () => slices(source, start, end, signal) }, length, checksum }
}

/** Checksum of bytes [start, end) of the source. */
export async function sourceChecksum(
  kind: Dialect['checksum'],
  source: UploadSource,
  start: number,
  end: number,
  signal: AbortSignal,
): Promise<Checksum> {
  return await checksumOf(kind, slices(source, start, end, signal))
}

export function checksumHeaders({ crc32: crc, md5 }: Checksum): Record<string, string> {
  return { ...(crc !== undefined && { 'x-amz-checksum-crc32': crc }), ...(md5 !== undefined && { 'content-md5': md5 }) }
}

async function* slices(source: UploadSource, start: number, end: number, signal: AbortSignal): AsyncGenerator<Buffer> {
  for (let position = start; position < end; position += sliceSize) {
    yield await source.read(position, Math.min(position + sliceSize, end), signal)
  }
}

async function checksumOf(kind: Dialect['checksum'], parts: Iterable<Buffer> | AsyncIterable<Buffer>): Promise<Checksum> {
  if (kind === 'md5') {
    const hash = createHash('md5')
    for await (const part of parts) hash.update(part)
    return { md5: hash.digest('base64') }
  }
  let value = 0
  for await (const part of parts) value = crc32(part, value)
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32BE(value)
  return { crc32: bytes.toString('base64') }
}
