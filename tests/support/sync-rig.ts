import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../src-service/common/clock.ts'
import { CloudError } from '../../src-service/common/errors.ts'
import { localDisk, type Disk } from '../../src-service/drive/cache/blobs/disk.ts'
import { openContents } from '../../src-service/drive/cache/blobs/open-contents.ts'
import type { Contents, ContentsHost } from '../../src-service/drive/cache/contents.ts'
import type { DriveDatabase } from '../../src-service/drive/cache/database.ts'
import { openListings } from '../../src-service/drive/cache/listings/open-listings.ts'
import { Places } from '../../src-service/drive/cache/places.ts'
import { openUploadQueue } from '../../src-service/drive/cache/queue/open-upload-queue.ts'
import { Reachability } from '../../src-service/drive/cache/reachability.ts'
import type { Listings, UploadQueue } from '../../src-service/drive/cache/sync.ts'
import type { SyncParts, SyncSettings } from '../../src-service/drive/cache/sync-parts.ts'
import { fileType, isFolder, type NodeRow, rootNode, Tree } from '../../src-service/drive/cache/tree.ts'
import type { Connector } from '../../src-service/drive/connectors/connector.ts'
import type { FakeCloud } from './fake-cloud.ts'
import { FakeContents, FakeDisk } from './fake-contents.ts'
import { openPlainDatabase } from './plain-database.ts'

const settings: SyncSettings = {
  readOnly: false,
  uid: 1000,
  gid: 1000,
  umask: 0o022,
  attributes: 'listing',
  xattrs: false,
  hostName: 'desk',
  writeBackSeconds: 0,
  deadlines: { metadataMs: 5000, readMs: 5000, writeMs: 5000 },
}

interface Session {
  readonly database: DriveDatabase
  readonly tree: Tree
  readonly contents: Contents
  readonly places: Places
  readonly reachability: Reachability
  readonly listings: Listings
  readonly queue: UploadQueue
  /** A dead process gets no answers any more. */
  readonly dead: { yes: boolean }
}

export type SyncRigOptions = Partial<SyncSettings> & {
  readonly clock?: Clock
  /** Contents in files, as a mount has them, in place of those in memory. */
  readonly realContents?: boolean
}

/** A tree with its listings and its queue before a cloud in memory, and the calls of programs on it, without a kernel. */
export class SyncRig {
  readonly cloud: FakeCloud
  readonly alerts: string[] = []
  readonly told: string[] = []
  readonly #folder = mkdtempSync(join(tmpdir(), 'sync-'))
  readonly #disk = new FakeDisk()
  readonly #settings: SyncSettings
  readonly #clock: Clock
  readonly #realContents: boolean
  /** What was written last to a node, as the programs know it. */
  readonly #texts = new Map<number, string>()
  #opened: Session | undefined

  private constructor(cloud: FakeCloud, more: SyncRigOptions) {
    const { clock = systemClock, realContents = false, ...rest } = more
    this.cloud = cloud
    this.#clock = clock
    this.#realContents = realContents
    this.#settings = { ...settings, ...rest }
  }

  static async open(cloud: FakeCloud, more: SyncRigOptions = {}): Promise<SyncRig> {
    const rig = new SyncRig(cloud, more)
    rig.#opened = await rig.#open()
    return rig
  }

  get #session(): Session {
    if (this.#opened === undefined) throw new Error('the rig is not open')
    return this.#opened
  }

  get tree(): Tree {
    return this.#session.tree
  }

  get queue(): UploadQueue {
    return this.#session.queue
  }

  get listings(): Listings {
    return this.#session.listings
  }

  get contents(): Contents {
    return this.#session.contents
  }

  get database(): DriveDatabase {
    return this.#session.database
  }

  get places(): Places {
    return this.#session.places
  }

