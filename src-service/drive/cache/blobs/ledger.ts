import { CloudError } from '../../../common/errors.ts'
import { wallTime } from '../../../common/wall-time.ts'
import type { Times } from './blob-rows.ts'
import { BlockMap, blockSize, blocksOf } from './block-map.ts'
import type { BlobContext } from './context.ts'
import { Extents } from './extents.ts'
import type { Generations } from './generations.ts'
import type { LocalBlob } from './local-blob.ts'
import { pruneExtents } from './prune-extents.ts'
import type { Room } from './room.ts'

/** Dirty ranges of one file that is not whole; beyond that its rows would cost more than its bytes. */
const extentsAtMost = 65_536

/**
 * What changes within one file and is written down, each in one transaction, with what memory makes of it after the commit.
 * Synchronous: nobody sees a half.
 */
export class Ledger {
  readonly #context: BlobContext
  readonly #room: Room
  readonly #generations: Generations

  constructor(context: BlobContext, room: Room, generations: Generations) {
    this.#context = context
    this.#room = room
    this.#generations = generations
  }

  /** Before a byte of the blob changes; nothing if that is written down already. */
  soil(blob: LocalBlob): void {
    this.#resolveSettled(blob)
    if (blob.dirty && !blob.sealed && blob.hot) return
    const { rows, database, host, wal } = this.#context
    const raise = blob.sealed
    const first = !blob.dirty
    const { rowWhole } = blob
    const commit = (work: () => void): void => {
      if (blob.hot && isVouched(blob)) database.transaction(() => wal.light(work))
      else database.transaction(work)
    }
    if (first) {
      blob.rowWhole = blob.whole
      blob.rowPresent = blob.present.clone()
      if (!blob.whole) blob.charged = blob.present.clone()
    }
    let content: number | undefined = blob.content
    try {
      commit(() => {
        if (raise) content = rows.raiseContent(blob.node, true)
        else rows.heat(blob.node)
        if (content === undefined) throw new CloudError('stale', `node ${blob.node} is gone`)
        if (first) rows.update(blob.node, blob.generation, { ...blob.row(), ...this.#soiled(blob) })
        if (raise) host.dirtied(blob.node, true)
      })
    } catch (error) {
      blob.rowWhole = rowWhole
      if (first && !blob.whole) blob.charged = blob.present
      throw error
    }
    if (first) {
      blob.dirty = true
      blob.extents = new Extents()
      blob.synced = 0
      blob.syncedSize = 0
      if (blob.whole) blob.baseRev = null
      this.#room.account(blob)
    }
    blob.hot = true
    if (raise) blob.unseal(content)
  }

  #soiled(blob: LocalBlob): { synced: number; syncedSize: number; extents: Buffer | null; baseRev: string | null } {
    return { synced: 0, syncedSize: 0, extents: blob.whole ? null : Buffer.alloc(0), baseRev: blob.whole ? null : blob.baseRev }
  }

  /** Bytes [start, end) of the blob are our own now. */
  wrote(blob: LocalBlob, start: number, end: number): void {
    const first = Math.floor(start / blockSize)
    const last = blocksOf(end)
    blob.size = Math.max(blob.size, end)
    blob.writes += 1
    blob.watch?.add(start, end)
    blob.charged.addRange(first, last)
    this.#room.account(blob)
    this.#stamp(blob)
    // Beyond the base, and in blocks of it that the row knows to be here, there is nothing that a fetch could overwrite.
    if (blob.rowWhole || start >= blob.baseSize || blob.rowPresent.firstMissing(first, blocksOf(Math.min(end, blob.baseSize))) < 0) return
    blob.extents.add(start, Math.min(end, blob.baseSize))
    if (blob.extents.count > extentsAtMost)
      throw new CloudError('no-space', 'too many scattered changes in a file that is not wholly local')
    blob.noteCovered(start, end)
    this.#context.rows.setExtents(blob.node, blob.generation, blob.extents.encode(), blob.bytes)
  }

  /** [start, end) takes room now, whatever its bytes are; the file may be longer. */
  preallocated(blob: LocalBlob, start: number, end: number, size: number): void {
    blob.size = Math.max(blob.size, size)
    blob.writes += 1
    blob.charged.addRange(Math.floor(start / blockSize), blocksOf(end))
    this.#room.account(blob)
    this.#stamp(blob)
  }

  /** [start, end) is a hole now. */
  punched(blob: LocalBlob, start: number, end: number): void {
    this.wrote(blob, start, end)
    const whole = end >= blob.size ? blocksOf(end) : Math.floor(end / blockSize)
    for (let block = blocksOf(start); block < whole; block += 1) blob.charged.delete(block)
    this.#room.account(blob)
  }

  #stamp(blob: LocalBlob): void {
    // The row may have been brought up to date while the bytes were on their way.
    if (!blob.hot) this.#context.rows.heat(blob.node)
    blob.hot = true
    const { sec, nsec } = wallTime()
    blob.live = { size: blob.size, mtimeSec: sec, mtimeNsec: nsec }
  }

