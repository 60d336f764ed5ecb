/** Resumable uploads in parts. The handle names the upload; which parts it has is asked of the server, and compared. */
import { CloudError } from '../../../common/errors.ts'
import type { UploadSource, WriteOptions } from '../connector.ts'
import { header } from '../http.ts'
import { checkedBody, checksumHeaders, sourceChecksum } from './checksum.ts'
import type { Checksum } from './checksum.ts'
import { inParallel } from './in-parallel.ts'
import { metadataHeaders } from './metadata.ts'
import type { S3Client } from './s3-client.ts'
import type { S3Place } from './s3-place.ts'
import { childrenOf, escapeXml, requiredCount, requiredText, textOf } from '../xml.ts'
import { contentType } from './content-type.ts'
import { endIdleSessions, endIntent, endSession, ignoreAbsent } from './sessions.ts'
import type { Intent } from './sessions.ts'
import { conditionHeaders } from './write-object.ts'
import type { Written } from './write-object.ts'

interface Upload {
  readonly uploadId: string
  readonly bucket: string
  /** UTF-8. */
  readonly key: string
  readonly partSize: number
}

interface Part extends Checksum {
  readonly number: number
  readonly etag: string
}

const mostParts = 10_000
const mebi = 2 ** 20
const longestAnswer = 4 * mebi

/** The smallest whole number of MiB, not below `wanted`, with which `size` bytes fit into 10,000 parts. */
export function partSizeFor(size: number, wanted: number): number {
  return Math.max(wanted, Math.ceil(size / mostParts / mebi) * mebi)
}

/** @throws CloudError as any change; after `offline` and the like from the completion the object may be there */
export async function uploadInParts(
  client: S3Client,
  place: S3Place,
  source: UploadSource,
  options: WriteOptions,
  signal: AbortSignal,
): Promise<Written> {
  const { upload, done } = (await resume(client, place, source, options, signal)) ?? (await begin(client, place, source, options, signal))
  const parts = await uploadParts(client, upload, source, done, options, signal)
  try {
    return { rev: await completeAsListed(client, upload, parts, source, options, signal), size: source.size }
  } catch (caught) {
    // A version that lost will not win later; its parts would lie there and cost.
    if (CloudError.from(caught).kind === 'conflict') await abandonUpload(client, JSON.stringify(upload), signal).catch(() => undefined)
    throw caught
  }
}

/** A part of a try that was cut off may arrive after ours and take its place: what is there is compared once more then. */
async function completeAsListed(
  client: S3Client,
  upload: Upload,
  parts: readonly Part[],
  source: UploadSource,
  options: WriteOptions,
  signal: AbortSignal,
): Promise<string> {
  try {
    return await complete(client, upload, parts, options, signal)
  } catch (caught) {
    const done = CloudError.from(caught).code === 'InvalidPart' ? await listParts(client, upload, source, signal) : null
    if (!done) throw caught
    return await complete(client, upload, await uploadParts(client, upload, source, done, options, signal), options, signal)
  }
}

/** Ends an upload that will not be completed. Resolves also if there is none. */
export async function abandonUpload(client: S3Client, handle: string, signal: AbortSignal): Promise<void> {
  const upload = parseHandle(handle)
  if (upload) await endSession(client, upload, signal)
  const intent = parseIntent(handle)
  if (intent) await endIntent(client, intent, signal)
}

/** Ends what was begun below the prefix and is none of `known`, if nothing was added since; gives their number. */
export function sweepUploads(
  client: S3Client,
  bucket: string,
  prefix: string,
  known: readonly string[],
  idleSince: number,
  signal: AbortSignal,
): Promise<number> {
  const ids = known.map((handle) => parseHandle(handle)?.uploadId ?? '')
  return endIdleSessions(client, bucket, prefix, new Set(ids), idleSince, signal)
}

