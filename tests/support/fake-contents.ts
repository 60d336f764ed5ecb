import { wallTime } from '../../src-service/common/wall-time.ts'
import { CloudError } from '../../src-service/common/errors.ts'
import type { Contents, ContentsHost } from '../../src-service/drive/cache/contents.ts'
import type { Tree } from '../../src-service/drive/cache/tree.ts'
import { bytesOf } from '../../src-service/drive/connectors/bytes-of.ts'

interface Bytes {
  data: Buffer
  dirty: boolean
  /** The content version that an upload reads: the next WRITE raises node.content. */
  sealed: boolean
  base: string | undefined
}

/** What outlives a crash of the drive, as the disk would. */
export class FakeDisk {
  readonly blobs = new Map<number, Bytes>()
}

export interface FakeContentsHost {
  readonly tree: Tree
  readonly disk: FakeDisk
  readonly host: Pick<ContentsHost, 'dirtied' | 'readRemote' | 'remoteVersion'>
  /** Milliseconds, of a clock that only grows. */
  now(): number
}

/** Contents in memory with the rules of the real ones: sealed generations, dirty until confirmed, whole or not local at all. */
export class FakeContents implements Contents {
  readonly #host: FakeContentsHost
  readonly #open = new Map<number, { all: number; writers: number }>()
  readonly #lastWrite = new Map<number, number>()
  readonly #sql