  /** The file has another size (not 0). A shorter one cuts the base for good. */
  resized(blob: LocalBlob, size: number): void {
    const { rows, database } = this.#context
    const shorter = size < blob.size
    if (shorter) blob.watch?.add(size, blob.size)
    blob.size = size
    blob.writes += 1
    this.#stamp(blob)
    if (shorter) {
      const blocks = blocksOf(size)
      blob.charged.truncate(blocks)
      blob.baseSize = Math.min(blob.baseSize, size)
      blob.present.truncate(blocksOf(blob.baseSize))
      blob.rowPresent.truncate(blocksOf(blob.baseSize))
      blob.extents.remove(size, Infinity)
      blob.noteCovered(Math.max(0, blob.baseSize - 1), blob.baseSize)
      blob.syncedSize = Math.min(blob.syncedSize, size)
    }
    this.#room.account(blob)
    if (shorter) database.transaction(() => rows.update(blob.node, blob.generation, blob.row()))
  }

  /**
   * An fdatasync covered `content` and the blocks `present` of a dirty blob: it is proved from now on, whatever is written later.
   */
  proved(
    blob: LocalBlob,
    what: { readonly content: number; readonly size: number; readonly whole: boolean; readonly present: BlockMap },
  ): void {
    const { rows, database, wal } = this.#context
    const light = isVouched(blob)
    const vouched = blob.synced > 0
    blob.synced = what.content
    blob.syncedSize = what.size
    if (!blob.rowWhole) {
      blob.rowWhole = what.whole
      if (what.whole) blob.baseRev = null
      else blob.rowPresent = what.present
      if (what.whole) blob.extents = new Extents()
      else pruneExtents(blob)
    }
    const write = (): void => rows.update(blob.node, blob.generation, blob.row())
    database.transaction(() => {
      if (blob.opens === 0) this.settle(blob)
      if (light) wal.light(write)
      else write()
    })
    if (!vouched) blob.vouchedSince = wal.mark()
    this.#generations.newerProved(blob.node)
  }

  /** An fdatasync covered these blocks (`whole`: all) of a clean blob. */
  provedClean(blob: LocalBlob, whole: boolean, present: BlockMap): void {
    blob.rowWhole = whole
    blob.synced = 1
    blob.covered = true
    this.#context.rows.update(blob.node, blob.generation, { ...blob.row(), ...(whole ? {} : { present: present.encode() }) })
    // What came meanwhile is not covered.
    if (!whole && present.count !== blob.present.count) blob.synced = 0
  }

  /** Marks the node as being in error, loudly. */
  fault(blob: LocalBlob, fault: string, error: CloudError): void {
    const { host, rows } = this.#context
    host.log('error', error.message, { node: blob.node, fault, code: error.code })
    try {
      rows.setFault(blob.node, fault)
    } catch (cause) {
      // The same disk holds the database.
      host.log('error', 'a fault could not be written down', { node: blob.node, reason: CloudError.from(cause).message })
    }
  }

