import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openPlainDatabase } from './plain-database.ts'
import type { Clock } from '../../src-service/common/clock.ts'
import { CloudError } from '../../src-service/common/errors.ts'
import { loadNative } from '../../src-service/common/native/load-native.ts'
import type { Native } from '../../src-service/common/native/native.ts'
import type { ContentsHost } from '../../src-service/drive/cache/contents.ts'
import type { BlobContents } from '../../src-service/drive/cache/blobs/blob-contents.ts'
import { folderOf } from '../../src-service/drive/cache/blobs/blob-files.ts'
import { type Disk, localDisk } from '../../src-service/drive/cache/blobs/disk.ts'
import { openContents, type OpenContentsOptions } from '../../src-service/drive/cache/blobs/open-contents.ts'

export const signal = new AbortController().signal

/** The addon where it is built, else none: everything must work without it too. */
export function testNative(): Native | null {
  try {
    return loadNative()
  } catch {
    return null
  }
}

/** Ends with its process: nothing that was begun goes on after `kill`. */
class Life {
  dead = false
  readonly #running = new Set<Promise<unknown>>()

  run<T>(work: () => Promise<T>): Promise<T> {
    if (this.dead) return new Promise(() => undefined)
    const running = work()
    this.#running.add(running)
    return new Promise((resolve, reject) => {
      running.then(
        (value) => {
          if (!this.dead) resolve(value)
        },
        (error: unknown) => {
          if (!this.dead) reject(CloudError.from(error))
        },
      )
      void running.catch(() => undefined).finally(() => this.#running.delete(running))
    })
  }

  async kill(): Promise<void> {
    this.dead = true
    await Promise.allSettled(this.#running)
  }
}

export interface RemoteFile {
  rev: string
  data: Buffer
}

/** One mount's local bytes with a provider in memory. */
export class Fixture {
  readonly folder: string
  database: ReturnType<typeof openPlainDatabase>
  native: Native | null = testNative()
  disk: Disk = localDisk
  limit = 64 * 1024 * 1024
  readBudgetBytes = 32 * 1024 * 1024
  readMs = 2000
  roomWaitMs = 100
  saveMs = 20
  closeSyncMs = 60
  cleanSyncMs = 60
  bootId = 'boot-1'
  takenOver = false
  readonly remote = new Map<number, RemoteFile>()
  readonly dirtied: { node: number; first: boolean }[] = []
  readonly lost: number[] = []
  readonly logs: { level: string; message: string; fields: Readonly<Record<string, unknown>> | undefined }[] = []
  readonly requests: { node: number; start: number; end: number; priority: string }[] = []
  uploads = true
  /** What a read of the provider does before it sends `chunk`. */
  onChunk: (node: number, position: number) => Promise<void> = async () => undefined
  chunkSize: () => number = () => 40_000
  #life = new Life()
  #fds = new Set<number>()
  contents: BlobContents | undefined

  readonly host: ContentsHost = {
    readRemote: (node, start, end, rev, priority, abort) => this.#readRemote(this.#life, node, start, end, rev, priority, abort),
    remoteVersion: (node) => {
      const file = this.remote.get(node)
      return file === undefined ? undefined : { rev: file.rev, size: file.data.length }
    },
    dirtied: (node, first) => {
      if (first && !this.database.sql.inTransaction) throw new Error('dirtied outside a transaction')
      this.dirtied.push({ node, first })
    },
    baseLost: (node) => this.lost.push(node),
    canUpload: () => this.uploads,
    log: (level, message, fields) => this.logs.push({ level, message, fields }),
  }

  private constructor(folder: string) {
    this.folder = folder
    this.database = openPlainDatabase(join(folder, 'drive.sqlite'))
    // The root.
    this.#insertNode(0)
  }

  static async make(settings: Partial<Fixture> = {}, base = tmpdir()): Promise<Fixture> {
    return Object.assign(new Fixture(await mkdtemp(join(base, 'cloudmoor-blobs-'))), settings)
  }

  async *#readRemote(
    life: Life,
    node: number,
    start: number,
    end: number,
    rev: () => string,
    priority: string,
    abort: AbortSignal,
  ): AsyncGenerator<Uint8Array> {
    this.requests.push({ node, start, end, priority })
    for (let at = start; at < end; ) {
      await Promise.race([this.onChunk(node, at), new Promise((resolve) => abort.addEventListener('abort', resolve))])
      if (life.dead) await new Promise(() => undefined)
      if (abort.aborted) throw CloudError.from(abort.reason)
      const file = this.remote.get(node)
      if (file?.rev !== rev()) throw new CloudError('conflict', 'another version')
      const stop = Math.min(end, at + this.chunkSize())
      yield file.data.subarray(at, stop)
      at = stop
    }
  }

  async open(more: Partial<OpenContentsOptions> = {}): Promise<BlobContents> {
    this.#life = new Life()
    const contents = await openContents({
      database: this.database,
      native: this.native === null ? null : this.#mortalNative(this.native, this.#life),
      folder: this.folder,
      limit: this.limit,
      host: this.host,
      readBudgetBytes: this.readBudgetBytes,
      deadlines: { readMs: this.readMs },
      bootId: this.bootId,
      takenOver: this.takenOver,
      disk: this.#mortalDisk(this.disk, this.#life),
      clock: this.#mortalClock(this.#life),
      timing: { saveMs: this.saveMs, closeSyncMs: this.closeSyncMs, cleanSyncMs: this.cleanSyncMs, roomWaitMs: this.roomWaitMs },
      ...more,
    })
    this.contents = contents
    return contents
  }

  /** The process dies here; the disk is as it is. */
  async crash(): Promise<void> {
    await this.#life.kill()
    for (const fd of this.#fds) await localDisk.close(fd).catch(() => undefined)
    this.#fds.clear()
    this.database.sql.close()
    this.contents = undefined
  }

  reopenDatabase(): void {
    this.database = openPlainDatabase(join(this.folder, 'drive.sqlite'))
  }

  async end(): Promise<void> {
    await this.contents?.close()
    await this.#life.kill()
    for (const fd of this.#fds) await localDisk.close(fd).catch(() => undefined)
    this.database.sql.close()
    await rm(this.folder, { recursive: true, force: true })
  }

  /** A node that the provider has. */
  remoteNode(data: Buffer): number {
    const node = this.#insertNode(data.length)
    this.remote.set(node, { rev: `${node}-1`, data })
    const { sql } = this.database
    sql
      .prepare(
        'INSERT INTO remote (parent, name, type, size, mtime_s, mtime_n, rev, node, content, attrs) VALUES (1, ?, ?, ?, 1000, 5, ?, ?, 1, 1)',
      )
      .run(Buffer.from(`f${node}`), 'file', data.length, `${node}-1`, node)
    sql.prepare('INSERT INTO name (parent, name, node) VALUES (1, ?, ?)').run(Buffer.from(`f${node}`), node)
    return node
  }

  /** A node that is only here. */
  newNode(): number {
    return this.database.transaction(() => {
      const node = this.#insertNode(0)
      this.database.sql.prepare('INSERT INTO name (parent, name, node) VALUES (1, ?, ?)').run(Buffer.from(`f${node}`), node)
      this.need().create(node)
      return node
    })
  }

  #insertNode(size: number): number {
    const { lastInsertRowid } = this.database.sql
      .prepare(
        'INSERT INTO node (ino, mode, uid, gid, nlink, size, atime_s, atime_n, mtime_s, mtime_n, ctime_s, ctime_n) VALUES (0, 33188, 0, 0, 1, ?, 0, 0, 1000, 5, 1000, 5)',
      )
      .run(size)
    return Number(lastInsertRowid)
  }

  need(): BlobContents {
    if (this.contents === undefined) throw new Error('not open')
    return this.contents
  }

  row(node: number): { size: number; content: number; generation: number; hot: number; fault: string | null; mtime_s: number } {
    const row = this.database.sql
      .prepare<[number], { size: number; content: number; generation: number; hot: number; fault: string | null; mtime_s: number }>(
        'SELECT * FROM node WHERE id = ?',
      )
      .get(node)
    if (row === undefined) throw new Error(`no node ${node}`)
    return row
  }

  exists(node: number): boolean {
    return this.database.sql.prepare('SELECT 1 FROM node WHERE id = ?').get(node) !== undefined
  }

  blobRow(
    node: number,
  ): { generation: number; whole: number; synced: number; bytes: number; extents: Buffer | null; base_rev: string | null } | undefined {
    return this.database.sql
      .prepare<
        [number],
        { generation: number; whole: number; synced: number; bytes: number; extents: Buffer | null; base_rev: string | null }
      >('SELECT blob.* FROM blob JOIN node ON node.id = blob.node AND node.generation = blob.generation WHERE node.id = ?')
      .get(node)
  }

  async write(node: number, position: number, data: Buffer): Promise<number> {
    return this.need().write(node, data, 0, data.length, position, false)
  }

  async read(node: number, position: number, length: number): Promise<Buffer> {
    const target = Buffer.alloc(length, 0xee)
    const got = await this.need().read(node, position, length, target, 0, signal)
    return target.subarray(0, got)
  }

  size(node: number): number {
    return this.need().live(node)?.size ?? this.row(node).size
  }

  async readAll(node: number): Promise<Buffer> {
    const size = this.size(node)
    return this.read(node, 0, size)
  }

  /** Uploads what the node is now, as the queue would. */
  async upload(node: number, snapshot = false): Promise<Buffer> {
    const contents = this.need()
    const source = await contents.source(node, { snapshot })
    try {
      const data = await source.read(0, source.size, signal)
      this.confirm(node, source.content, data)
      return data
    } finally {
      source.close()
    }
  }

  confirm(node: number, content: number, data: Buffer): void {
    const rev = `${node}-u${content}`
    this.remote.set(node, { rev, data: Buffer.from(data) })
    this.database.transaction(() => {
      const { sql } = this.database
      const changed = sql
        .prepare('UPDATE remote SET content = ?, size = ?, rev = ? WHERE node = ?')
        .run(content, data.length, rev, node).changes
      if (changed === 0) {
        sql
          .prepare(
            'INSERT INTO remote (parent, name, type, size, mtime_s, mtime_n, rev, node, content, attrs) VALUES (1, ?, ?, ?, 1000, 5, ?, ?, ?, 1)',
          )
          .run(Buffer.from(`f${node}`), 'file', data.length, rev, node, content)
      }
      this.need().uploaded(node, content, rev)
    })
  }

  blobPath(node: number): string {
    const { generation } = this.row(node)
    return join(this.folder, 'blobs', folderOf(node), `${node}.${generation}`)
  }

  blobBytes(node: number): Promise<Buffer> {
    return readFile(this.blobPath(node))
  }

  #mortalClock(life: Life): Clock {
    return {
      now: () => Date.now(),
      monotonic: () => performance.now(),
      after: (milliseconds, work) => {
        const timer = setTimeout(() => {
          if (!life.dead) work()
        }, milliseconds)
        timer.unref()
        return () => clearTimeout(timer)
      },
    }
  }

  #mortalDisk(disk: Disk, life: Life): Disk {
    const opened = (fd: number): number => {
      this.#fds.add(fd)
      return fd
    }
    return {
      open: (path, create) => life.run(() => disk.open(path, create).then(opened)),
      openToRead: (path) => life.run(() => disk.openToRead(path).then(opened)),
      close: (fd) =>
        life.run(() => {
          this.#fds.delete(fd)
          return disk.close(fd)
        }),
      read: (fd, target, offset, length, position) => life.run(() => disk.read(fd, target, offset, length, position)),
      write: (fd, data, offset, length, position) => life.run(() => disk.write(fd, data, offset, length, position)),
      makeNow: (path) => {
        const fd = life.dead ? -1 : disk.makeNow(path)
        return fd < 0 ? fd : opened(fd)
      },
      writeNow: (fd, data, offset, length, position) => (life.dead ? -1 : disk.writeNow(fd, data, offset, length, position)),
      truncate: (fd, size) => life.run(() => disk.truncate(fd, size)),
      datasync: (fd) => life.run(() => disk.datasync(fd)),
      syncFolder: (path) => life.run(() => disk.syncFolder(path)),
      facts: (fd) => life.run(() => disk.facts(fd)),
      factsAt: (path) => life.run(() => disk.factsAt(path)),
      makeFolder: (path) => life.run(() => disk.makeFolder(path)),
      list: (path) => life.run(() => disk.list(path)),
      remove: (path) => life.run(() => disk.remove(path)),
      move: (from, to) => life.run(() => disk.move(from, to)),
      readText: (path) => life.run(() => disk.readText(path)),
      writeText: (path, text) => life.run(() => disk.writeText(path, text)),
      free: (path) => life.run(() => disk.free(path)),
      lock: async () => () => undefined,
    }
  }

  #mortalNative(native: Native, life: Life): Native {
    return {
      ...native,
      fallocate: (fd, mode, offset, length) => life.run(() => native.fallocate(fd, mode, offset, length)),
      cloneFile: (from, to) => life.run(() => native.cloneFile(from, to)),
      copyRange: (from, fromOffset, to, toOffset, length) => life.run(() => native.copyRange(from, fromOffset, to, toOffset, length)),
    }
  }
}

/** Where files cost no disk: for histories by the hundred. */
export async function memoryFolder(): Promise<string> {
  return (await localDisk.factsAt('/dev/shm')) === undefined ? tmpdir() : '/dev/shm'
}

/** Bytes that differ from place to place, and from seed to seed. */
export function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length)
  let state = (seed * 2654435761 + 1) >>> 0
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    bytes[at] = state >>> 24
  }
  return bytes
}

/** Waits until `check` holds, at most ten seconds: so long only where the machine is busy, or something is wrong. */
export async function until(check: () => boolean): Promise<void> {
  for (const end = performance.now() + 10_000; performance.now() < end; ) {
    if (check()) return
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
  throw new Error('it did not happen')
}
