/** One level of keys as a folder. */
import { CloudError } from '../../../common/errors.ts'
import type { ListPage, RemoteEntry } from '../connector.ts'
import { timeOfMs } from '../posix-mode.ts'
import type { PageIterator } from '../wrap-connector.ts'
import { posixOfMetadata, typeOfMetadata } from './metadata.ts'
import type { Metadata } from './metadata.ts'
import { isMeasuring } from './measuring-name.ts'
import type { S3Client, S3Request } from './s3-client.ts'
import { folderKey, isShowable } from './s3-place.ts'
import { childOf, childrenOf, decodeEntities, requiredCount, requiredText, textOf } from '../xml.ts'
import type { XmlNode } from '../xml.ts'

/** A page of 1,000 keys of 1,024 bytes, percent-encoded, with metadata, is below this. */
const longestPage = 16 * 2 ** 20

/** What a page of a listing says besides its entries. */
interface KeyPage extends ListPage {
  /** The folder has a marker object. */
  readonly marker: boolean
  readonly next: string | null
}

/**
 * The folder at `key`, page by page; a failed page may be asked for again.
 * @throws CloudError `not-found` if there is nothing below `key/`, except for a bucket's or the mount's root
 */
export function listObjects(client: S3Client, bucket: string, key: Buffer, mayBeEmpty: boolean, signal: AbortSignal): PageIterator {
  let token: string | null = ''
  let found = mayBeEmpty
  const iterator: PageIterator = {
    repeatable: true,
    async next() {
      if (token === null) return { done: true, value: undefined }
      const page: KeyPage = await fetchPage(client, bucket, key, token, signal)
      if (page.next !== null && page.next === token) throw new CloudError('garbage', 'the listing does not move on')
      found ||= page.marker || page.entries.length + page.hidden.length > 0
      if (page.next === null && !found) throw new CloudError('not-found', 'the folder does not exist')
      token = page.next
      return { done: false, value: page }
    },
    [Symbol.asyncIterator]: () => iterator,
  }
  return iterator
}

async function fetchPage(client: S3Client, bucket: string, key: Buffer, token: string, signal: AbortSignal): Promise<KeyPage> {
  const prefix = folderKey(key)
  const { node } = await client.xml(
    {
      method: 'GET',
      bucket,
      key: Buffer.alloc(0),
      query: [
        ['list-type', '2'],
        ['delimiter', '/'],
        ['encoding-type', 'url'],
        ['prefix', prefix.toString()],
        ...(token === '' ? [] : [['continuation-token', token] as const]),
        ...(client.dialect.listsMetadata ? [['metadata', 'true'] as const] : []),
      ],
    },
    'ListBucketResult',
    longestPage,
    signal,
  )
  return readPage(node, prefix)
}

/** Exported for its tests. */
export function readPage(node: XmlNode, prefix: Buffer): KeyPage {
  const decode = textOf(node, 'EncodingType') === 'url' ? decodeUrl : (text: string) => Buffer.from(text)
  const entries: RemoteEntry[] = []
  const hidden: string[] = []
  let marker = false
  const nameOf = (encoded: string, end: number): Buffer => {
    const full = decode(encoded)
    if (!full.subarray(0, prefix.length).equals(prefix)) throw new CloudError('garbage', 'the listing is of another folder')
    return full.subarray(prefix.length, full.length - end)
  }
  for (const common of childrenOf(node, 'CommonPrefixes')) {
    const name = nameOf(requiredText(common, 'Prefix'), 1)
    if (isShowable(name)) entries.push(folderEntry(name))
    else hidden.push(decode(requiredText(common, 'Prefix')).toString())
  }
  for (const object of childrenOf(node, 'Contents')) {
    const name = nameOf(requiredText(object, 'Key'), 0)
    if (name.length === 0 && prefix.length > 0) marker = true
    else if (isMeasuring(name)) continue
    else if (isShowable(name)) entries.push(objectEntry(name, object))
    else hidden.push(decode(requiredText(object, 'Key')).toString())
  }
  return { entries, hidden, marker, next: nextToken(node) }
}

function nextToken(node: XmlNode): string | null {
  if (requiredText(node, 'IsTruncated') !== 'true') return null
  return requiredText(node, 'NextContinuationToken')
}

/** A folder that is no more than a prefix of other keys. */
export function folderEntry(name: Buffer): RemoteEntry {
  return { name, type: 'folder', size: 0, mtime: { sec: 0, nsec: 0 }, rev: 'folder', id: null, posix: {} }
}

function objectEntry(name: Buffer, object: XmlNode): RemoteEntry {
  const modified = Date.parse(requiredText(object, 'LastModified'))
  if (Number.isNaN(modified)) throw new CloudError('garbage', 'a listing with a time that is none')
  const metadata = listedMetadata(object)
  const type = typeOfMetadata(metadata, 'file')
  const size = requiredCount(object, 'Size')
  return {
    name,
    type,
    size: type === 'file' ? size : 0,
    mtime: timeOfMs(modified),
    rev: requiredText(object, 'ETag'),
    id: null,
    posix: posixOfMetadata(metadata),
  }
}

/** MinIO writes the names of headers as tags, in its own case. */
function listedMetadata(object: XmlNode): Metadata {
  const listed = childOf(object, 'UserMetadata')
  if (!listed) return () => undefined
  const byName = new Map(listed.children.map((child) => [child.name.toLowerCase(), child.text]))
  return (name) => {
    const text = byName.get(`x-amz-meta-${name}`)
    return text === undefined ? undefined : decodeEntities(text)
  }
}

/** Bytes of a percent-encoded key; some servers write a space as `+`. @throws CloudError `garbage` */
export function decodeUrl(text: string): Buffer {
  if (!/[%+]/.test(text)) return Buffer.from(text)
  if (/%(?![0-9A-Fa-f]{2})/.test(text)) throw new CloudError('garbage', 'a listing with a badly encoded key')
  const spaced = text.replace(/\+/g, ' ')
  return Buffer.from(
    spaced.replace(/[^%]+|%../g, (part) => (part.startsWith('%') ? String.fromCharCode(parseInt(part.slice(1), 16)) : utf8AsLatin1(part))),
    'latin1',
  )
}

function utf8AsLatin1(text: string): string {
  return Buffer.from(text).toString('latin1')
}

/** True if anything but the marker is below `key/`. */
export async function hasChildren(
  client: S3Client,
  bucket: string,
  key: Buffer,
  signal: AbortSignal,
): Promise<'none' | 'marker' | 'children'> {
  const prefix = folderKey(key)
  const request: S3Request = {
    method: 'GET',
    bucket,
    key: Buffer.alloc(0),
    query: [
      ['list-type', '2'],
      ['max-keys', '2'],
      ['encoding-type', 'url'],
      ['prefix', prefix.toString()],
    ],
  }
  const { node } = await client.xml(request, 'ListBucketResult', longestPage, signal)
  const decode = textOf(node, 'EncodingType') === 'url' ? decodeUrl : (text: string) => Buffer.from(text)
  const keys = childrenOf(node, 'Contents').map((object) => decode(requiredText(object, 'Key')))
  if (keys.some((found) => !found.equals(prefix))) return 'children'
  return keys.length > 0 ? 'marker' : 'none'
}