async function begin(client: S3Client, place: S3Place, source: UploadSource, options: WriteOptions, signal: AbortSignal) {
  const { bucket, key } = place
  if (bucket === null) throw new CloudError('is-a-folder', 'the account itself is not a file')
  const crc = client.dialect.checksum === 'crc32'
  const headers = {
    ...client.settings.everyObject,
    ...metadataHeaders('file', options.posix),
    'content-type': contentType('file', key),
    ...(crc && { 'x-amz-checksum-algorithm': 'CRC32' }),
  }
  // Killed between the server's beginning and our knowing of it, the upload would be nobody's.
  const intent: Intent = { bucket, key: key.toString(), since: Date.now() }
  await options.saveHandle(JSON.stringify(intent))
  const request = { method: 'POST' as const, bucket, key, query: [['uploads', '']] as const, headers }
  const { node } = await client.xml(request, 'InitiateMultipartUploadResult', longestAnswer, signal)
  const partSize = partSizeFor(source.size, client.settings.partSize)
  const upload: Upload = { uploadId: requiredText(node, 'UploadId'), bucket, key: key.toString(), partSize }
  await options.saveHandle(JSON.stringify(upload))
  return { upload, done: new Map<number, Part>() }
}

/** Null if there is nothing to go on from. */
async function resume(client: S3Client, place: S3Place, source: UploadSource, options: WriteOptions, signal: AbortSignal) {
  const intent = options.resume === null ? null : parseIntent(options.resume)
  if (intent) await endIntent(client, intent, signal)
  const upload = options.resume === null ? null : parseHandle(options.resume)
  if (!upload || upload.bucket !== place.bucket || upload.key !== place.key.toString()) return null
  if (partSizeFor(source.size, upload.partSize) !== upload.partSize) return null
  const done = await listParts(client, upload, source, signal)
  if (done) options.onProgress(confirmedBytes(done, upload, source))
  return done && { upload, done }
}

/** The parts that the server has and that are ours. Null if the upload is gone. */
async function listParts(client: S3Client, upload: Upload, source: UploadSource, signal: AbortSignal): Promise<Map<number, Part> | null> {
  const found = new Map<number, Part>()
  for (let marker = '0'; ; ) {
    const query = [
      ['uploadId', upload.uploadId],
      ['part-number-marker', marker],
    ] as const
    const request = { method: 'GET' as const, ...target(upload), query }
    const answer = await ignoreAbsent(client.xml(request, 'ListPartsResult', longestAnswer, signal))
    if (!answer) return null
    for (const node of childrenOf(answer.node, 'Part')) {
      const number = requiredCount(node, 'PartNumber')
      const listed = { etag: requiredText(node, 'ETag'), crc32: textOf(node, 'ChecksumCRC32') }
      const part = await matchingPart(client, upload, source, number, requiredCount(node, 'Size'), listed, signal)
      if (part) found.set(number, part)
    }
    if (requiredText(answer.node, 'IsTruncated') !== 'true') return found
    const next = requiredText(answer.node, 'NextPartNumberMarker')
    if (Number(next) <= Number(marker)) throw new CloudError('garbage', 'the list of parts does not move on')
    marker = next
  }
}

/** The part as it goes into the completion, if its size and checksum are those of the local bytes. */
async function matchingPart(
  client: S3Client,
  upload: Upload,
  source: UploadSource,
  number: number,
  size: number,
  listed: { readonly etag: string; readonly crc32: string | undefined },
  signal: AbortSignal,
): Promise<Part | null> {
  const [start, end] = rangeOf(number, upload, source)
  if (size !== end - start || size === 0) return null
  // Not every server that checks a CRC32 tells it again; the ETag of a part is its MD5 almost everywhere.
  const kind = listed.crc32 === undefined ? 'md5' : client.dialect.checksum
  const ours = await sourceChecksum(kind, source, start, end, signal)
  const same =
    kind === 'crc32'
      ? ours.crc32 === listed.crc32
      : Buffer.from(ours.md5 ?? '', 'base64').toString('hex') === listed.etag.replaceAll('"', '')
  return same ? { number, etag: listed.etag, ...ours } : null
}

