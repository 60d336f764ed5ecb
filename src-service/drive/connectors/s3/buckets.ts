/** The buckets of an account as folders. */
import { CloudError } from '../../../common/errors.ts'
import type { ListPage } from '../connector.ts'
import type { PageIterator } from '../wrap-connector.ts'
import { folderEntry } from './list-objects.ts'
import { noKey } from './s3-client.ts'
import type { S3Client } from './s3-client.ts'
import { childOf, childrenOf, escapeXml, requiredText, textOf } from '../xml.ts'

const longestList = 4 * 2 ** 20

export function listBuckets(client: S3Client, signal: AbortSignal): PageIterator {
  let token: string | null = ''
  const iterator: PageIterator = {
    repeatable: true,
    async next() {
      if (token === null) return { done: true, value: undefined }
      const query = token === '' ? [] : [['continuation-token', token] as const]
      const { node } = await client.xml({ method: 'GET', bucket: null, key: noKey, query }, 'ListAllMyBucketsResult', longestList, signal)
      token = textOf(node, 'ContinuationToken') ?? null
      const buckets = childrenOf(childOf(node, 'Buckets') ?? node, 'Bucket')
      const page: ListPage = { entries: buckets.map((bucket) => folderEntry(Buffer.from(requiredText(bucket, 'Name')))), hidden: [] }
      return { done: false, value: page }
    },
    [Symbol.asyncIterator]: () => iterator,
  }
  return iterator
}

/** @throws CloudError `name-invalid`, `exists`, `access` */
export async function createBucket(client: S3Client, bucket: string, signal: AbortSignal): Promise<void> {
  if (!/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/.test(bucket)) {
    throw new CloudError('name-invalid', 'a bucket name has 3 to 63 lower-case letters, digits, dots and hyphens')
  }
  const { region } = client.settings
  const location = `<CreateBucketConfiguration><LocationConstraint>${escapeXml(region)}</LocationConstraint></CreateBucketConfiguration>`
  const body = Buffer.from(region === 'us-east-1' ? '' : location)
  await client.head({ method: 'PUT', bucket, key: noKey, headers: { 'content-length': String(body.length) }, body }, signal)
}

/** @throws CloudError `not-empty`, `access` */
export async function removeBucket(client: S3Client, bucket: string, signal: AbortSignal): Promise<void> {
  try {
    await client.head({ method: 'DELETE', bucket, key: noKey }, signal)
  } catch (caught) {
    if (CloudError.from(caught).code !== 'NoSuchBucket') throw caught
  }
}
