import { CloudError } from '../../../common/errors.ts'
import type { RemoteEntry, RemoteType } from '../connector.ts'
import { timeOfMs } from '../posix-mode.ts'
import { folderEntry, hasChildren } from './list-objects.ts'
import { posixOfMetadata, typeOfMetadata } from './metadata.ts'
import type { Metadata } from './metadata.ts'
import { header } from '../http.ts'
import type { Headers } from '../http.ts'
import { noKey } from './s3-client.ts'
import type { S3Client } from './s3-client.ts'
import { folderKey } from './s3-place.ts'
import type { S3Place } from './s3-place.ts'

const longestTarget = 4096

/** One object, or the marker of a folder (a key that ends in a slash). Null = surely absent. */
export async function headObject(client: S3Client, place: S3Place, name: Buffer, signal: AbortSignal): Promise<RemoteEntry | null> {
  return (await describeObject(client, place, name, signal))?.entry ?? null
}

export interface Described {
  readonly entry: RemoteEntry
  readonly headers: Headers
}

/** The same with all that its HEAD said. */
export async function describeObject(client: S3Client, place: S3Place, name: Buffer, signal: AbortSignal): Promise<Described | null> {
  const headers = await headHeaders(client, place, signal)
  if (!headers) return null
  const entry = entryOfHead(headers, name, place.key.at(-1) === 0x2f ? 'folder' : 'file')
  const isWhole = entry.type !== 'symlink' || entry.posix.target !== undefined
  return { headers, entry: isWhole ? entry : await withTarget(client, place, entry, signal) }
}

async function headHeaders(client: S3Client, { bucket, key }: S3Place, signal: AbortSignal): Promise<Headers | null> {
  try {
    return (await client.head({ method: 'HEAD', bucket, key }, signal)).headers
  } catch (caught) {
    return await nullIfAbsent(client, bucket, caught, signal)
  }
}

/** A folder by its marker, or by what is below it. */
export async function headFolder(
  client: S3Client,
  { bucket, key }: S3Place,
  name: Buffer,
  signal: AbortSignal,
): Promise<RemoteEntry | null> {
  if (bucket === null) return folderEntry(name)
  if (key.length === 0) return await headBucket(client, bucket, name, signal)
  const marker = await headObject(client, { bucket, key: folderKey(key) }, name, signal)
  if (marker) return marker
  return (await hasChildren(client, bucket, key, signal)) === 'none' ? null : folderEntry(name)
}

async function headBucket(client: S3Client, bucket: string, name: Buffer, signal: AbortSignal): Promise<RemoteEntry | null> {
  try {
    await client.head({ method: 'HEAD', bucket, key: noKey }, signal)
    return folderEntry(name)
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'not-found' && client.settings.bucket === null) return null
    throw error
  }
}

export function entryOfHead(headers: Headers, name: Buffer, otherwise: 'file' | 'folder'): RemoteEntry {
  const metadata: Metadata = (meta) => header(headers, `x-amz-meta-${meta}`)
  const type: RemoteType = typeOfMetadata(metadata, otherwise)
  const rev = header(headers, 'etag')
  const modified = Date.parse(header(headers, 'last-modified') ?? '')
  const size = Number(header(headers, 'content-length'))
  if (rev === undefined || Number.isNaN(modified) || !Number.isSafeInteger(size)) {
    throw new CloudError('garbage', 'the server answered without ETag, time or size')
  }
  return { name, type, size: type === 'file' ? size : 0, mtime: timeOfMs(modified), rev, id: null, posix: posixOfMetadata(metadata) }
}

/** The target of a symlink stands in the body. */
async function withTarget(client: S3Client, { bucket, key }: S3Place, entry: RemoteEntry, signal: AbortSignal): Promise<RemoteEntry> {
  const response = await client.send({ method: 'GET', bucket, key, headers: { 'if-match': entry.rev } }, signal)
  const target = await response.body.bytes(longestTarget)
  return { ...entry, posix: { ...entry.posix, target } }
}

/** A HEAD says 404 without saying what is missing: without its bucket an object is not absent but unknown. */
async function nullIfAbsent(client: S3Client, bucket: string | null, caught: unknown, signal: AbortSignal): Promise<null> {
  const error = CloudError.from(caught)
  if (error.kind !== 'not-found') throw error
  if (error.code === 'NoSuchBucket') throw error
  if (error.code === undefined && bucket !== null && !client.wasSeen(bucket))
    await client.head({ method: 'HEAD', bucket, key: noKey }, signal)
  return null
}