async function uploadParts(
  client: S3Client,
  upload: Upload,
  source: UploadSource,
  done: Map<number, Part>,
  options: WriteOptions,
  signal: AbortSignal,
): Promise<Part[]> {
  const count = Math.ceil(source.size / upload.partSize)
  const missing = Array.from({ length: count }, (_, index) => index + 1).filter((number) => !done.has(number))
  await inParallel(missing, client.settings.parallelParts, signal, async (number, either) => {
    done.set(number, await uploadPart(client, upload, source, number, either))
    options.onProgress(confirmedBytes(done, upload, source))
    await options.saveHandle(JSON.stringify(upload))
  })
  return [...done.values()].sort((a, b) => a.number - b.number)
}

async function uploadPart(client: S3Client, upload: Upload, source: UploadSource, number: number, signal: AbortSignal): Promise<Part> {
  const [start, end] = rangeOf(number, upload, source)
  const { body, length, checksum } = await checkedBody(client.dialect.checksum, source, start, end, signal)
  const headers = { ...checksumHeaders(checksum), 'content-length': String(length) }
  const query = [
    ['partNumber', String(number)],
    ['uploadId', upload.uploadId],
  ] as const
  const response = await client.head({ method: 'PUT', ...target(upload), query, headers, body }, signal)
  const etag = header(response.headers, 'etag')
  if (etag === undefined) throw new CloudError('garbage', 'the server confirmed a part without an ETag')
  return { number, etag, ...checksum }
}

async function complete(
  client: S3Client,
  upload: Upload,
  parts: readonly Part[],
  options: WriteOptions,
  signal: AbortSignal,
): Promise<string> {
  const list = parts.map(
    ({ number, etag, crc32 }) =>
      `<Part><PartNumber>${number}</PartNumber><ETag>${escapeXml(etag)}</ETag>${crc32 ? `<ChecksumCRC32>${crc32}</ChecksumCRC32>` : ''}</Part>`,
  )
  const body = Buffer.from(`<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`)
  const headers = { ...conditionHeaders(options.precondition), 'content-type': 'application/xml', 'content-length': String(body.length) }
  const request = { method: 'POST' as const, ...target(upload), query: [['uploadId', upload.uploadId]] as const, headers, body }
  for (let tries = 3; ; tries--) {
    try {
      const { node } = await client.xml(request, 'CompleteMultipartUploadResult', longestAnswer, signal)
      return requiredText(node, 'ETag')
    } catch (caught) {
      // Another request on this key was under way: nothing was decided, and the parts are still there.
      if (CloudError.from(caught).code !== 'ConditionalRequestConflict' || tries === 1) throw caught
    }
  }
}

function rangeOf(number: number, { partSize }: Upload, source: UploadSource): readonly [number, number] {
  return [(number - 1) * partSize, Math.max((number - 1) * partSize, Math.min(number * partSize, source.size))]
}

function confirmedBytes(done: ReadonlyMap<number, Part>, upload: Upload, source: UploadSource): number {
  let bytes = 0
  for (const number of done.keys()) {
    const [start, end] = rangeOf(number, upload, source)
    bytes += end - start
  }
  return bytes
}

function target(upload: Upload): S3Place & { readonly bucket: string } {
  return { bucket: upload.bucket, key: Buffer.from(upload.key) }
}

function parseHandle(handle: string): Upload | null {
  const { uploadId, bucket, key, partSize } = parseFields(handle)
  const texts = typeof uploadId === 'string' && typeof bucket === 'string' && typeof key === 'string'
  if (!texts || typeof partSize !== 'number' || !(partSize >= 5 * mebi) || !Number.isSafeInteger(partSize)) return null
  return { uploadId, bucket, key, partSize }
}

function parseIntent(handle: string): Intent | null {
  const { uploadId, bucket, key, since } = parseFields(handle)
  if (uploadId !== undefined || typeof bucket !== 'string' || typeof key !== 'string' || typeof since !== 'number') return null
  return { bucket, key, since }
}

function parseFields(handle: string): Partial<Record<keyof Upload | keyof Intent, unknown>> {
  try {
    const value: unknown = JSON.parse(handle)
    return typeof value === 'object' && value !== null ? value : {}
  } catch {
    return {}
  }
}