  constructor(host: FakeContentsHost) {
    this.#host = host
    this.#sql = {
      raise: host.tree.database.sql.prepare('UPDATE node SET content = content + 1 WHERE id = ?'),
      size: host.tree.database.sql.prepare('UPDATE node SET size = ?, mtime_s = ?, mtime_n = ? WHERE id = ?'),
    }
  }

  opened(node: number, writable: boolean): void {
    const count = this.#open.get(node) ?? { all: 0, writers: 0 }
    this.#open.set(node, { all: count.all + 1, writers: count.writers + (writable ? 1 : 0) })
  }

  released(node: number, writable: boolean): void {
    const count = this.#open.get(node)
    if (count !== undefined) this.#open.set(node, { all: count.all - 1, writers: count.writers - (writable ? 1 : 0) })
  }

  openCount(node: number): number {
    return this.#open.get(node)?.all ?? 0
  }

  writerCount(node: number): number {
    return this.#open.get(node)?.writers ?? 0
  }

  readNow(): number {
    return -1
  }

  async read(node: number, position: number, length: number, target: Buffer, targetOffset: number, signal: AbortSignal): Promise<number> {
    await this.fetchAll(node, signal)
    return this.#need(node).data.copy(target, targetOffset, position, position + length)
  }

  write(node: number, data: Buffer, dataOffset: number, length: number, position: number): Promise<number> {
    this.#dirty(node)
    const blob = this.#need(node)
    const size = Math.max(blob.data.length, position + length)
    const next = Buffer.alloc(size)
    blob.data.copy(next)
    data.copy(next, position, dataOffset, dataOffset + length)
    blob.data = next
    this.#setSize(node, size)
    this.#lastWrite.set(node, this.#host.now())
    this.#host.host.dirtied(node, false)
    return Promise.resolve(length)
  }

  truncate(node: number, size: number): Promise<void> {
    if (size === 0 && !this.#host.disk.blobs.has(node))
      this.#host.disk.blobs.set(node, { data: Buffer.alloc(0), dirty: false, sealed: false, base: undefined })
    this.#dirty(node)
    const blob = this.#need(node)
    const next = Buffer.alloc(size)
    blob.data.copy(next)
    blob.data = next
    this.#setSize(node, size)
    return Promise.resolve()
  }

  #setSize(node: number, size: number): void {
    const { sec, nsec } = wallTime()
    this.#sql.size.run(size, sec, nsec, node)
  }

  #dirty(node: number): void {
    const blob = this.#need(node)
    if (blob.dirty && !blob.sealed) return
    this.#host.tree.database.transaction(() => {
      this.#sql.raise.run(node)
      blob.dirty = true
      blob.sealed = false
      this.#host.host.dirtied(node, true)
    })
  }

  #need(node: number): Bytes {
    const blob = this.#host.disk.blobs.get(node)
    if (blob === undefined) throw new CloudError('internal', `node ${node} is not local`)
    return blob
  }

  allocate(): Promise<void> {
    return Promise.resolve()
  }

  copy(): Promise<number> {
    return Promise.reject(new CloudError('unsupported', 'not in tests'))
  }

  seek(): number {
    return -1
  }

  sync(): Promise<void> {
    return Promise.resolve()
  }

  syncAll(): Promise<void> {
    return Promise.resolve()
  }

  create(node: number): void {
    this.#host.disk.blobs.set(node, { data: Buffer.alloc(0), dirty: true, sealed: false, base: undefined })
  }

  forget(node: number): void {
    this.#host.disk.blobs.delete(node)
  }

  live(): undefined {
    return undefined
  }

  settle(): void {
    // Rows are always up to date here.
  }

  localBytes(node: number): number {
    return this.#host.disk.blobs.get(node)?.data.length ?? 0
  }

  isWhole(node: number): boolean {
    return this.#host.disk.blobs.has(node)
  }

  openForBacking(): Promise<undefined> {
    return Promise.resolve(undefined)
  }

  async source(
    node: number,
    how: { readonly snapshot: boolean },
  ): Promise<{
    content: number
    size: number
    read: (start: number, end: number) => Promise<Buffer>
    close: () => void
  }> {
    await Promise.resolve()
    const blob = this.#need(node)
    const { content } = this.#host.tree.needNode(node)
    blob.sealed = true
    const frozen = how.snapshot ? Buffer.from(blob.data) : undefined
    return {
      content,
      size: blob.data.length,
      read: async (start, end) => {
        await Promise.resolve()
        const now = this.#host.tree.node(node)
        if (frozen !== undefined) return frozen.subarray(start, end)
        if (now !== undefined && now.content !== content) throw new CloudError('cancelled', 'overtaken by a WRITE')
        return Buffer.from(blob.data.subarray(start, end))
      },
      close: () => undefined,
    }
  }

  uploaded(node: number, content: number, rev: string): void {
    const blob = this.#host.disk.blobs.get(node)
    if (blob === undefined || this.#host.tree.node(node)?.content !== content) return
    blob.dirty = false
    blob.base = rev
  }

  revised(node: number, rev: string): void {
    const blob = this.#host.disk.blobs.get(node)
    if (blob?.base !== undefined) blob.base = rev
  }

  lastWrite(node: number): number {
    return this.#lastWrite.get(node) ?? 0
  }

  evict(node: number): Promise<number> {
    const blob = this.#host.disk.blobs.get(node)
    if (blob === undefined || blob.dirty || this.openCount(node) > 0) return Promise.resolve(0)
    this.#host.disk.blobs.delete(node)
    return Promise.resolve(blob.data.length)
  }

  async fetchAll(node: number, signal: AbortSignal): Promise<void> {
    if (this.#host.disk.blobs.has(node)) return
    const version = this.#host.host.remoteVersion(node)
    if (version === undefined) throw new CloudError('not-found', 'the provider has no bytes of it')
    const data = await bytesOf(this.#host.host.readRemote(node, 0, version.size, () => version.rev, 'reader', signal))
    // Written to meanwhile: what came is the base no more.
    if (this.#host.disk.blobs.has(node)) return
    this.#host.disk.blobs.set(node, { data, dirty: false, sealed: true, base: version.rev })
  }

  expect(): void {
    // No prefetch.
  }

  usage(): { bytes: number; limit: number; dirtyBytes: number; full: boolean } {
    return { bytes: 0, limit: 0, dirtyBytes: 0, full: false }
  }

  close(): Promise<void> {
    return Promise.resolve()
  }
}