  async #open(): Promise<Session> {
    const database = openPlainDatabase(join(this.#folder, 'drive.sqlite'))
    const tree = new Tree(database)
    if (tree.node(rootNode) === undefined) {
      const time = { sec: 1, nsec: 0 }
      tree.insertNode({ mode: 0o40755, uid: 0, gid: 0, mtime: time, ctime: time })
    }
    const dead = { yes: false }
    const connector = mortal(this.cloud, dead)
    const places = new Places(tree)
    const clock = this.#clock
    const reachability = new Reachability({ connector, clock, probeMs: 1000, onChange: () => undefined })
    let queue: UploadQueue | undefined
    const host: ContentsHost = {
      async *readRemote(node, start, end, rev, _priority, signal) {
        const known = places.placeOfNode(node, rev)
        if (known === undefined || known.row.rev !== rev)
          throw new CloudError('conflict', 'the provider does not have this version any more')
        yield* connector.read(known.place, start, end, rev, signal)
      },
      remoteVersion: (node) => {
        const known = places.placeOfNode(node)
        return known === undefined ? undefined : { rev: known.row.rev, size: known.row.size }
      },
      dirtied: (node, first) => {
        if (first) queue?.nodeChanged(node)
        else queue?.touched(node)
      },
      baseLost: (node) => {
        database.sql.prepare("UPDATE node SET fault = 'base_lost' WHERE id = ?").run(node)
      },
      canUpload: () => queue?.canUpload() ?? false,
      log: (level, message) => {
        if (level === 'error') console.log(message)
      },
    }
    const contents = this.#realContents
      ? await this.#openReal(database, host, dead)
      : new FakeContents({ tree, disk: this.#disk, now: () => clock.now(), host })
    const parts: SyncParts = {
      tree,
      database,
      contents,
      connector,
      places,
      reachability,
      clock,
      settings: this.#settings,
      notifier: () => ({
        attributesChanged: () => undefined,
        entryChanged: (_, name) => this.told.push(name.toString()),
        everythingChanged: () => undefined,
      }),
      dropNode: (node) => {
        if (node === rootNode || contents.openCount(node) > 0 || tree.namesOf(node).length > 0) return
        database.transaction(() => {
          contents.forget(node)
          tree.deleteNode(node)
        })
      },
      onChange: () => undefined,
      alert: (reason, message) => this.alerts.push(`${reason}: ${message}`),
      log: (level, message, fields) => {
        if (level === 'error' || process.env['SYNC_LOG'] !== undefined) console.log(level, message, fields)
      },
    }
    const listings = openListings({ ...parts, nameChanged: (name) => queue?.nameChanged(name) })
    queue = openUploadQueue({ ...parts, listings })
    return { database, tree, contents, places, reachability, listings, queue, dead }
  }

  #openReal(database: DriveDatabase, host: ContentsHost, dead: { readonly yes: boolean }): Promise<Contents> {
    return openContents({
      database,
      native: null,
      folder: this.#folder,
      limit: 64 * 1024 * 1024,
      host,
      readBudgetBytes: 8 * 1024 * 1024,
      deadlines: { readMs: 2000 },
      bootId: 'boot',
      takenOver: true,
      disk: mortalDisk(dead),
    })
  }

  /** The process dies: what is under way gets no answer, and a new one opens the same database and disk. */
  async crash(): Promise<void> {
    const { dead, database } = this.#session
    dead.yes = true
    this.#end()
    await database.close()
    this.#opened = await this.#open()
  }

  /** Ends everything for good. */
  async close(): Promise<void> {
    const { queue, listings, reachability, database } = this.#session
    await Promise.all([queue.close(), listings.close(), reachability.close()])
    await this.contents.close()
    await database.close()
    rmSync(this.#folder, { recursive: true, force: true })
  }

  #end(): void {
    const { queue, listings, reachability } = this.#session
    for (const closing of [queue.close(), listings.close(), reachability.close()]) closing.catch(() => undefined)
  }

  /** Ends the test's wait after a while and says what was left. */
  async drain(milliseconds = 10_000): Promise<void> {
    try {
      await this.queue.drain(AbortSignal.timeout(milliseconds))
    } catch (error) {
      const rows = this.database.sql.prepare('SELECT * FROM queue').all()
      throw new Error(`not drained: ${JSON.stringify(rows)}; last calls: ${this.cloud.calls.slice(-20).join(', ')}`, { cause: error })
    }
  }

  async refresh(path = ''): Promise<void> {
    await this.listings.refresh(this.nodeAt(path), AbortSignal.timeout(5000))
  }

  /** Lists every folder. */
  async refreshAll(): Promise<void> {
    for (const pending = [rootNode]; ; ) {
      const folder = pending.shift()
      if (folder === undefined) return
      if (this.tree.node(folder) === undefined) continue
      await this.listings.refresh(folder, AbortSignal.timeout(5000))
      for (const name of this.tree.names(folder)) if (isFolder(this.tree.needNode(name.node).mode)) pending.push(name.node)
    }
  }

  // What programs do.

  nodeAt(path: string): number {
    const node = this.findNode(path)
    if (node === 0) throw new CloudError('not-found', `no ${path}`)
    return node
  }

  findNode(path: string): number {
    let node: number = rootNode
    for (const part of path.split('/').filter((one) => one !== '')) {
      const row = this.tree.lookup(node, Buffer.from(part))
      if (row === undefined) return 0
      node = row.id
    }
    return node
  }

  mkdir(path: string): void {
    this.#make(path, fileType.folder | 0o755, null)
  }

  symlink(path: string, target: string): void {
    this.#make(path, fileType.symlink | 0o777, Buffer.from(target))
  }

  /** Creates or overwrites, as `echo text > path` would. */
  async write(path: string, text: string): Promise<void> {
    const node = this.findNode(path) || this.#make(path, fileType.file | 0o644, null)
    if (isFolder(this.tree.needNode(node).mode)) throw new CloudError('is-a-folder', `${path} is a folder`)
    this.contents.opened(node, true)
    await this.contents.truncate(node, 0)
    this.database.transaction(() => {
      this.contents.settle(node)
      this.#setSize(node, 0)
      this.queue.nodeChanged(node)
    })
    this.#texts.set(node, '')
    const data = Buffer.from(text)
    if (data.length > 0) await this.contents.write(node, data, 0, data.length, 0, false)
    this.#texts.set(node, text)
    this.contents.released(node, true)
    this.queue.touched(node)
  }

  #setSize(node: number, size: number): void {
    this.database.sql.prepare('UPDATE node SET size = ? WHERE id = ?').run(size, node)
  }

  chmod(path: string, mode: number): void {
    const node = this.nodeAt(path)
    this.database.transaction(() => {
      this.database.sql.prepare('UPDATE node SET mode = (mode & 61440) | ?, attrs = attrs + 1 WHERE id = ?').run(mode, node)
      this.queue.nodeChanged(node)
    })
  }

  link(from: string, to: string): void {
    const node = this.tree.needNode(this.nodeAt(from))
    const { parent, name } = this.#split(to)
    this.database.transaction(() => this.queue.nameChanged(this.tree.addName(parent, name, node.id, node.mode, null)))
  }

  remove(path: string): void {
    const { parent, name } = this.#split(path)
    const row = this.tree.lookup(parent, name)
    if (row === undefined) throw new CloudError('not-found', `no ${path}`)
    if (isFolder(row.mode) && !this.tree.isEmpty(row.id)) throw new CloudError('not-empty', `${path} is not empty`)
    this.database.transaction(() => this.#remove(row))
  }

  rename(from: string, to: string): void {
    const source = this.#split(from)
    const target = this.#split(to)
    const row = this.tree.lookup(source.parent, source.name)
    if (row === undefined) throw new CloudError('not-found', `no ${from}`)
    if (isFolder(row.mode) && `${to}/`.startsWith(`${from}/`)) throw new CloudError('invalid', 'into itself')
    const over = this.tree.lookup(target.parent, target.name)
    if (over !== undefined) {
      if (over.id === row.id) return
      if (isFolder(over.mode) !== isFolder(row.mode)) throw new CloudError('invalid', 'file over folder')
      if (isFolder(over.mode) && !this.tree.isEmpty(over.id)) throw new CloudError('not-empty', `${to} is not empty`)
    }
    this.database.transaction(() => {
      if (over !== undefined) this.#remove(over)
      const name = this.tree.nameById(row.name_id)
      if (name === undefined) throw new CloudError('internal', 'gone')
      this.tree.moveName(name, target.parent, target.name, row.mode)
      this.queue.nameChanged(name.id)
    })
  }

  exchange(one: string, other: string): void {
    const [a, b] = [this.#split(one), this.#split(other)]
    const first = this.tree.nameIn(a.parent, a.name)
    const second = this.tree.nameIn(b.parent, b.name)
    if (first === undefined || second === undefined) throw new CloudError('not-found', 'one is missing')
    const [firstMode, secondMode] = [this.tree.needNode(first.node).mode, this.tree.needNode(second.node).mode]
    const between = Buffer.from([0])
    this.database.transaction(() => {
      this.tree.moveName(first, a.parent, between, firstMode)
      this.tree.moveName(second, a.parent, a.name, secondMode)
      this.tree.moveName({ ...first, name: between }, b.parent, b.name, firstMode)
      this.queue.nameChanged(first.id)
      this.queue.nameChanged(second.id)
    })
  }

  async read(path: string): Promise<string> {
    const node = this.nodeAt(path)
    const size = this.contents.live(node)?.size ?? this.tree.needNode(node).size
    const target = Buffer.alloc(size)
    this.contents.opened(node, false)
    try {
      const got = await this.contents.read(node, 0, size, target, 0, AbortSignal.timeout(5000))
      return target.subarray(0, got).toString()
    } finally {
      this.contents.released(node, false)
    }
  }

  /** Files with local bytes whose version no object at the provider has: the missing bytes of such a file could not be had. */
  lostBases(): string[] {
    return [...this.#disk.blobs].flatMap(([node, blob]) => {
      const revs = this.tree.remotesOf(node).map((row) => row.rev)
      const isKnown =
        blob.dirty || this.tree.node(node) === undefined || revs.length === 0 || (blob.base !== undefined && revs.includes(blob.base))
      return isKnown ? [] : [`${this.tree.pathOfNode(node) ?? node}: ${blob.base ?? 'none'} is none of ${revs.join(', ')}`]
    })
  }

  /** The version of a file that a program would read now, without reading it: local bytes, or the provider's version. */
  known(path: string): { readonly text: string } | { readonly rev: string } | undefined {
    const node = this.findNode(path)
    const text = this.#texts.get(node)
    if (text !== undefined) return { text }
    const row = this.tree.remotesOf(node).find((one) => one.content > 0)
    return row === undefined ? undefined : { rev: row.rev }
  }

  /** Paths of the tree; folders end with '/'. */
  paths(folder: number = rootNode, prefix = ''): string[] {
    return this.tree
      .names(folder)
      .flatMap((name) => {
        const path = prefix + name.name.toString()
        return isFolder(this.tree.needNode(name.node).mode) ? [`${path}/`, ...this.paths(name.node, `${path}/`)] : [path]
      })
      .sort()
  }

  /** The tree with its texts, to be compared with `FakeCloud.dump`. */
  async dump(): Promise<Record<string, string>> {
    const found: Record<string, string> = {}
    for (const path of this.paths()) found[path] = path.endsWith('/') ? '' : await this.read(path)
    return found
  }

  #split(path: string): { parent: number; name: Buffer } {
    const slash = path.lastIndexOf('/')
    const parent = this.nodeAt(path.slice(0, Math.max(0, slash)))
    if (!isFolder(this.tree.needNode(parent).mode)) throw new CloudError('not-a-folder', `${path}: no folder`)
    return { parent, name: Buffer.from(path.slice(slash + 1)) }
  }

  #make(path: string, mode: number, target: Buffer | null): number {
    const { parent, name } = this.#split(path)
    if (this.tree.nameIn(parent, name) !== undefined) throw new CloudError('exists', `${path} exists`)
    const ms = Date.now()
    const time = { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1e6 + Math.floor(Math.random() * 1e6) }
    return this.database.transaction(() => {
      const node = this.tree.insertNode({
        mode,
        uid: 1000,
        gid: 1000,
        size: target?.length ?? 0,
        target,
        mtime: time,
        ctime: time,
        ...(isFolder(mode) ? { listedAt: ms } : {}),
      })
      const made = this.tree.addName(parent, name, node, mode, null)
      if ((mode & fileType.mask) === fileType.file) this.contents.create(node)
      this.queue.nameChanged(made)
      return node
    })
  }

