import { createHash } from 'node:crypto'
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
  WriteOptions,
} from '../../src-service/drive/connectors/connector.ts'
import { childrenOf, type CloudObject, entryOf, folderExists, foldersAbove, pathOf, prefixFolder } from './fake-objects.ts'

const nothing = (): Promise<void> => Promise.resolve()

export type FaultPoint = { readonly operation: string; readonly path: string; readonly done: boolean }

/**
 * A cloud in memory for tests of the drive: strict about what a provider would refuse, with other clients (`put`, `drop`)
 * and with faults before a call (nothing was done) and after it (it was done, but the answer is lost).
 */
export class FakeCloud implements Connector {
  readonly type = 'fake'
  readonly capabilities: Capabilities
  /** Path ('a/b'; folders end with '/') to object. Latin-1, so that any bytes survive. */
  readonly objects = new Map<string, CloudObject>()
  readonly calls: string[] = []
  /** Uploads that were begun and not ended. */
  readonly sessions = new Map<string, { readonly path: string; readonly parts: Buffer[] }>()
  /** Every version that ever was, by its rev. */
  readonly versions = new Map<string, string>()
  online = true
  pageSize = 1000
  /** Moves and changed attributes make a new version, with a time of its own, as with clouds that copy for them. */
  newRevs = false
  /** The same bytes are the same version, wherever they are: an ETag of object storage. */
  contentRevs = false
  /** Called before (done = false) and after (done = true) each change; an error takes the place of the answer. */
  fault: (point: FaultPoint) => CloudError | undefined = () => undefined
  /** A change for which this gives a promise gets no answer, and is done when the promise resolves, whoever lives then. */
  late: (point: Omit<FaultPoint, 'done'>) => Promise<void> | undefined = () => undefined
  /** Awaited in each call, so that calls interleave. */
  delay: () => Promise<void> = () => Promise.resolve()
  #revs = 0

  constructor(overrides: Partial<Omit<Capabilities, 'posix'>> & { readonly posix?: Partial<Capabilities['posix']> } = {}) {
    const { posix, ...rest } = overrides
    this.capabilities = {
      conditionalWrite: 'server',
      conditionalRemove: 'server',
      rangeRead: true,
      resumableWrite: false,
      move: 'tree',
      atomicMove: rest.move === undefined || rest.move === 'tree',
      copy: true,
      realFolders: true,
      hash: 'none',
      changeFeed: false,
      names: { caseSensitive: true, unicode: 'bytes', maxBytes: 255, maxPathBytes: 4096, forbidden: '', trimsTrailing: false },
      mtimePrecisionNs: 1,
      quota: false,
      maxFileSize: 2 ** 40,
      parallelism: 4,
      ...rest,
      posix: {
        mode: true,
        owner: true,
        mtime: true,
        symlinks: true,
        specialNodes: true,
        xattrs: false,
        setAttributes: true,
        inListings: true,
        ...posix,
      },
    }
  }

  // What other clients do.

  put(path: string, text: string | Buffer, posix: PosixAttributes = {}): CloudObject {
    if (this.capabilities.realFolders) for (const folder of foldersAbove(path)) this.mkdir(folder)
    const object = this.#object('file', Buffer.from(text), posix)
    this.objects.set(path, object)
    return object
  }

