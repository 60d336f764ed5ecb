/** Copies within the server: in one request up to 5 GiB, in parts above. */
import { CloudError } from '../../../common/errors.ts'
import type { Precondition } from '../connector.ts'
import { inParallel } from './in-parallel.ts'
import type { S3Client } from './s3-client.ts'
import type { S3Place } from './s3-place.ts'
import { escapeXml, requiredText } from '../xml.ts'
import { encodeKey } from './sign-v4.ts'
import { conditionHeaders } from './write-object.ts'

const gibi = 2 ** 30
export interface CopyLimits {
  /** Bytes that the server copies in one request. */
  readonly largest: number
  readonly part: number
}

const s3Limits: CopyLimits = { largest: 5 * gibi, part: gibi / 2 }
const parallelParts = 4
const longestAnswer = 2 ** 20

interface UploadTarget {
  readonly place: S3Place
  readonly uploadId: string
}

export interface CopySource {
  readonly place: S3Place
  readonly rev: string
  readonly size: number
}

/**
 * @param headers metadata and content type of the copy, complete: nothing is taken over from the source
 * @returns the rev of the copy
 * @throws CloudError `conflict` if the source is not at its rev, or the target's condition fails
 */
export async function copyObject(
  client: S3Client,
  source: CopySource,
  to: S3Place,
  headers: Readonly<Record<string, string>>,
  condition: Precondition,
  signal: AbortSignal,
  limits = s3Limits,
): Promise<string> {
  const from = {
    'x-amz-copy-source': `/${source.place.bucket ?? ''}/${encodeKey(source.place.key)}`,
    'x-amz-copy-source-if-match': source.rev,
  }
  if (source.size > limits.largest) return await copyInParts(client, source, from, to, headers, condition, limits, signal)
  const all = {
    ...client.settings.everyObject,
    ...headers,
    ...from,
    'x-amz-metadata-directive': 'REPLACE',
    ...conditionHeaders(condition),
    'content-length': '0',
  }
  const { node } = await client.xml({ method: 'PUT', ...to, headers: all }, 'CopyObjectResult', longestAnswer, signal)
  return requiredText(node, 'ETag')
}

async function copyInParts(
  client: S3Client,
  source: CopySource,
  from: Readonly<Record<string, string>>,
  to: S3Place,
  headers: Readonly<Record<string, string>>,
  condition: Precondition,
  limits: CopyLimits,
  signal: AbortSignal,
): Promise<string> {
  const begun = await client.xml(
    { method: 'POST', ...to, query: [['uploads', '']], headers: { ...client.settings.everyObject, ...headers } },
    'InitiateMultipartUploadResult',
    longestAnswer,
    signal,
  )
  const uploadId = requiredText(begun.node, 'UploadId')
  try {
    const step = Math.max(limits.part, Math.ceil(source.size / 10_000))
    const etags = await copyParts(client, source, from, { place: to, uploadId }, step, signal)
    const list = etags.map((etag, index) => `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXml(etag)}</ETag></Part>`)
    const body = Buffer.from(`<CompleteMultipartUpload>${list.join('')}</CompleteMultipartUpload>`)
    const all = { ...conditionHeaders(condition), 'content-type': 'application/xml', 'content-length': String(body.length) }
    const request = { method: 'POST' as const, ...to, query: [['uploadId', uploadId]] as const, headers: all, body }
    const { node } = await client.xml(request, 'CompleteMultipartUploadResult', longestAnswer, signal)
    return requiredText(node, 'ETag')
  } catch (caught) {
    const error = CloudError.from(caught)
    // A completion whose answer was lost may have worked, and aborting then does nothing.
    await client.head({ method: 'DELETE', ...to, query: [['uploadId', uploadId]] }, AbortSignal.timeout(15_000)).catch(() => undefined)
    throw error
  }
}

async function copyParts(
  client: S3Client,
  { size }: CopySource,
  from: Readonly<Record<string, string>>,
  target: UploadTarget,
  step: number,
  signal: AbortSignal,
): Promise<string[]> {
  const etags: string[] = []
  const indexes = Array.from({ length: Math.ceil(size / step) }, (_, index) => index)
  await inParallel(indexes, parallelParts, signal, async (index, either) => {
    const range = `bytes=${index * step}-${Math.min((index + 1) * step, size) - 1}`
    const headers = { ...from, 'x-amz-copy-source-range': range, 'content-length': '0' }
    const query = [
      ['partNumber', String(index + 1)],
      ['uploadId', target.uploadId],
    ] as const
    const { node } = await client.xml({ method: 'PUT', ...target.place, query, headers }, 'CopyPartResult', longestAnswer, either)
    etags[index] = requiredText(node, 'ETag')
  })
  return etags
}
