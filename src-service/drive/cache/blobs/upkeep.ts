import { CloudError } from '../../../common/errors.ts'
import type { BlobFiles } from './blob-files.ts'
import type { BlobTable } from './blob-table.ts'
import type { BlobContext } from './context.ts'
import type { Ledger } from './ledger.ts'
import type { LocalBlob } from './local-blob.ts'
import type { Remover } from './remover.ts'
import type { Syncer } from './syncer.ts'

/** Milliseconds; tests shorten them. */
export interface UpkeepTiming {
  /** Rows follow memory (presence, room, last use) after this. */
  readonly saveMs: number
  /** A dirty file is synced so long after its last close. */
  readonly closeSyncMs: number
  /** Clean files are synced this often. */
  readonly cleanSyncMs: number
}

/** Of files nobody waits for. */
const batch = 16

export const defaultTiming: UpkeepTiming = { saveMs: 1000, closeSyncMs: 5000, cleanSyncMs: 30_000 }

export interface UpkeepParts {
  readonly context: BlobContext
  readonly blobs: BlobTable
  readonly files: BlobFiles
  readonly ledger: Ledger
  readonly remover: Remover
  readonly syncer: Syncer
  readonly timing: UpkeepTiming
}

/** What is done behind, in time: rows that follow memory, syncs that nobody asked for, rows of removed files. */
export class Upkeep {
  readonly #parts: UpkeepParts
  readonly #changed = new Set<LocalBlob>()
  /** Dirty files that were closed, with the time of their sync. */
  readonly #closed = new Map<LocalBlob, number>()
  /** Clean files with bytes that may not be on disk: those since the last round, and those before. */
  #fresh = new Set<LocalBlob>()
  #aged = new Set<LocalBlob>()
  #cleanRound = 0
  #cancel: (() => void) | undefined
  #syncing: Promise<void> | undefined
  #stopped = false

  constructor(parts: UpkeepParts) {
    this.#parts = parts
  }

  /** The row of this blob lags behind. */
  changed(blob: LocalBlob): void {
    this.#changed.add(blob)
    this.kick()
  }

  /** The last handle went. */
  closed(blob: LocalBlob): void {
    if (!blob.dirty) return
    this.#closed.set(blob, this.#parts.context.clock.monotonic() + this.#parts.timing.closeSyncMs)
    this.kick()
  }

  /** Makes sure that the next round comes. */
  kick(): void {
    if (this.#cancel !== undefined || this.#stopped) return
    this.#cancel = this.#parts.context.clock.after(this.#parts.timing.saveMs, () => {
      this.#cancel = undefined
      this.#round()
    })
  }

  /** Resolves when no sync of ours is under way. */
  async stop(): Promise<void> {
    this.#stopped = true
    this.#cancel?.()
    await this.#syncing
  }

  /** Everything that memory knows goes to the rows, in one transaction. */
  save(): void {
    const { context, ledger, remover } = this.#parts
    const changed = [...this.#changed]
    this.#changed.clear()
    context.database.transaction(() => {
      for (const blob of changed) ledger.save(blob)
      remover.flush()
    })
    for (const blob of changed) if (!blob.dirty && blob.generation > 0 && blob.synced === 0) this.#fresh.add(blob)
  }

  #round(): void {
    const { context, blobs, files, remover } = this.#parts
    try {
      if (this.#changed.size > 0 || remover.pending) this.save()
      blobs.trim(
        (blob) => this.#changed.has(blob) || this.#closed.has(blob) || this.#fresh.has(blob) || this.#aged.has(blob),
        (blob) => files.detach(blob),
      )
    } catch (error) {
      context.host.log('warn', 'the state of local files could not be written down', { reason: CloudError.from(error).message })
    }
    this.#syncing ??= this.#sync()
    if (this.#changed.size > 0 || this.#closed.size > 0 || this.#fresh.size > 0 || this.#aged.size > 0 || remover.pending) this.kick()
  }

  async #sync(): Promise<void> {
    try {
      const now = this.#parts.context.clock.monotonic()
      await this.#syncDue([...this.#closed].filter(([, at]) => at <= now).map(([blob]) => blob))
      if (now - this.#cleanRound >= this.#parts.timing.cleanSyncMs) await this.#syncClean(now)
    } finally {
      this.#syncing = undefined
      if (this.#closed.size > 0 || this.#fresh.size > 0 || this.#aged.size > 0) this.kick()
    }
  }

  /** In batches, so that a program's fsync waits for few of them; what the rows say of all reaches the disk once, at the end. */
  async #syncDue(due: readonly LocalBlob[]): Promise<void> {
    const { context } = this.#parts
    for (let at = 0; at < due.length && !this.#stopped; at += batch) {
      await Promise.all(due.slice(at, at + batch).map((blob) => this.#syncClosed(blob)))
    }
    // Who waits for a sync is told of a failure, which stays.
    if (due.length > 0) await context.wal.run().catch(() => undefined)
  }

  async #syncClosed(blob: LocalBlob): Promise<void> {
    this.#closed.delete(blob)
    if (!blob.dirty || blob.generation === 0) return
    await this.#quietly(blob, () => this.#parts.syncer.flush(blob))
    this.changed(blob)
  }

  /** One after the other, and only what had a round's time to reach the disk by itself: that costs next to nothing. */
  async #syncClean(now: number): Promise<void> {
    this.#cleanRound = now
    const aged = this.#aged
    this.#aged = this.#fresh
    this.#fresh = new Set()
    for (const blob of aged) {
      if (this.#stopped) return
      if (!blob.dirty && blob.generation > 0) await this.#quietly(blob, () => this.#parts.syncer.flush(blob))
    }
  }

  async #quietly(blob: LocalBlob, work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      this.#parts.context.host.log('warn', 'a local file could not be synced', { node: blob.node, reason: CloudError.from(error).message })
    }
  }
}
