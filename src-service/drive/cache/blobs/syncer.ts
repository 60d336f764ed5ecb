import { CloudError } from '../../../common/errors.ts'
import type { BlobFile } from './blob-file.ts'
import type { BlobFiles } from './blob-files.ts'
import type { BlobTable } from './blob-table.ts'
import type { BlobContext } from './context.ts'
import type { Ledger } from './ledger.ts'
import type { LocalBlob } from './local-blob.ts'
import { SharedRun } from './shared-run.ts'
import { Slots } from './slots.ts'

/** The pool has other work too. */
const syncsAtOnce = 4
const batch = 64

export interface SyncerParts {
  readonly context: BlobContext
  readonly blobs: BlobTable
  readonly files: BlobFiles
  readonly ledger: Ledger
  /** fdatasync of a blob failed: whatever the kernel has of it in memory may never reach the disk. */
  readonly onFailure: (blob: LocalBlob) => void
}

/** fdatasync of blobs and what follows from it: `synced`, and presence that a dirty blob's row may claim. */
export class Syncer {
  readonly #parts: SyncerParts
  readonly #slots = new Slots(syncsAtOnce)
  readonly #runs = new WeakMap<LocalBlob, SharedRun>()
  /** By path; as many as there are folders of blobs. */
  readonly #folders = new Map<string, SharedRun>()

  constructor(parts: SyncerParts) {
    this.#parts = parts
  }

  /** What was written before the call survives a power loss afterwards. @throws io */
  async sync(blob: LocalBlob): Promise<void> {
    const { wal } = this.#parts.context
    if (!blob.dirty) return wal.run()
    // A row that says so already vouches for the file as it is: only its bytes, and what else was committed so far, have to reach the disk.
    const vouched = blob.rowWhole && blob.synced > 0
    await (vouched ? Promise.all([this.flush(blob), wal.runForVouched()]) : this.flush(blob))
    // Unless an upload or a truncation took that back meanwhile.
    if (!vouched || !wal.covers(blob.vouchedSince)) await wal.run()
  }

  /** All dirty blobs and the database. Tries all; throws what failed first. */
  async syncAll(): Promise<void> {
    const { context, blobs } = this.#parts
    const nodes = new Set(context.rows.unsynced())
    for (const blob of blobs.all()) if (blob.dirty && !proved(blob)) nodes.add(blob.node)
    const all = [...nodes]
    let failure: unknown
    for (let at = 0; at < all.length; at += batch) {
      const results = await Promise.allSettled(all.slice(at, at + batch).map((node) => this.#flushNode(node)))
      for (const result of results) if (result.status === 'rejected') failure ??= result.reason
    }
    await context.wal.run()
    if (failure !== undefined) throw CloudError.from(failure)
  }

  /** The blob's bytes are on disk and its row says so, though a power loss could still take the row back (see `sync`). */
  flush(blob: LocalBlob): Promise<void> {
    let run = this.#runs.get(blob)
    if (run === undefined) {
      run = new SharedRun(() => this.#flush(blob))
      this.#runs.set(blob, run)
    }
    return run.run()
  }

  async #flushNode(node: number): Promise<void> {
    const blob = this.#parts.blobs.find(node)
    if (blob?.dirty === true) await this.flush(blob)
  }

  async #flush(blob: LocalBlob): Promise<void> {
    while (blob.generation !== 0 && !proved(blob)) {
      if (blob.broken) throw new CloudError('io', 'a file could not be written to the disk')
      const { generation, content, size, whole, writes } = blob
      const present = blob.present.clone()
      // What is written from now on is not covered.
      blob.sealed = true
      if (blob.bytes > 0 || size > 0) await this.#datasync(blob)
      // Another generation is another file: what was written to it before the call is not covered yet.
      if (blob.generation !== generation) continue
      blob.syncedWrites = writes
      present.keepOnly(blob.present)
      if (blob.dirty) this.#parts.ledger.proved(blob, { content, size: Math.min(size, blob.size), whole, present })
      else this.#parts.ledger.provedClean(blob, whole, present)
      return
    }
  }

  /** Files made one after the other share a folder, and one sync of it. */
  #syncFolder(path: string): Promise<void> {
    let run = this.#folders.get(path)
    if (run === undefined) {
      run = new SharedRun(() => this.#parts.context.disk.syncFolder(path))
      this.#folders.set(path, run)
    }
    return run.run()
  }

  async #datasync(blob: LocalBlob): Promise<void> {
    const { generation } = blob
    const path = this.#parts.files.folderPath(blob.node)
    blob.syncing = true
    try {
      // What holds bytes is in its folder already. At the same time: the disk then makes one thing of both.
      const folder = blob.folderSynced || blob.bytes === 0 ? undefined : this.#syncFolder(path)
      folder?.catch(() => undefined)
      // Only who has its turn opens its file: thousands may wait.
      const file = await this.#slots.run(() => this.#syncBytes(blob))
      if (blob.folderSynced) return
      await (folder ?? this.#syncFolder(path)).catch((error: unknown) => this.#failed(blob, file, error))
      blob.folderSynced = blob.generation === generation
    } finally {
      blob.syncing = false
    }
  }

  async #syncBytes(blob: LocalBlob): Promise<BlobFile> {
    const { context, files } = this.#parts
    const file = await files.hold(blob)
    try {
      await context.disk.datasync(file.fd)
      return file
    } catch (error) {
      return this.#failed(blob, file, error)
    } finally {
      files.release(file)
    }
  }

  #failed(blob: LocalBlob, file: BlobFile, error: unknown): never {
    if (!file.detached) this.#parts.onFailure(blob)
    throw new CloudError('io', 'a file could not be written to the disk', { cause: error })
  }
}

/** True if the row says everything that a sync could make it say. */
function proved(blob: LocalBlob): boolean {
  if (blob.syncedWrites !== blob.writes || blob.rowWhole !== blob.whole) return false
  if (!blob.dirty) return blob.synced === 1
  return blob.synced === blob.content && (blob.whole || blob.rowPresent.count === blob.present.count)
}
