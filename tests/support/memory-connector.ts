/**
 * A cloud in memory that keeps every rule of the contract, strictly: atomic conditions, whole listings, versions that are
 * checked. Made for tests of what stands on connectors.
 */
import { setImmediate as turn } from 'node:timers/promises'
import { CloudError } from '../../src-service/common/errors.ts'
import type {
  Capabilities,
  Connector,
  ListPage,
  PosixAttributes,
  Precondition,
  RemoteEntry,
  RemotePlace,
  RemoteType,
  UploadSource,
  Usage,
  WriteOptions,
} from '../../src-service/drive/connectors/connector.ts'
import { MemoryCloud } from './memory-cloud.ts'
import type { MemoryObject } from './memory-cloud.ts'

const mebi = 2 ** 20

const memoryCapabilities: Capabilities = {
  conditionalWrite: 'server',
  conditionalRemove: 'server',
  rangeRead: true,
  resumableWrite: true,
  move: 'tree',
  atomicMove: true,
  copy: true,
  realFolders: true,
  hash: 'none',
  changeFeed: false,
  posix: {
    mode: true,
    owner: true,
    mtime: true,
    symlinks: true,
    specialNodes: true,
    xattrs: true,
    setAttributes: true,
    inListings: true,
  },
  names: { caseSensitive: true, unicode: 'bytes', maxBytes: 255, maxPathBytes: 4096, forbidden: '', trimsTrailing: false },
  mtimePrecisionNs: 1,
  quota: true,
  maxFileSize: 64 * mebi,
  parallelism: 4,
}

const pageSize = 100
const partSize = 5 * mebi
const chunkSize = 64 * 1024

export class MemoryConnector implements Connector {
  readonly type = 'memory'
  readonly cloud: MemoryCloud
  readonly capabilities: Capabilities

  constructor(cloud = new MemoryCloud()) {
    this.cloud = cloud
    this.capabilities = memoryCapabilities
  }

  async check(signal: AbortSignal): Promise<void> {
    await travel(signal)
  }

  async *list(folder: RemotePlace, signal: AbortSignal): AsyncIterable<ListPage> {
    await travel(signal)
    const path = pathOf(folder)
    this.#folder(path)
    const children = this.cloud.children(path)
    for (let start = 0; start === 0 || start < children.length; start += pageSize) {
      if (start > 0) await travel(signal)
      const entries = children.slice(start, start + pageSize).flatMap((child) => {
        const object = this.cloud.objects.get(child)
        return object ? [this.cloud.entry(child, object)] : []
      })
      yield { entries, hidden: [] }
    }
  }

  async stat(place: RemotePlace, type: 'file' | 'folder' | 'any', signal: AbortSignal): Promise<RemoteEntry | null> {
    await travel(signal)
    const path = pathOf(place)
    const object = this.cloud.objects.get(path)
    if (!object || (type !== 'any' && (object.type === 'folder') !== (type === 'folder'))) return null
    return this.cloud.entry(path, object)
  }

  async *read(place: RemotePlace, start: number, end: number, rev: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    await travel(signal)
    const { contents, ...object } = this.#object(pathOf(place))
    if (object.type === 'folder') throw new CloudError('is-a-folder', 'a folder has no contents')
    if (object.rev !== rev) throw new CloudError('conflict', 'the object was changed meanwhile')
    if (end > contents.length) throw new CloudError('invalid', 'the range ends behind the end of the file')
    for (let position = start; position < end; position += chunkSize) {
      await travel(signal)
      yield Buffer.from(contents.subarray(position, Math.min(position + chunkSize, end)))
    }
  }

  async write(
    place: RemotePlace,
    type: RemoteType,
    source: UploadSource,
    options: WriteOptions,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    await travel(signal)
    const path = pathOf(place)
    if (type === 'folder') throw new CloudError('invalid', 'a folder is not written but made')
    if (type === 'symlink' && !options.posix.target) throw new CloudError('invalid', 'a symlink needs a target')
    if (source.size > this.capabilities.maxFileSize) throw new CloudError('too-large', 'the file is too large')
    this.cloud.requireParent(path)
    this.cloud.require(path, options.precondition)
    const contents = type === 'file' ? await this.#receive(path, source, options, signal) : Buffer.alloc(0)
    await travel(signal)
    this.cloud.requireParent(path)
    this.cloud.require(path, options.precondition)
    if (this.cloud.objects.get(path)?.type === 'folder') throw new CloudError('is-a-folder', 'a folder has this name')
    return this.cloud.entry(path, this.cloud.store(path, type, contents, options.posix))
  }

  async makeFolder(place: RemotePlace, posix: PosixAttributes, signal: AbortSignal): Promise<RemoteEntry> {
    await travel(signal)
    const path = pathOf(place)
    this.cloud.requireParent(path)
    if (this.cloud.objects.has(path)) throw new CloudError('exists', 'the name is taken')
    return this.cloud.entry(path, this.cloud.store(path, 'folder', Buffer.alloc(0), posix))
  }

