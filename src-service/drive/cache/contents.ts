import type { UploadSource } from '../connectors/connector.ts'

/**
 * Bytes of files: local blobs, what is missing of them fetched from the provider, what is dirty of them kept until the
 * provider has it. Made by `openContents` (cache/blobs/). Knows nodes, never names.
 */
export interface Contents {
  /** The kernel may read and write this node until as many `released` came. A first open of a clean file keeps it from eviction. */
  opened(node: number, writable: boolean): void
  released(node: number, writable: boolean): void
  /** How many opens this process has seen and not yet released. */
  openCount(node: number): number
  /** Opens for writing that this process has seen and not yet released. */
  writerCount(node: number): number

  /** Bytes that are in the page cache of this machine: their number (0 at the end), or -1 if it would have to wait. */
  readNow(node: number, position: number, length: number, target: Buffer, targetOffset: number): number
  /** Fetches what is missing (with read-ahead). Unknown-kind errors when the provider cannot be reached; `conflict` when the base version is gone. */
  read(node: number, position: number, length: number, target: Buffer, targetOffset: number, signal: AbortSignal): Promise<number>
  /**
   * Makes the node dirty (committed before the first byte changes), then writes. Operations on one node happen in the order of their calls.
   * Little is written at once, without a Promise, while nothing has to be waited for.
   * @param reserve a write-back of mapped pages: may use the 64 MiB reserve inside the bound.
   * @throws no-space when the bound is reached and stays so for 30 s (at once while nothing can be uploaded); too-large
   */
  write(node: number, data: Buffer, dataOffset: number, length: number, position: number, reserve: boolean): Promise<number> | number
  /** Sets the size of the blob and makes the node dirty; size 0 drops the base. Idempotent. The caller commits node.size in its transaction. */
  truncate(node: number, size: number): Promise<void>
  allocate(node: number, mode: number, offset: number, length: number): Promise<void>
  copy(from: number, fromOffset: number, to: number, toOffset: number, length: number): Promise<number>
  seek(node: number, offset: number, whence: number): number | Promise<number>
  /** fdatasync of the blob and of the database's WAL, shared by all who wait; records `synced`. */
  sync(node: number): Promise<void>
  syncAll(): Promise<void>

  /** Inside a transaction: gives a new node an empty, whole, dirty blob. The file is made at the first write. */
  create(node: number): void
  /** Inside a transaction: a node that is gone for good; its file is removed after the commit. */
  forget(node: number): void
  /** Size and time of the last write of a node that was written since its row was last brought up to date; undefined otherwise. */
  live(node: number): { readonly size: number; readonly mtimeSec: number; readonly mtimeNsec: number } | undefined
  /** Inside a transaction: writes `live` to the row (size, mtime, ctime) and forgets it. Before any change of the row's size or times. */
  settle(node: number): void

  /** Local bytes of a node. */
  localBytes(node: number): number
  isWhole(node: number): boolean
  /** Descriptor of a whole, clean blob for passthrough; it stays open until `closeBacking`. undefined if not whole. */
  openForBacking(node: number): Promise<number | undefined>

  /**
   * One generation for an upload: the bytes of `content`, synced to disk first. Sealed: the next WRITE raises node.content and makes
   * `read` reject with `cancelled`, unless `snapshot` made a copy (reflink, else a copy inside the bound; `no-space` if there is no room).
   */
  source(node: number, how: { readonly snapshot: boolean }): Promise<UploadSource & { readonly content: number; close(): void }>
  /** Called inside the transaction that records a confirmed upload of `content` as version `rev`: the blob is clean if content is still current. */
  uploaded(node: number, content: number, rev: string): void
  /** Inside a transaction: our own change at the provider (attributes, move) gave the same bytes the version `rev`. */
  revised(node: number, rev: string): void
  /** Milliseconds, by the clock that only grows, of the last WRITE to this node in this process; 0 = none. */
  lastWrite(node: number): number

  /** Removes clean local bytes of a node that is not open. Returns the bytes freed. */
  evict(node: number): Promise<number>
  /**
   * Fetches everything of a node.
   * @param useReserve where there is no other room half of the reserve of `write` too: for what an upload has to have here
   * @throws no-space if it does not fit
   */
  fetchAll(node: number, signal: AbortSignal, useReserve?: boolean): Promise<void>
  /** Small files that are likely to be read next (listing order): fetched behind if the budget allows. */
  expect(nodes: readonly number[]): void
  usage(): { readonly bytes: number; readonly limit: number; readonly dirtyBytes: number; readonly full: boolean }
  close(): Promise<void>
}

/** What the contents need of the rest of the drive. */
export interface ContentsHost {
  /**
   * Bytes [start, end) of a version of the node at the provider; the same promises as `Connector.read`. Rejects `offline` while
   * offline, and `ahead` with `busy` while the bytes are on their way to another place, which a `reader` waits for.
   * @param rev the version, asked for again where a change of ours gave the same bytes another one
   */
  readRemote(
    node: number,
    start: number,
    end: number,
    rev: () => string,
    priority: 'reader' | 'ahead',
    signal: AbortSignal,
  ): AsyncIterable<Uint8Array>
  /** Version and size that the provider confirmed for this node's bytes; undefined when it has none. */
  remoteVersion(node: number): { readonly rev: string; readonly size: number } | undefined
  /** A node became dirty, or a dirty one was written again: the upload queue restarts its quiet time. `first` inside the transaction that makes it dirty. */
  dirtied(node: number, first: boolean): void
  /** The base of a dirty node is gone at the provider: its state is `conflict`. */
  baseLost(node: number): void
  /** True while dirty data can leave: online, not paused. Decides whether a full cache waits or fails at once. */
  canUpload(): boolean
  /** `usage().full` is another now. */
  fullChanged?(): void
  log(level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>): void
}