  /** Inside a transaction: writes down where the row lags behind memory (blocks that came, room, last use, size). */
  save(blob: LocalBlob): void {
    if (blob.generation === 0) return
    if (blob.opens === 0) this.settle(blob)
    if (!blob.dirty && !blob.rowWhole) {
      // The new blocks are not known to be on disk, and the row has one mark for all.
      blob.synced = 0
      blob.rowWhole = blob.whole
    }
    this.#context.rows.update(blob.node, blob.generation, blob.row())
  }

  /** Inside a transaction: `live` goes to the row. */
  settle(blob: LocalBlob): void {
    this.#resolveSettled(blob)
    const { live } = blob
    if (live === undefined) return
    this.#context.rows.settle(blob.node, live)
    blob.settled = live
    blob.live = undefined
    blob.hot = false
    this.#context.database.afterCommit(() => {
      if (blob.settled === live) blob.settled = undefined
    })
  }

  live(blob: LocalBlob): Times | undefined {
    this.#resolveSettled(blob)
    return blob.live
  }

  /** A transaction that took `live` may have been undone: then the row is hot again. */
  #resolveSettled(blob: LocalBlob): void {
    const { settled } = blob
    if (settled === undefined) return
    const { rows, database } = this.#context
    const undone = rows.content(blob.node)?.hot === 1
    if (undone) {
      blob.live ??= settled
      blob.hot = true
    }
    if (undone || !database.sql.inTransaction) blob.settled = undefined
  }

  /** Inside the transaction that records the upload of `content` as `rev`. */
  uploaded(blob: LocalBlob, content: number, rev: string): void {
    const { rows, database } = this.#context
    if (!blob.dirty) {
      this.revised(blob, rev)
      return
    }
    if (!blob.whole) throw new CloudError('internal', `node ${blob.node} was uploaded without being whole`)
    if (rows.content(blob.node)?.content !== content) {
      // What was fsynced is at the provider now: only a later fsync promises anything about what was written since.
      const { synced, syncedSize } = blob
      if (synced > content) return
      rows.setSynced(blob.node, blob.generation, 0, 0)
      database.afterCommit(() => {
        if (blob.synced === synced && blob.syncedSize === syncedSize) {
          blob.synced = 0
          blob.syncedSize = 0
        }
      })
      return
    }
    this.settle(blob)
    const synced = blob.synced >= content ? 1 : 0
    const { bytes, usedAt } = blob
    const row = {
      whole: true,
      present: blob.chargedRow(),
      extents: null,
      baseRev: rev,
      baseSize: blob.size,
      synced,
      syncedSize: 0,
      bytes,
      usedAt,
    }
    rows.update(blob.node, blob.generation, row)
    database.afterCommit(() => {
      blob.dirty = false
      blob.sealed = true
      blob.baseRev = rev
      blob.baseSize = blob.size
      blob.extents = new Extents()
      blob.present = new BlockMap()
      blob.rowWhole = true
      blob.synced = synced
      blob.syncedSize = 0
      blob.covered = synced === 1
      blob.cleanSince = this.#context.wal.mark()
      this.#room.account(blob)
    })
  }

  /** Inside a transaction: the provider gave the same bytes another version (attributes changed, object moved). */
  revised(blob: LocalBlob, rev: string): void {
    if (blob.baseRev === null) return
    const before = blob.baseRev
    this.#context.rows.setBaseRev(blob.node, rev)
    this.#context.database.afterCommit(() => {
      if (blob.baseRev === before) blob.baseRev = rev
    })
  }
}

/** The row vouches for the file, whatever is written to it (see decision 0008). */
function isVouched(blob: LocalBlob): boolean {
  return blob.dirty && blob.rowWhole && blob.synced > 0
}
