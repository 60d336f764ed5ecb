/** Uploads: one PUT for small contents, parts for large ones. */
import { CloudError } from '../../../common/errors.ts'
import type { Precondition, RemoteType, UploadSource, WriteOptions } from '../connector.ts'
import { header } from '../http.ts'
import { contentType } from './content-type.ts'
import { checkedBody, checksumHeaders } from './checksum.ts'
import { metadataHeaders } from './metadata.ts'
import type { S3Client } from './s3-client.ts'
import type { S3Place } from './s3-place.ts'

/** The confirmed version. */
export interface Written {
  readonly rev: string
  readonly size: number
}

/** Contents in one request, on the condition that the server checks. */
export async function putObject(
  client: S3Client,
  { bucket, key }: S3Place,
  type: RemoteType,
  source: UploadSource,
  options: Pick<WriteOptions, 'precondition' | 'posix'>,
  signal: AbortSignal,
): Promise<Written> {
  const { body, length, checksum } = await checkedBody(client.dialect.checksum, source, 0, source.size, signal)
  const headers = {
    ...client.settings.everyObject,
    ...metadataHeaders(type, options.posix),
    ...conditionHeaders(options.precondition),
    ...checksumHeaders(checksum),
    'content-type': contentType(type, key),
    'content-length': String(length),
  }
  const response = await client.head({ method: 'PUT', bucket, key, headers, body }, signal)
  const rev = header(response.headers, 'etag')
  if (rev === undefined) throw new CloudError('garbage', 'the server confirmed an upload without an ETag')
  return { rev, size: length }
}

export function conditionHeaders(precondition: Precondition): Record<string, string> {
  switch (precondition.kind) {
    case 'absent':
      return { 'if-none-match': '*' }
    case 'rev':
      return { 'if-match': precondition.rev }
    case 'any':
      return {}
  }
}

/** Contents that are already in memory. */
export function bufferSource(contents: Buffer): UploadSource {
  return { size: contents.length, read: async (start, end) => contents.subarray(start, end) }
}
