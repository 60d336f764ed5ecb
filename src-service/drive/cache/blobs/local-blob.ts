import type { CloudError } from '../../../common/errors.ts'
import type { BlobFile } from './blob-file.ts'
import type { BlobRow, LoadedRow, Times } from './blob-rows.ts'
import { BlockMap, blockSize, blocksOf } from './block-map.ts'
import { Extents } from './extents.ts'
import type { Flight } from './flight.ts'
import { RangeLock } from './range-lock.ts'
import type { Cursor } from './read-ahead.ts'

/** What a file's last block takes on disk is counted in these, bytes. */
const tailUnit = 4096

/** What an upload holds of one version of the bytes. */
export interface Seal {
  /** Set before the first byte changes. */
  overtaken: boolean
}

/**
 * What this process knows of one node's bytes. Holds no rules: they are with those who change it (Ledger, Writer, Fetcher, Syncer).
 *
 * Three cases. Nothing local: `generation` 0. Clean: the bytes of version `baseRev`, those of `present` or all (`whole`).
 * Dirty: all bytes, or `extents` over the blocks of the base that are `present`.
 */
export class LocalBlob {
  readonly node: number
  readonly lock = new RangeLock()
  generation = 0
  /** The node was forgotten: whoever still holds this finds nothing. */
  gone = false
  size = 0
  content = 0
  dirty = false
  /** The next write raises `content` first: clean, fsynced, being uploaded, or not yet written by this process. */
  sealed = true
  /** The row says that size and mtime are the file's. */
  hot = false
  /** Newer than the row. */
  live: Times | undefined
  /** `live` that was given to the row by a transaction that may still be undone. */
  settled: Times | undefined

  whole = false
  /** The row says whole too: until then each write into the base is written down as an extent. */
  rowWhole = false
  /** Blocks that hold the base's bytes, or are dirty all over. Unused when whole. */
  present = new BlockMap()
  /** Those of `present` that the row of a dirty blob claims: all of them are on disk, or the blob is not proved at all. */
  rowPresent = new BlockMap()
  extents = new Extents()
  /** Blocks that take room. */
  charged = new BlockMap()
  /** Bytes counted against the bound, and how many of them as dirty. */
  bytes = 0
  dirtyBytes = 0

  /** Version of the base; null: all bytes are our own. */
  baseRev: string | null = null
  /** Bytes of the base that still count (a shorter truncation cuts it). */
  baseSize = 0
  synced = 0
  syncedSize = 0
  /** Place in the WAL of the commit since which the row vouches for this generation (`synced` > 0). */
  vouchedSince = 0
  /** Writes that were finished, and how many of them the last fdatasync covered. */
  writes = 0
  syncedWrites = 0
  /** An fdatasync is under way: a write may have to wait for it. */
  syncing = false
  /** fdatasync failed on this generation: nothing more can be promised of it. */
  broken = false
  /** Ranges that change while a snapshot is being copied. */
  watch: Extents | undefined
  /** After a power loss the row might say that this blob is clean and on disk: no byte may change before the WAL says otherwise. */
  covered = false
  uncovering: Promise<void> | undefined
  /** Place in the WAL of the commit that made it clean; its file may go only when that is on disk. */
  cleanSince = 0

  opens = 0
  writers = 0
  /** Descriptors given to the kernel, open until the last release. */
  readonly backing: number[] = []
  /** By the clock that only grows. */
  lastWrite = 0
  usedAt = 0
  /** `usedAt` that the row has. */
  savedUse = 0
  file: BlobFile | undefined
  opening: Promise<BlobFile> | undefined
  folderSynced = false

  /** Blocks that are on their way. */
  readonly flights = new Map<number, Flight>()
  readonly cursors: Cursor[] = []
  /** A reader who goes through the file has got the bytes before this; nobody else needs them in memory twice. */
  passed = 0
  readonly seals = new Set<Seal>()
  filling = false
  baseLost = false
  /** To be told once, by the next write or sync. */
  trouble: CloudError | undefined

  constructor(node: number, row: LoadedRow) {
    this.node = node
    this.takeRow(row)
  }

  /** Everything that the row says; what only memory knows (opens, locks) stays. */
  takeRow(row: LoadedRow): void {
    const blocks = blocksOf(row.size)
    this.size = row.size
    this.content = row.content
    this.hot = row.hot === 1
    this.sealed = true
    this.covered = false
    if (row.whole === null) {
      this.nothingLocal()
      return
    }
    this.generation = row.generation
    this.usedAt = row.used_at ?? 0
    this.savedUse = this.usedAt
    this.bytes = row.bytes ?? 0
    this.baseRev = row.base_rev
    this.dirty = row.base_rev === null || row.extents !== null
    this.baseSize = Math.min(row.base_size ?? 0, row.size)
    this.synced = row.synced ?? 0
    this.syncedSize = row.synced_size ?? 0
    this.covered = !this.dirty && this.synced === 1
    this.syncedWrites = this.dirty && this.synced !== this.content ? -1 : this.writes
    this.whole = row.whole === 1
    this.rowWhole = this.whole
    this.extents = row.extents === null ? new Extents() : Extents.decode(row.extents)
    this.extents.remove(this.size, Infinity)
    if (this.whole) {
      this.present = new BlockMap()
      this.rowPresent = new BlockMap()
      this.charged = row.present === null ? BlockMap.full(blocks) : BlockMap.decode(row.present, Infinity)
    } else {
      this.present = BlockMap.decode(row.present ?? Buffer.alloc(0), blocksOf(this.baseSize))
      this.rowPresent = this.present.clone()
      this.charged = this.dirty ? this.present.clone() : this.present
      for (const [start, end] of this.extents) {
        this.charged.addRange(Math.floor(start / blockSize), blocksOf(end))
        this.noteCovered(start, end)
      }
    }
    this.dirtyBytes = this.dirty ? this.bytes : 0
  }