  #remove(row: NodeRow & { readonly name_id: number }): void {
    const name = this.tree.nameById(row.name_id)
    if (name === undefined) throw new CloudError('internal', 'gone')
    this.queue.nameRemoved(name.id)
    this.tree.removeName(name, row.mode)
    this.database.afterCommit(() => {
      if (this.contents.openCount(row.id) > 0 || this.tree.namesOf(row.id).length > 0) return
      this.database.transaction(() => {
        this.contents.forget(row.id)
        this.tree.deleteNode(row.id)
      })
    })
  }
}

const never = new Promise<never>(() => undefined)

/** The disk as a process sees it: what is begun after its death does not happen. */
function mortalDisk(dead: { readonly yes: boolean }): Disk {
  const live = <T>(work: () => Promise<T>): Promise<T> => (dead.yes ? never : work().then((value) => (dead.yes ? never : value)))
  const disk = localDisk
  return {
    open: (path, create) => live(() => disk.open(path, create)),
    openToRead: (path) => live(() => disk.openToRead(path)),
    close: (fd) => disk.close(fd),
    read: (fd, target, offset, length, position) => live(() => disk.read(fd, target, offset, length, position)),
    write: (fd, data, offset, length, position) => live(() => disk.write(fd, data, offset, length, position)),
    truncate: (fd, size) => live(() => disk.truncate(fd, size)),
    datasync: (fd) => live(() => disk.datasync(fd)),
    syncFolder: () => live(() => Promise.resolve()),
    facts: (fd) => live(() => disk.facts(fd)),
    factsAt: (path) => live(() => disk.factsAt(path)),
    makeFolder: (path) => live(() => disk.makeFolder(path)),
    list: (path) => live(() => disk.list(path)),
    remove: (path) => live(() => disk.remove(path)),
    move: (from, to) => live(() => disk.move(from, to)),
    readText: (path) => live(() => disk.readText(path)),
    writeText: (path, text) => live(() => disk.writeText(path, text)),
    free: (path) => live(() => disk.free(path)),
    lock: () => Promise.resolve(() => undefined),
  }
}

