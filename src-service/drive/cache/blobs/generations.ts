import { CloudError } from '../../../common/errors.ts'
import { wallTime } from '../../../common/wall-time.ts'
import type { BlobFiles } from './blob-files.ts'
import type { Generation } from './blob-rows.ts'
import type { BlobContext } from './context.ts'
import type { LocalBlob } from './local-blob.ts'
import type { Remover } from './remover.ts'
import type { Room } from './room.ts'

/** Row of an empty file of our own. */
const emptyBlob = {
  whole: true,
  present: null,
  extents: null,
  baseRev: null,
  baseSize: 0,
  synced: 0,
  syncedSize: 0,
  bytes: 0,
  usedAt: 0,
} as const

/** Which file a node's bytes are in: files are begun, replaced and let go of, each in one transaction. */
export class Generations {
  readonly #context: BlobContext
  readonly #files: BlobFiles
  readonly #room: Room
  readonly #remover: Remover
  /** Bytes that an older fsync promised, kept until the newer ones of the node are proved. */
  readonly #promised = new Map<number, Generation>()

  constructor(context: BlobContext, files: BlobFiles, room: Room, remover: Remover) {
    this.#context = context
    this.#files = files
    this.#room = room
    this.#remover = remover
  }

  /** A place for bytes of this version of a clean node. */
  begin(blob: LocalBlob, rev: string): void {
    const { rows, database, clock } = this.#context
    if (blob.gone) throw new CloudError('stale', `node ${blob.node} is gone`)
    const generation = rows.nextGeneration()
    blob.nothingLocal()
    blob.generation = generation
    blob.baseRev = rev
    blob.rowWhole = blob.whole
    blob.usedAt = clock.now()
    try {
      database.transaction(() => rows.insert(blob.node, generation, blob.row()))
    } catch (error) {
      blob.nothingLocal()
      throw error
    }
  }

  /** Lets go of everything local of a clean node. Resolves with the bytes that became free. */
  drop(blob: LocalBlob): Promise<number> {
    const { rows, database } = this.#context
    const what = { node: blob.node, generation: blob.generation, bytes: blob.bytes }
    const after = blob.cleanSince
    database.transaction(() => rows.setGeneration(blob.node, 0))
    this.#files.detach(blob)
    this.#room.disown(blob)
    blob.nothingLocal()
    return this.#remover.remove(what, after, true)
  }

  /** Inside a transaction: an empty file of our own for a new node. */
  create(node: number): void {
    const { rows, clock } = this.#context
    rows.insert(node, rows.nextGeneration(), { ...emptyBlob, usedAt: clock.now() })
  }

  /** An empty file in place of what was: the base and all bytes are let go. */
  empty(blob: LocalBlob): void {
    const { rows, database, host, clock } = this.#context
    const old: Generation | undefined =
      blob.generation === 0 ? undefined : { node: blob.node, generation: blob.generation, bytes: blob.bytes }
    // Bytes that an fsync promised stay until the new ones are on disk too.
    const promised = blob.dirty && blob.synced > 0
    const after = blob.dirty ? -1 : blob.cleanSince
    const generation = rows.nextGeneration()
    const { sec, nsec } = wallTime()
    let content: number | undefined
    database.transaction(() => {
      content = rows.raiseContent(blob.node, false)
      if (content === undefined) throw new CloudError('stale', `node ${blob.node} is gone`)
      rows.settle(blob.node, { size: 0, mtimeSec: sec, mtimeNsec: nsec })
      if (promised) rows.update(blob.node, blob.generation, blob.row())
      rows.insert(blob.node, generation, { ...emptyBlob, usedAt: clock.now() })
      host.dirtied(blob.node, true)
    })
    this.#files.detach(blob)
    this.#room.disown(blob)
    blob.size = 0
    blob.nothingLocal()
    blob.generation = generation
    blob.dirty = true
    blob.rowWhole = true
    blob.hot = false
    blob.live = undefined
    blob.settled = undefined
    blob.trouble = undefined
    blob.unseal(content ?? blob.content + 1)
    if (old !== undefined && promised) this.keepPromised(old)
    else if (old !== undefined) void this.#remover.remove(old, after)
  }

  /** The same bytes, on disk for sure, are now in the file of another generation. */
  moved(blob: LocalBlob, generation: number): void {
    const { rows, database, wal } = this.#context
    const old = { node: blob.node, generation: blob.generation, bytes: blob.bytes }
    blob.synced = blob.content
    blob.syncedSize = blob.size
    database.transaction(() => {
      rows.setSynced(old.node, old.generation, 0, 0)
      rows.insert(blob.node, generation, blob.row())
    })
    blob.vouchedSince = wal.mark()
    this.#files.detach(blob)
    blob.generation = generation
    blob.sealed = true
    blob.broken = false
    blob.folderSynced = true
    blob.syncedWrites = blob.writes
    this.#room.adjust(old.bytes)
    void this.#remover.remove(old, wal.mark())
  }

  /** An older fsync promised these bytes, and nothing newer of the node is proved. */
  keepPromised(what: Generation): void {
    this.#promised.set(what.node, what)
  }

  /** Newer bytes of the node are proved, or nobody wants any. */
  newerProved(node: number): void {
    const before = this.#promised.get(node)
    if (before === undefined) return
    this.#promised.delete(node)
    // As long as its row says that it is proved it would come back after a power loss.
    this.#context.rows.setSynced(node, before.generation, 0, 0)
    void this.#remover.remove(before, this.#context.wal.mark())
  }

  /** Inside a transaction: the node is going for good. */
  forget(blob: LocalBlob): void {
    const { database, wal } = this.#context
    const { node } = blob
    database.afterCommit(() => {
      // Bytes that an fsync promised go only when it is on disk that nobody wants them; others may go at once.
      const { generation } = blob
      const after = !blob.dirty ? blob.cleanSince : blob.synced > 0 ? wal.mark() : -1
      this.#files.detach(blob)
      const bytes = this.#room.disown(blob)
      for (const seal of blob.seals) seal.overtaken = true
      blob.gone = true
      blob.live = undefined
      blob.settled = undefined
      blob.size = 0
      blob.nothingLocal()
      if (generation > 0) void this.#remover.remove({ node, generation, bytes }, after)
      this.newerProved(node)
    })
  }
}