  /** Blocks of the base that [start, end) reaches into and that are dirty all over need not be fetched. */
  noteCovered(start: number, end: number): void {
    const last = blocksOf(Math.min(end, this.baseSize))
    for (let block = Math.floor(start / blockSize); block < last; block += 1) {
      if (this.extents.covers(block * blockSize, Math.min((block + 1) * blockSize, this.baseSize))) this.present.add(block)
    }
  }

  /** The state of a clean node of which no byte is here. */
  nothingLocal(): void {
    this.generation = 0
    this.dirty = false
    this.sealed = true
    this.whole = this.size === 0
    this.rowWhole = false
    this.present = new BlockMap()
    this.rowPresent = new BlockMap()
    this.charged = this.present
    this.extents = new Extents()
    this.baseRev = null
    this.baseSize = this.size
    this.synced = 0
    this.syncedSize = 0
    this.covered = false
    this.baseLost = false
    this.broken = false
    this.syncedWrites = this.writes
    this.watch = undefined
  }

  /** The bytes change now, as version `content`: whatever was sealed before is overtaken. */
  unseal(content: number): void {
    this.content = content
    this.sealed = false
    for (const seal of this.seals) seal.overtaken = true
  }

  /** The row that says what memory says. */
  row(): BlobRow {
    return {
      whole: this.rowWhole,
      present: this.rowWhole ? this.chargedRow() : this.dirty ? this.rowPresent.encode() : this.present.encode(),
      extents: this.dirty && !this.rowWhole ? this.extents.encode() : null,
      baseRev: this.dirty && this.rowWhole ? null : this.baseRev,
      baseSize: this.baseSize,
      synced: this.synced,
      syncedSize: this.syncedSize,
      bytes: this.bytes,
      usedAt: this.usedAt,
    }
  }

  /** Blocks that take room, as a whole blob's row has them. */
  chargedRow(): Buffer | null {
    const blocks = blocksOf(this.size)
    return this.charged.count === blocks && this.charged.firstMissing(0, blocks) < 0 ? null : this.charged.encode()
  }

  /** First block of [start, end) whose bytes are not here; -1 if all are. */
  firstMissing(start: number, end: number): number {
    if (this.whole) return -1
    const stop = Math.min(end, this.baseSize)
    if (start >= stop) return -1
    const last = blocksOf(stop)
    let block = this.present.firstMissing(Math.floor(start / blockSize), last)
    while (block >= 0 && this.dirty && this.extents.covers(Math.max(start, block * blockSize), Math.min(stop, (block + 1) * blockSize))) {
      block = this.present.firstMissing(block + 1, last)
    }
    return block
  }

  /** The version that bytes of this generation come from: `rev`, unless a change of ours gave the same bytes another one since. */
  revNow(rev: string): () => string {
    const { generation } = this
    return () => (this.generation === generation && !this.whole ? (this.baseRev ?? rev) : rev)
  }

  /** Ranges of [start, end), cut at blocks, of which no bytes of the base are here. `start` is the begin of a block. */
  lacking(start: number, end: number): [number, number][] {
    const runs: [number, number][] = []
    for (let at = start; !this.whole && at < end; at += blockSize) {
      const to = Math.min(at + blockSize, end)
      const last = runs.at(-1)
      if (this.present.has(at / blockSize)) continue
      if (last?.[1] === at) last[1] = to
      else runs.push([at, to])
    }
    return runs
  }

  /** Bytes of the bound that a complete base would take besides what is here. */
  missingBytes(): number {
    return this.whole ? 0 : Math.max(0, blocksOf(this.baseSize) - this.present.count) * blockSize
  }

  /** Bytes of the bound that this blob takes. */
  charge(): number {
    return chargeOf(this.charged.count, this.size, this.charged.has(Math.floor(this.size / blockSize)))
  }

  /** Bytes by which `charge` grows when [start, end) is written. */
  growth(start: number, end: number): number {
    const size = Math.max(this.size, end)
    const last = Math.floor(size / blockSize)
    const stop = blocksOf(end)
    let count = this.charged.count
    for (
      let block = this.charged.firstMissing(Math.floor(start / blockSize), stop);
      block >= 0;
      block = this.charged.firstMissing(block + 1, stop)
    ) {
      count += 1
    }
    return chargeOf(count, size, this.charged.has(last) || (last >= Math.floor(start / blockSize) && last < stop)) - this.charge()
  }
}

function chargeOf(blocks: number, size: number, lastCharged: boolean): number {
  const tail = size % blockSize
  const slack = tail > 0 && lastCharged ? blockSize - Math.ceil(tail / tailUnit) * tailUnit : 0
  return blocks * blockSize - slack
}
