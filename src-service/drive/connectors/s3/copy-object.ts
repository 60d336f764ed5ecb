/** Copies within the server: in one request up to 5 GiB, in parts above. */
import { CloudError } from '../../../common/errors.ts'
import type { Precondition } from '../connector.ts'
import type { S3Client } from './s3-client.ts'
import type { S3Place } from './s3-place.ts'
import { escapeXml, requiredText } from './s3-xml.ts'
import { encodeKey } from './sign-v4.ts'
import { conditionHeaders } from './write-object.ts'

const gibi = 2 ** 30
const largestCopy = 5 * gibi
const partSize = gibi / 2
const parallelParts = 4
const longestAnswer = 2 ** 20

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
): Promise<string> {
  const from = {
    'x-amz-copy-source': `/${source.place.bucket ?? ''}/${encodeKey(source.place.key)}`,
    'x-amz-copy-source-if-match': source.rev,
  }
  if (source.size > largestCopy) return await copyInParts(client, source, from, to, headers, condition, signal)
  const all = { ...headers, ...from, 'x-amz-metadata-directive': 'REPLACE', ...conditionHeaders(condition), 'content-length': '0' }
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
  signal: AbortSignal,
): Promise<string> {
  const begun = await client.xml(
    { method: 'POST', ...to, query: [['uploads', '']], headers },
    'InitiateMultipartUploadResult',
    longestAnswer,
    signal,
  )
  const uploadId = requiredText(begun.node, 'UploadId')
  try {
    const etags = await copyParts(client, source.size, from, to, uploadId, signal)
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
  size: number,
  from: Readonly<Record<string, string>>,
  to: S3Place,
  uploadId: string,
  signal: AbortSignal,
): Promise<string[]> {
  const step = Math.max(partSize, Math.ceil(size / 10_000))
  const starts = Array.from({ length: Math.ceil(size / step) }, (_, index) => index * step)
  const etags: string[] = []
  let next = 0
  const worker = async () => {
    for (let index = next++; index < starts.length; index = next++) {
      const start = index * step
      const headers = { ...from, 'x-amz-copy-source-range': `bytes=${start}-${Math.min(start + step, size) - 1}`, 'content-length': '0' }
      const query = [
        ['partNumber', String(index + 1)],
        ['uploadId', uploadId],
      ] as const
      const { node } = await client.xml({ method: 'PUT', ...to, query, headers }, 'CopyPartResult', longestAnswer, signal)
      etags[index] = requiredText(node, 'ETag')
    }
  }
  await Promise.all(Array.from({ length: parallelParts }, worker))
  return etags
}