/** The cloud as a process sees it: once the process is dead, no call of it ever returns. */
function mortal(cloud: FakeCloud, dead: { readonly yes: boolean }): Connector {
  const live = async <T>(call: Promise<T>): Promise<T> => {
    try {
      const result = await call
      return dead.yes ? await never : result
    } catch (error) {
      if (dead.yes) await never
      throw error
    }
  }
  async function* liveChunks<T>(chunks: AsyncIterable<T>): AsyncIterable<T> {
    const iterator = chunks[Symbol.asyncIterator]()
    for (;;) {
      const step = await live(Promise.resolve(iterator.next()))
      if (step.done === true) return
      yield step.value
    }
  }
  return {
    type: cloud.type,
    capabilities: cloud.capabilities,
    check: () => live(cloud.check()),
    list: (folder, signal) => liveChunks(cloud.list(folder, signal)),
    stat: (place, type, signal) => live(cloud.stat(place, type, signal)),
    read: (place, start, end, rev, signal) => liveChunks(cloud.read(place, start, end, rev, signal)),
    write: (place, type, source, options, signal) => {
      const read: typeof source.read = (start, end, inner) => live(source.read(start, end, inner))
      return live(cloud.write(place, type, { size: source.size, read }, options, signal))
    },
    makeFolder: (place, posix, signal) => live(cloud.makeFolder(place, posix, signal)),
    remove: (place, type, precondition, signal) => live(cloud.remove(place, type, precondition, signal)),
    move: (from, to, type, precondition, replace, signal) => live(cloud.move(from, to, type, precondition, replace, signal)),
    copy: (from, to, rev, posix, target, signal) => live(cloud.copy(from, to, rev, posix, target, signal)),
    setAttributes: (place, type, posix, precondition, signal) => live(cloud.setAttributes(place, type, posix, precondition, signal)),
    usage: () => live(cloud.usage()),
    close: () => cloud.close(),
  }
}