  mkdir(path: string): void {
    const key = `${path}/`
    if (!this.objects.has(key)) this.objects.set(key, this.#object('folder', Buffer.alloc(0), {}))
  }

  /** Removes a file, or a folder with all that is in it. */
  drop(path: string): void {
    this.objects.delete(path)
    for (const key of [...this.objects.keys()]) if (key.startsWith(`${path}/`)) this.objects.delete(key)
  }

  text(path: string): string | undefined {
    return this.objects.get(path)?.data.toString()
  }

  /** Every file and folder with its text, sorted; folders that exist only as a prefix are left out. */
  dump(): Record<string, string> {
    const sorted = [...this.objects].sort(([a], [b]) => (a < b ? -1 : 1))
    return Object.fromEntries(sorted.map(([path, object]) => [path, object.type === 'folder' ? '' : object.data.toString()]))
  }

  // Connector

  async check(): Promise<void> {
    this.calls.push('check')
    await this.#arrive()
  }

  async *list(folder: RemotePlace, signal: AbortSignal): AsyncIterable<ListPage> {
    const path = pathOf(folder)
    this.calls.push(`list ${path}`)
    await this.#arrive(signal)
    this.#failIf('list', path, false)
    const prefix = path === '' ? '' : `${path}/`
    if (path !== '' && !folderExists(this.objects, path, this.capabilities.realFolders))
      throw new CloudError('not-found', `no folder ${path}`)
    const entries = childrenOf(this.objects, prefix, this.capabilities.realFolders)
    for (let start = 0; start < Math.max(1, entries.length); start += this.pageSize) {
      if (start > 0) await this.#arrive(signal)
      this.#failIf('page', path, false)
      yield { entries: entries.slice(start, start + this.pageSize), hidden: [] }
    }
  }

  async stat(place: RemotePlace, type: 'file' | 'folder' | 'any', signal: AbortSignal): Promise<RemoteEntry | null> {
    const path = pathOf(place)
    this.calls.push(`stat ${path}`)
    await this.#arrive(signal)
    this.#failIf('stat', path, false)
    const file = this.objects.get(path)
    if (file !== undefined && type !== 'folder') return entryOf(path, file)
    if (type === 'file' || !folderExists(this.objects, path, this.capabilities.realFolders)) return null
    return entryOf(path, this.objects.get(`${path}/`) ?? prefixFolder)
  }

  async *read(place: RemotePlace, start: number, end: number, rev: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const path = pathOf(place)
    this.calls.push(`read ${path}`)
    await this.#arrive(signal)
    this.#failIf('read', path, false)
    const object = this.objects.get(path)
    if (object === undefined) throw new CloudError('conflict', 'gone')
    if (object.rev !== rev) throw new CloudError('conflict', 'another version')
    for (let at = start; at < end; at += 64 * 1024) yield object.data.subarray(at, Math.min(end, at + 64 * 1024))
  }

  async write(
    place: RemotePlace,
    type: RemoteType,
    source: UploadSource,
    options: WriteOptions,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    const path = pathOf(place)
    const receive = async (): Promise<Buffer> => {
      this.#needFolder(path)
      const data = await this.#receive(path, source, options, signal)
      signal.throwIfAborted()
      return data
    }
    return this.#change('write', path, signal, receive, (data) => {
      this.#needFolder(path)
      if (this.capabilities.realFolders && this.objects.has(`${path}/`)) throw new CloudError('is-a-folder', `${path} is a folder`)
      this.#hold(path, options.precondition)
      const object = this.#object(type, data, this.#kept(options.posix))
      this.objects.set(path, object)
      options.onProgress(source.size)
      return entryOf(path, object)
    })
  }

  /** The bytes in two halves, or in parts of a session that outlives a try. */
  async #receive(path: string, source: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<Buffer> {
    const resumed = options.resume === null ? undefined : this.sessions.get(options.resume)
    const handle = resumed?.path === path && options.resume !== null ? options.resume : `session-${++this.#revs}`
    const session = this.sessions.get(handle) ?? { path, parts: [] }
    if (this.capabilities.resumableWrite && !this.sessions.has(handle)) {
      this.sessions.set(handle, session)
      await options.saveHandle(handle)
    }
    const half = Math.floor(source.size / 2)
    for (const [index, [start, end]] of [[0, half] as const, [half, source.size] as const].entries()) {
      if (session.parts[index] !== undefined) continue
      const part = await source.read(start, end, signal)
      await this.delay()
      signal.throwIfAborted()
      this.calls.push(`part${index} ${path}`)
      session.parts[index] = part
      if (this.capabilities.resumableWrite) await options.saveHandle(handle)
      options.onProgress(end)
      this.#failIf(`part${index}`, path, true)
    }
    this.sessions.delete(handle)
    return Buffer.concat(session.parts)
  }

  async abandon(handle: string, signal: AbortSignal): Promise<void> {
    this.calls.push(`abandon ${handle}`)
    await this.#arrive(signal)
    this.sessions.delete(handle)
  }

  async makeFolder(place: RemotePlace, posix: PosixAttributes, signal: AbortSignal): Promise<RemoteEntry> {
    const path = pathOf(place)
    return this.#change('makeFolder', path, signal, nothing, () => {
      this.#needFolder(path)
      const taken = this.objects.has(`${path}/`) || (this.capabilities.realFolders && this.objects.has(path))
      if (taken) throw new CloudError('exists', `${path} exists`)
      const object = this.#object('folder', Buffer.alloc(0), this.#kept(posix))
      this.objects.set(`${path}/`, object)
      return entryOf(path, object)
    })
  }

  async remove(place: RemotePlace, type: RemoteType, precondition: Precondition, signal: AbortSignal): Promise<void> {
    const path = pathOf(place)
    return this.#change('remove', path, signal, nothing, () => {
      if (type === 'folder') {
        if (childrenOf(this.objects, `${path}/`, this.capabilities.realFolders).length > 0)
          throw new CloudError('not-empty', `${path} is not empty`)
        this.objects.delete(`${path}/`)
        return
      }
      if (!this.objects.has(path)) return
      if (this.capabilities.conditionalRemove !== 'none') this.#hold(path, precondition)
      this.objects.delete(path)
    })
  }

  async move(
    from: RemotePlace,
    to: RemotePlace,
    type: RemoteType,
    precondition: Precondition,
    replace: Precondition | null,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    const source = pathOf(from)
    const target = pathOf(to)
    if (this.capabilities.move === 'none') throw new CloudError('unsupported', 'no moves')
    return this.#change('move', `${source} ${target}`, signal, nothing, () => {
      this.#needFolder(target)
      if (type === 'folder') return this.#moveFolder(source, target)
      const object = this.objects.get(source)
      if (object === undefined) throw new CloudError('not-found', `no ${source}`)
      this.#hold(source, precondition)
      if (this.capabilities.realFolders && this.objects.has(`${target}/`)) throw new CloudError('exists', `${target} is a folder`)
      if (replace === null && this.objects.has(target)) throw new CloudError('exists', `${target} exists`)
      if (replace !== null) this.#hold(target, replace)
      this.objects.delete(source)
      const moved = this.newRevs ? this.#object(object.type, object.data, object.posix) : object
      this.objects.set(target, moved)
      return entryOf(target, moved)
    })
  }

  async copy(
    from: RemotePlace,
    to: RemotePlace,
    rev: string,
    posix: PosixAttributes,
    target: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    const source = pathOf(from)
    const path = pathOf(to)
    if (!this.capabilities.copy) throw new CloudError('unsupported', 'no copies')
    return this.#change('copy', `${source} ${path}`, signal, nothing, () => {
      this.#needFolder(path)
      const object = this.objects.get(source)
      if (object === undefined) throw new CloudError('not-found', `no ${source}`)
      if (object.rev !== rev) throw new CloudError('conflict', 'another version')
      if (this.capabilities.realFolders && this.objects.has(`${path}/`)) throw new CloudError('exists', `${path} is a folder`)
      this.#hold(path, target)
      const made = this.#object(object.type, object.data, { ...object.posix, ...this.#kept(posix) })
      this.objects.set(path, made)
      return entryOf(path, made)
    })
  }

  async setAttributes(
    place: RemotePlace,
    type: RemoteType,
    posix: PosixAttributes,
    precondition: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    const path = pathOf(place)
    const key = type === 'folder' ? `${path}/` : path
    return this.#change('setAttributes', path, signal, nothing, () => {
      const object = this.objects.get(key)
      if (object === undefined) throw new CloudError('not-found', `no ${path}`)
      if (type !== 'folder') this.#hold(path, precondition)
      object.posix = { ...object.posix, ...this.#kept(posix) }
      if (this.newRevs && type !== 'folder') object.rev = this.#object(object.type, object.data, {}).rev
      return entryOf(path, object)
    })
  }

  usage(): Promise<{ total: null; used: null; free: null }> {
    return Promise.resolve({ total: null, used: null, free: null })
  }

  close(): Promise<void> {
    return Promise.resolve()
  }

  async #change<T, D>(
    operation: string,
    path: string,
    signal: AbortSignal,
    receive: () => Promise<D>,
    work: (received: D) => T,
  ): Promise<T> {
    this.calls.push(`${operation} ${path}`)
    await this.#arrive(signal)
    this.#failIf(operation, path, false)
    const received = await receive()
    const late = this.late({ operation, path })
    if (late !== undefined) {
      late
        .then(() => {
          this.calls.push(`late ${operation} ${path}`)
          work(received)
        })
        .catch(() => undefined)
      throw new CloudError('timeout', 'no answer')
    }
    const result = work(received)
    this.#failIf(operation, path, true)
    await this.delay()
    return result
  }

  async #arrive(signal?: AbortSignal): Promise<void> {
    await this.delay()
    if (signal?.aborted === true) throw CloudError.from(signal.reason)
    if (!this.online) throw new CloudError('offline', 'no network', { code: 'ENETUNREACH' })
  }

  #failIf(operation: string, path: string, done: boolean): void {
    const error = this.fault({ operation, path, done })
    if (error !== undefined) throw error
  }

  #hold(path: string, precondition: Precondition): void {
    const object = this.objects.get(path)
    if (precondition.kind === 'absent' && object !== undefined) throw new CloudError('conflict', `${path} exists`)
    if (precondition.kind === 'rev' && object?.rev !== precondition.rev) throw new CloudError('conflict', `${path} is another version`)
  }

  #needFolder(path: string): void {
    if (!this.capabilities.realFolders) return
    const folder = path.slice(0, Math.max(0, path.lastIndexOf('/')))
    if (folder !== '' && !this.objects.has(`${folder}/`)) throw new CloudError('not-found', `no folder ${folder}`)
  }

  #moveFolder(source: string, target: string): RemoteEntry {
    if (this.capabilities.move !== 'tree') throw new CloudError('unsupported', 'folders cannot be moved')
    const own = this.objects.get(`${source}/`)
    if (own === undefined) throw new CloudError('not-found', `no folder ${source}`)
    if (this.objects.has(`${target}/`) || this.objects.has(target)) throw new CloudError('exists', `${target} exists`)
    for (const [key, object] of [...this.objects]) {
      if (!key.startsWith(`${source}/`)) continue
      this.objects.delete(key)
      this.objects.set(target + key.slice(source.length), object)
    }
    return entryOf(target, own)
  }

  #object(type: RemoteType, data: Buffer, posix: PosixAttributes): CloudObject {
    const number = ++this.#revs
    const rev = type === 'folder' ? '' : this.contentRevs ? createHash('md5').update(data).digest('hex') : `r${number}`
    this.versions.set(rev, data.toString())
    return { type, data, rev, mtime: { sec: 1_700_000_000 + this.#revs, nsec: 0 }, posix }
  }

  #kept(posix: PosixAttributes): PosixAttributes {
    const { mode, owner, mtime } = this.capabilities.posix
    return {
      ...(mode && posix.mode !== undefined && { mode: posix.mode }),
      ...(owner && posix.uid !== undefined && { uid: posix.uid }),
      ...(owner && posix.gid !== undefined && { gid: posix.gid }),
      ...(mtime && posix.mtime !== undefined && { mtime: posix.mtime }),
      ...(posix.rdev !== undefined && { rdev: posix.rdev }),
      ...(posix.target !== undefined && { target: posix.target }),
    }
  }
}
