/** Object storage that speaks S3. Folders are prefixes; an empty one is a marker object whose key ends in a slash. */
import type { CapabilityCheck } from '../../../common/drive-state.ts'
import { CloudError } from '../../../common/errors.ts'
import type {
  Capabilities,
  Connector,
  ConnectorContext,
  ListPage,
  PosixAttributes,
  Precondition,
  RemoteEntry,
  RemotePlace,
  RemoteType,
  UploadSource,
  Usage,
  WriteOptions,
} from '../connector.ts'
import { timeOfMs } from '../posix-mode.ts'
import { createBucket, listBuckets, removeBucket } from './buckets.ts'
import { Conditions, keepsConditions } from './conditions.ts'
import { copyObject } from './copy-object.ts'
import { s3Descriptor } from './descriptor.ts'
import { hasChildren, listObjects } from './list-objects.ts'
import { foreignHeaders, metadataHeaders } from './metadata.ts'
import { abandonUpload, sweepUploads, uploadInParts } from './multipart.ts'
import { readObject } from './read-object.ts'
import { noKey, S3Client } from './s3-client.ts'
import { KnownServer } from './known-server.ts'
import { folderKey, s3PlaceOf } from './s3-place.ts'
import type { S3Place } from './s3-place.ts'
import { Removals } from './remove-objects.ts'
import { resolveSettings } from './settings.ts'
import { describeObject, headFolder, headObject } from './stat-object.ts'
import type { Described } from './stat-object.ts'
import { bufferSource, conditionHeaders, putObject } from './write-object.ts'
import type { Written } from './write-object.ts'

export class S3Connector implements Connector {
  readonly type = 's3'
  readonly #client: S3Client
  readonly #conditions: Conditions
  readonly #server: KnownServer
  readonly #removals: Removals

  /** @throws CloudError `invalid` for options that lead nowhere */
  constructor(context: ConnectorContext) {
    this.#client = new S3Client(resolveSettings(context), context.onRequest)
    this.#conditions = new Conditions(this.#client)
    this.#server = new KnownServer(this.#client, context)
    this.#removals = new Removals(this.#client)
  }

  get capabilities(): Capabilities {
    const { dialect } = this.#client
    const { capabilities } = s3Descriptor
    return {
      ...capabilities,
      conditionalWrite: keepsConditions(dialect) ? 'server' : 'checked',
      conditionalRemove: dialect.conditionalDelete === 'yes' ? 'server' : 'checked',
      posix: { ...capabilities.posix, inListings: dialect.listsMetadata },
      names: { ...capabilities.names, maxBytes: dialect.maxNameBytes },
    }
  }

