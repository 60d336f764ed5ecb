import { mkdtempSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { type Clock, systemClock } from '../../src-service/common/clock.ts'
import { openContents } from '../../src-service/drive/cache/blobs/open-contents.ts'
import type { Contents, ContentsHost } from '../../src-service/drive/cache/contents.ts'
import type { DriveDatabase } from '../../src-service/drive/cache/database.ts'
import { openListings } from '../../src-service/drive/cache/listings/open-listings.ts'
import { Places } from '../../src-service/drive/cache/places.ts'
import { openUploadQueue } from '../../src-service/drive/cache/queue/open-upload-queue.ts'
import { Reachability } from '../../src-service/drive/cache/reachability.ts'
import type { Listings, UploadQueue } from '../../src-service/drive/cache/sync.ts'
import type { SyncParts, SyncSettings } from '../../src-service/drive/cache/sync-parts.ts'
import { isFolder, rootNode, Tree } from '../../src-service/drive/cache/tree.ts'
import { contentsHost } from '../../src-service/drive/contents-host.ts'
import type { FakeCloud } from './fake-cloud.ts'
import { memoryFolder } from './blob-rig.ts'
import { FakeContents, FakeDisk } from './fake-contents.ts'
import { mortal, mortalDisk } from './mortal.ts'
import { openPlainDatabase } from './plain-database.ts'
import { Programs } from './programs.ts'

const settings: SyncSettings = {
  readOnly: false,
  uid: 1000,
  gid: 1000,
  umask: 0o022,
  attributes: 'listing',
  xattrs: false,
  hostName: 'desk',
  writeBackSeconds: 0,
  deadlines: { metadataMs: 400, readMs: 5000, writeMs: 5000 },
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
  /** Bound of those, bytes. */
  readonly cacheSize?: number
}

/** A tree with its listings and its queue before a cloud in memory, and the calls of programs on it, without a kernel. */
export class SyncRig extends Programs {
  readonly cloud: FakeCloud
  readonly alerts: string[] = []
  readonly told: string[] = []
  readonly #folder: string
  readonly #disk = new FakeDisk()
  readonly #settings: SyncSettings
  readonly #clock: Clock
  readonly #realContents: boolean
  readonly #cacheSize: number
  #opened: Session | undefined

  private constructor(cloud: FakeCloud, more: SyncRigOptions, folder: string) {
    super()
    this.#folder = folder
    const { clock = systemClock, realContents = false, cacheSize = 64 * 1024 * 1024, ...rest } = more
    this.cloud = cloud
    this.#clock = clock
    this.#realContents = realContents
    this.#cacheSize = cacheSize
    this.#settings = { ...settings, ...rest }
  }

  static async open(cloud: FakeCloud, more: SyncRigOptions = {}): Promise<SyncRig> {
    const rig = new SyncRig(cloud, more, mkdtempSync(join(await memoryFolder(), 'sync-')))
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
    const late: { queue?: UploadQueue } = {}
    const host = contentsHost({
      ...{ tree, connector, places, reachability },
      log: (level, message) => {
        if (level === 'error') console.log(message)
      },
      queue: () => late.queue,
      fullChanged: () => undefined,
    })
    const contents = this.#realContents
      ? await this.#openReal(database, host, dead)
      : new FakeContents({ tree, disk: this.#disk, now: () => clock.monotonic(), host })
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
        knows: () => false,
      }),
      dropNode: (node) => {
        if (node === rootNode || contents.openCount(node) > 0 || tree.namesOf(node).length > 0) return
        database.transaction(() => {
          contents.forget(node)
          tree.deleteNode(node)
        })
      },
      mayBeOpen: (node) => contents.openCount(node) > 0,
      onChange: () => undefined,
      alert: (reason, message) => this.alerts.push(`${reason}: ${message}`),
      log: (level, message, fields) => {
        if (level === 'error' || process.env['SYNC_LOG'] !== undefined) console.log(level, message, fields)
      },
    }
    const listings = openListings({ ...parts, nameChanged: (name) => late.queue?.nameChanged(name) })
    const queue = openUploadQueue({ ...parts, listings })
    late.queue = queue
    return { database, tree, contents, places, reachability, listings, queue, dead }
  }

  #openReal(database: DriveDatabase, host: ContentsHost, dead: { readonly yes: boolean }): Promise<Contents> {
    return openContents({
      database,
      native: null,
      folder: this.#folder,
      limit: this.#cacheSize,
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

  /** Files with local bytes whose version no object at the provider has: the missing bytes of such a file could not be had. */
  lostBases(): string[] {
    return [...this.#disk.blobs].flatMap(([node, blob]) => {
      const revs = this.tree.remotesOf(node).map((row) => row.rev)
      const isKnown =
        blob.dirty || this.tree.node(node) === undefined || revs.length === 0 || (blob.base !== undefined && revs.includes(blob.base))
      return isKnown ? [] : [`${this.tree.pathOfNode(node) ?? node}: ${blob.base ?? 'none'} is none of ${revs.join(', ')}`]
    })
  }
}
