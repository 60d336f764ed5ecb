import { setTimeout as sleep } from 'node:timers/promises'
import { CloudError } from '../../../common/errors.ts'
import type { PosixAttributes, Precondition, RemoteEntry, RemotePlace, UploadSource } from '../connector.ts'
import { header } from '../http.ts'
import { timeOfMs } from '../posix-mode.ts'
import type { DavClient } from './dav-client.ts'
import { pathOf } from './dav-place.ts'
import { entryOf, find } from './find.ts'
import { strongEtag } from './multistatus.ts'

/** Bytes read from the local disk and sent at once. */
const sliceSize = 512 * 1024

/** One PUT, and a look at what has become of it where the answer does not say. @throws CloudError `conflict` */
export async function putFile(
  client: DavClient,
  place: RemotePlace,
  source: UploadSource,
  posix: PosixAttributes,
  conditions: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<RemoteEntry> {
  const { base, dialect } = client.settings
  const headers: Record<string, string> = {
    ...conditions,
    'content-type': 'application/octet-stream',
    'content-length': String(source.size),
    ...(dialect.keepsMtime && posix.mtime && { 'x-oc-mtime': String(posix.mtime.sec) }),
  }
  const body = source.size === 0 ? Buffer.alloc(0) : () => slices(source, signal)
  const response = await client.head({ method: 'PUT', path: pathOf(base, place, 'file'), headers, body }, signal)
  const name = place.path.at(-1) ?? Buffer.from('/')
  const rev = strongEtag(header(response.headers, 'etag'))
  if (rev !== null) {
    const kept = dialect.keepsMtime && header(response.headers, 'x-oc-mtime')?.toLowerCase() === 'accepted' && posix.mtime
    const mtime = kept ? { sec: kept.sec, nsec: 0 } : timeOfMs(Date.now())
    return { name, type: 'file', size: source.size, mtime, rev, id: null, posix: kept ? { mtime } : {} }
  }
  const fact = await find(client, place, signal)
  if (!fact || fact.collection || fact.size !== source.size) {
    throw new CloudError('conflict', 'somebody else changed the file at the same moment')
  }
  return entryOf(name, fact, dialect.keepsMtime)
}

/**
 * The same, but never with the version it replaced: where a version is its second and its size, two of one size in one second look alike, and
 * others would go on reading the old one. The later one is sent again, a second later.
 */
export async function putNewVersion(
  put: (precondition: Precondition) => Promise<RemoteEntry>,
  precondition: Precondition,
  signal: AbortSignal,
): Promise<RemoteEntry> {
  const first = await put(precondition)
  if (precondition.kind !== 'rev' || first.rev !== precondition.rev || first.size === 0) return first
  await sleep(1000 - (Date.now() % 1000) + 50, undefined, { signal })
  return await put({ kind: 'rev', rev: first.rev })
}

async function* slices(source: UploadSource, signal: AbortSignal): AsyncGenerator<Buffer> {
  for (let position = 0; position < source.size; position += sliceSize) {
    yield await source.read(position, Math.min(position + sliceSize, source.size), signal)
  }
}
