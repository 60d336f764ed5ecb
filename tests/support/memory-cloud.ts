/** The server side of the memory connector: one state that several clients share, and what tests look at from outside. */
import { CloudError } from '../../src-service/common/errors.ts'
import type { PosixAttributes, Precondition, RemoteEntry, RemoteType } from '../../src-service/drive/connectors/connector.ts'

export interface MemoryObject {
  readonly type: RemoteType
  readonly contents: Buffer
  readonly posix: PosixAttributes
  readonly rev: string
  /** Milliseconds since 1970. */
  readonly changed: number
}

interface MemoryUpload {
  readonly path: string
  readonly parts: Map<number, Buffer>
}

/** Paths are names joined by '/', as latin1 so that any bytes are a key; '' is the root. */
export class MemoryCloud {
  readonly objects = new Map<string, MemoryObject>()
  readonly uploads = new Map<string, MemoryUpload>()
  /** Bytes of contents that arrived, also of uploads that were never completed. */
  received = 0
  #counter = 0

  constructor() {
    this.objects.set('', { type: 'folder', contents: Buffer.alloc(0), posix: {}, rev: 'root', changed: Date.now() })
  }

  /** Creates or replaces a file as another client would, with the folders above it. */
  put(path: string, contents: string | Buffer): MemoryObject {
    const names = path.split('/')
    for (let depth = 1; depth < names.length; depth++) {
      const folder = names.slice(0, depth).join('/')
      if (!this.objects.has(folder)) this.store(folder, 'folder', Buffer.alloc(0), {})
    }
    return this.store(path, 'file', Buffer.from(contents), {})
  }

  /** Removes an object and all below it, as another client would. */
  drop(path: string): void {
    for (const known of [...this.objects.keys()]) {
      if (known === path || known.startsWith(`${path}/`)) this.objects.delete(known)
    }
  }

  text(path: string): string | undefined {
    return this.objects.get(path)?.contents.toString()
  }

  /** All paths but the root, sorted. */
  paths(): string[] {
    return [...this.objects.keys()].filter((path) => path !== '').sort()
  }

  store(path: string, type: RemoteType, contents: Buffer, posix: PosixAttributes): MemoryObject {
    const object = { type, contents, posix, rev: `rev-${++this.#counter}`, changed: Date.now() }
    this.objects.set(path, object)
    return object
  }

  beginUpload(path: string): string {
    const id = `upload-${++this.#counter}`
    this.uploads.set(id, { path, parts: new Map() })
    return id
  }

  /** @throws CloudError `conflict` */
  require(path: string, precondition: Precondition): void {
    const found = this.objects.get(path)
    const met = precondition.kind === 'any' || (precondition.kind === 'absent' ? found === undefined : found?.rev === precondition.rev)
    if (!met) throw new CloudError('conflict', `${path}: the precondition failed`)
  }

  /** @throws CloudError `not-found`, `not-a-folder` unless the parent is a folder */
  requireParent(path: string): void {
    if (path === '') throw new CloudError('invalid', 'the root cannot be changed')
    const parent = this.objects.get(parentOf(path))
    if (!parent) throw new CloudError('not-found', `${path}: no folder to put it in`)
    if (parent.type !== 'folder') throw new CloudError('not-a-folder', `${path}: its parent is not a folder`)
  }

  children(path: string): string[] {
    return [...this.objects.keys()].filter((known) => known !== '' && parentOf(known) === path)
  }

  /** Moves an object with all that is below it. */
  rename(from: string, to: string): void {
    for (const known of [...this.objects.keys()]) {
      const object = this.objects.get(known)
      if (!object || (known !== from && !known.startsWith(`${from}/`))) continue
      this.objects.delete(known)
      this.objects.set(to + known.slice(from.length), object)
    }
  }

  entry(path: string, object: MemoryObject): RemoteEntry {
    const sec = Math.floor(object.changed / 1000)
    return {
      name: Buffer.from(path.slice(path.lastIndexOf('/') + 1) || '/', 'latin1'),
      type: object.type,
      size: object.type === 'file' ? object.contents.length : 0,
      mtime: object.posix.mtime ?? { sec, nsec: (object.changed - sec * 1000) * 1e6 },
      rev: object.rev,
      id: null,
      posix: object.posix,
    }
  }
}

function parentOf(path: string): string {
  const slash = path.lastIndexOf('/')
  return slash < 0 ? '' : path.slice(0, slash)
}