  async check(signal: AbortSignal): Promise<void> {
    const { bucket, prefix } = this.#client.settings
    try {
      if (bucket === null) await listBuckets(this.#client, signal).next()
      else await hasChildren(this.#client, bucket, Buffer.from(prefix), signal)
    } catch (caught) {
      const error = CloudError.from(caught)
      if (error.code !== 'NoSuchBucket') throw error
      throw new CloudError('not-found', error.message, {
        cause: error,
        code: 'NoSuchBucket',
        ...(error.hint !== undefined && { hint: error.hint }),
      })
    }
  }

  list(folder: RemotePlace, signal: AbortSignal): AsyncIterable<ListPage> {
    const { bucket, key } = s3PlaceOf(this.#client, folder)
    if (bucket === null) return listBuckets(this.#client, signal)
    return listObjects(this.#client, bucket, key, folder.path.length === 0 || key.length === 0, signal)
  }

  async stat(place: RemotePlace, type: 'file' | 'folder' | 'any', signal: AbortSignal): Promise<RemoteEntry | null> {
    const where = s3PlaceOf(this.#client, place)
    const name = place.path.at(-1) ?? Buffer.from('/')
    if (where.key.length === 0 || place.path.length === 0) return type === 'file' ? null : await this.#statRoot(where, place, name, signal)
    const file = type === 'folder' ? null : await headObject(this.#client, where, name, signal)
    if (file || type === 'file') return file
    return await headFolder(this.#client, where, name, signal)
  }

  read(place: RemotePlace, start: number, end: number, rev: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return readObject(this.#client, this.#object(place), start, end, rev, signal)
  }

  async write(
    place: RemotePlace,
    type: RemoteType,
    source: UploadSource,
    options: WriteOptions,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    if (type === 'folder') throw new CloudError('invalid', 'a folder is not written but made')
    const where = this.#object(place)
    const contents = contentsOf(type, source, options.posix)
    const inParts = contents.size > this.#client.settings.partSize
    await this.#server.beforeChange()
    const written = await this.#conditions.forPut(where, options.precondition, inParts, signal, (precondition) =>
      inParts
        ? uploadInParts(this.#client, where, contents, { ...options, precondition }, signal)
        : putObject(this.#client, where, type, contents, { ...options, precondition }, signal),
    )
    if (!inParts) options.onProgress(written.size)
    return entryOf(place, type, type === 'file' ? written : { ...written, size: 0 }, options.posix)
  }

  async makeFolder(place: RemotePlace, posix: PosixAttributes, signal: AbortSignal): Promise<RemoteEntry> {
    const where = s3PlaceOf(this.#client, place)
    if (where.bucket !== null && where.key.length === 0) {
      await createBucket(this.#client, where.bucket, signal)
      return entryOf(place, 'folder', { rev: 'folder', size: 0 }, {})
    }
    if (await this.stat(place, 'any', signal)) throw new CloudError('exists', 'the name is taken')
    return entryOf(place, 'folder', await this.#putMarker(where, posix, { kind: 'absent' }, signal), posix)
  }

  async remove(place: RemotePlace, type: RemoteType, precondition: Precondition, signal: AbortSignal): Promise<void> {
    const where = s3PlaceOf(this.#client, place)
    if (type === 'folder') {
      await this.#removeFolder(where, signal)
      return
    }
    await this.#removeObject(this.#object(place), precondition, signal)
  }

  async move(
    from: RemotePlace,
    to: RemotePlace,
    type: RemoteType,
    precondition: Precondition,
    replace: Precondition | null,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    if (type === 'folder') throw new CloudError('unsupported', 'folders of object storage are moved object by object')
    const source = this.#object(from)
    const described = await this.#describe(source, from, signal)
    const found = described.entry
    if (precondition.kind === 'rev' && precondition.rev !== found.rev) throw new CloudError('conflict', 'the object was changed meanwhile')
    const moved = await this.#copy(source, described, to, found.posix, replace ?? { kind: 'absent' }, signal).catch(
      async (caught: unknown) => {
        const taken =
          !replace && CloudError.from(caught).kind === 'conflict' && (await headObject(this.#client, this.#object(to), noKey, signal))
        throw taken ? new CloudError('exists', 'the name is taken', { cause: caught }) : caught
      },
    )
    try {
      await this.#removeObject(source, { kind: 'rev', rev: found.rev }, signal)
    } catch (caught) {
      // Not simply to be repeated: the copy is there already.
      throw new CloudError('unavailable', 'the object was copied, but its old name could not be removed', { cause: caught })
    }
    return moved
  }

  async copy(
    from: RemotePlace,
    to: RemotePlace,
    rev: string,
    posix: PosixAttributes,
    target: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    const source = this.#object(from)
    const described = await this.#describe(source, from, signal)
    if (described.entry.rev !== rev) throw new CloudError('conflict', 'the object was changed meanwhile')
    return await this.#copy(source, described, to, posix, target, signal)
  }

  async setAttributes(
    place: RemotePlace,
    type: RemoteType,
    posix: PosixAttributes,
    precondition: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    const where = s3PlaceOf(this.#client, place)
    if (where.key.length === 0) throw new CloudError('unsupported', 'a bucket has no attributes')
    const described = type === 'folder' ? null : await this.#describe(where, place, signal)
    const found = described ? described.entry : await this.stat(place, 'folder', signal)
    if (!found) throw new CloudError('not-found', 'the object does not exist')
    if (precondition.kind === 'absent' || (precondition.kind === 'rev' && precondition.rev !== found.rev)) {
      throw new CloudError('conflict', 'the object was changed meanwhile')
    }
    const all = { ...found.posix, ...posix }
    if (described) return await this.#copy(where, described, place, all, { kind: 'any' }, signal)
    return entryOf(place, 'folder', await this.#putMarker(where, all, { kind: 'any' }, signal), all)
  }

  async abandon(handle: string, signal: AbortSignal): Promise<void> {
    await abandonUpload(this.#client, handle, signal)
  }

  async sweep(known: readonly string[], idleSince: number, signal: AbortSignal): Promise<number> {
    const { bucket, key } = s3PlaceOf(this.#client, { path: [], id: null, parentId: null })
    if (bucket !== null) return sweepUploads(this.#client, bucket, folderKey(key).toString(), known, idleSince, signal)
    let ended = 0
    for await (const page of listBuckets(this.#client, signal)) {
      for (const { name } of page.entries) ended += await sweepUploads(this.#client, name.toString(), '', known, idleSince, signal)
    }
    return ended
  }

  async usage(): Promise<Usage> {
    return { total: null, used: null, free: null }
  }

  get sheet(): readonly CapabilityCheck[] {
    return this.#server.checks
  }

  async measure(write: boolean, signal: AbortSignal): Promise<readonly CapabilityCheck[]> {
    return write ? await this.#server.measure(signal) : []
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  #object(place: RemotePlace): S3Place {
    const where = s3PlaceOf(this.#client, place)
    if (place.path.length === 0 || where.key.length === 0) throw new CloudError('is-a-folder', 'a bucket is not a file')
    return where
  }

  async #statRoot(where: S3Place, place: RemotePlace, name: Buffer, signal: AbortSignal): Promise<RemoteEntry | null> {
    const found = await headFolder(this.#client, where, name, signal)
    // A prefix is there as soon as it is used.
    return found ?? (place.path.length === 0 ? entryOf(place, 'folder', { rev: 'folder', size: 0 }, {}) : null)
  }

  async #putMarker({ bucket, key }: S3Place, posix: PosixAttributes, precondition: Precondition, signal: AbortSignal): Promise<Written> {
    const marker = { bucket, key: folderKey(key) }
    await this.#server.beforeChange()
    try {
      return await this.#conditions.forPut(marker, precondition, false, signal, (left) =>
        putObject(this.#client, marker, 'folder', bufferSource(noKey), { posix, precondition: left }, signal),
      )
    } catch (caught) {
      const error = CloudError.from(caught)
      throw error.kind === 'conflict' ? new CloudError('exists', 'the name is taken', { cause: caught }) : error
    }
  }

  async #removeFolder({ bucket, key }: S3Place, signal: AbortSignal): Promise<void> {
    if (bucket === null) throw new CloudError('permission', 'the list of buckets cannot be removed')
    if (key.length === 0) {
      await removeBucket(this.#client, bucket, signal)
      return
    }
    const below = await hasChildren(this.#client, bucket, key, signal)
    if (below === 'children') throw new CloudError('not-empty', 'the folder is not empty')
    if (below === 'marker') await this.#removals.remove(bucket, folderKey(key), signal)
  }

  async #removeObject(where: S3Place, precondition: Precondition, signal: AbortSignal): Promise<void> {
    await this.#server.beforeChange()
    try {
      await this.#conditions.run(this.#client.dialect.conditionalDelete, where, precondition, signal, async (left) => {
        if (left.kind !== 'rev' && where.bucket !== null) await this.#removals.remove(where.bucket, where.key, signal)
        else await this.#client.head({ method: 'DELETE', ...where, headers: conditionHeaders(left) }, signal)
      })
    } catch (caught) {
      // What is gone already is removed; no server says so when it is asked with a condition.
      const gone = CloudError.from(caught).kind === 'conflict' && !(await headObject(this.#client, where, noKey, signal))
      if (!gone) throw caught
    }
  }

  /** @throws CloudError `not-found` */
  async #describe(where: S3Place, place: RemotePlace, signal: AbortSignal): Promise<Described> {
    const described = await describeObject(this.#client, where, place.path.at(-1) ?? noKey, signal)
    if (!described) throw new CloudError('not-found', 'the object does not exist')
    return described
  }

  /** Copies to `to` with `posix` and with what others said about the source. */
  async #copy(
    source: S3Place,
    { entry: found, headers: described }: Described,
    to: RemotePlace,
    posix: PosixAttributes,
    condition: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    const target = this.#object(to)
    await this.#server.beforeChange()
    const { conditionalCopy } = this.#client.dialect
    const headers = { ...foreignHeaders(described), ...metadataHeaders(found.type, posix) }
    const rev = await this.#conditions.run(conditionalCopy, target, condition, signal, (left) =>
      copyObject(this.#client, { place: source, rev: found.rev, size: found.size }, target, headers, left, signal),
    )
    return entryOf(to, found.type, { rev, size: found.size }, posix)
  }
}

function contentsOf(type: RemoteType, source: UploadSource, posix: PosixAttributes): UploadSource {
  if (type === 'file') return source
  if (type !== 'symlink') return bufferSource(noKey)
  if (!posix.target) throw new CloudError('invalid', 'a symlink needs a target')
  return bufferSource(posix.target)
}

/** The server's own time of the change is only known to the next listing. */
function entryOf(place: RemotePlace, type: RemoteType, { rev, size }: Written, posix: PosixAttributes): RemoteEntry {
  return { name: place.path.at(-1) ?? Buffer.from('/'), type, size, mtime: timeOfMs(Date.now()), rev, id: null, posix }
}