  async remove(place: RemotePlace, type: RemoteType, precondition: Precondition, signal: AbortSignal): Promise<void> {
    await travel(signal)
    const path = pathOf(place)
    const object = this.cloud.objects.get(path)
    if (!object) return
    this.cloud.require(path, precondition)
    if (type === 'folder' && object.type !== 'folder') throw new CloudError('not-a-folder', 'the object is no folder')
    if (type !== 'folder' && object.type === 'folder') throw new CloudError('is-a-folder', 'the object is a folder')
    if (this.cloud.children(path).length > 0) throw new CloudError('not-empty', 'the folder is not empty')
    this.cloud.objects.delete(path)
  }

  async move(
    from: RemotePlace,
    to: RemotePlace,
    _type: RemoteType,
    precondition: Precondition,
    replace: Precondition | null,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    await travel(signal)
    const [source, target] = [pathOf(from), pathOf(to)]
    const object = this.#object(source)
    this.cloud.require(source, precondition)
    this.cloud.requireParent(target)
    if (target.startsWith(`${source}/`)) throw new CloudError('invalid', 'a folder cannot be moved into itself')
    if (!replace && this.cloud.objects.has(target)) throw new CloudError('exists', 'the name is taken')
    if (replace) this.cloud.require(target, replace)
    if (this.cloud.children(target).length > 0) throw new CloudError('not-empty', 'the folder to be replaced is not empty')
    this.cloud.objects.delete(target)
    this.cloud.rename(source, target)
    return this.cloud.entry(target, object)
  }

  async copy(
    from: RemotePlace,
    to: RemotePlace,
    rev: string,
    posix: PosixAttributes,
    target: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    await travel(signal)
    const source = this.#object(pathOf(from))
    if (source.rev !== rev) throw new CloudError('conflict', 'the object was changed meanwhile')
    this.cloud.requireParent(pathOf(to))
    this.cloud.require(pathOf(to), target)
    return this.cloud.entry(pathOf(to), this.cloud.store(pathOf(to), source.type, source.contents, posix))
  }

  async setAttributes(
    place: RemotePlace,
    _type: RemoteType,
    posix: PosixAttributes,
    precondition: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    await travel(signal)
    const path = pathOf(place)
    const object = this.#object(path)
    this.cloud.require(path, precondition)
    const changed = { ...object, posix: { ...object.posix, ...posix } }
    this.cloud.objects.set(path, changed)
    return this.cloud.entry(path, changed)
  }

  async abandon(handle: string, signal: AbortSignal): Promise<void> {
    await travel(signal)
    this.cloud.uploads.delete(handle)
  }

  async usage(signal: AbortSignal): Promise<Usage> {
    await travel(signal)
    const used = [...this.cloud.objects.values()].reduce((sum, object) => sum + object.contents.length, 0)
    return { total: 2 ** 40, used, free: 2 ** 40 - used }
  }

  async close(): Promise<void> {
    await turn()
  }

  /** Takes the contents in parts, and keeps those of an earlier try. */
  async #receive(path: string, source: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<Buffer> {
    const known = options.resume !== null && this.cloud.uploads.get(options.resume)?.path === path ? options.resume : null
    const id = known ?? this.cloud.beginUpload(path)
    if (!known) await options.saveHandle(id)
    const parts = this.cloud.uploads.get(id)?.parts ?? new Map<number, Buffer>()
    for (let index = 0; index * partSize < source.size; index++) {
      const end = Math.min((index + 1) * partSize, source.size)
      if (!parts.has(index)) {
        const part = await source.read(index * partSize, end, signal).catch((caught: unknown) => {
          throw CloudError.from(caught)
        })
        await travel(signal)
        if (part.length !== end - index * partSize) throw new CloudError('internal', 'the source gave another length than asked for')
        parts.set(index, Buffer.from(part))
        this.cloud.received += part.length
        await options.saveHandle(id)
      }
      options.onProgress(end)
    }
    if (source.size === 0) options.onProgress(0)
    this.cloud.uploads.delete(id)
    return Buffer.concat([...parts.entries()].sort(([a], [b]) => a - b).map(([, part]) => part))
  }

  #object(path: string): MemoryObject {
    const object = this.cloud.objects.get(path)
    if (!object) throw new CloudError('not-found', 'the object does not exist')
    return object
  }

  #folder(path: string): void {
    if (this.#object(path).type !== 'folder') throw new CloudError('not-a-folder', 'the object is no folder')
  }
}

/** The way to the server: other things happen meanwhile. */
async function travel(signal: AbortSignal): Promise<void> {
  await turn()
  if (signal.aborted) throw CloudError.from(signal.reason)
}

function pathOf(place: RemotePlace): string {
  for (const name of place.path) {
    const text = name.toString('latin1')
    if (text === '' || text === '.' || text === '..' || /[/\0]/.test(text)) throw new CloudError('name-invalid', 'not a name')
    if (name.length > memoryCapabilities.names.maxBytes) throw new CloudError('name-too-long', 'the name is too long')
  }
  return place.path.map((name) => name.toString('latin1')).join('/')
}
