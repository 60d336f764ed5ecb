import { CloudError } from '../../../common/errors.ts'
import { walPause } from '../database.ts'
import type { BlobFile } from './blob-file.ts'
import type { BlobFiles } from './blob-files.ts'
import type { BlobTable } from './blob-table.ts'
import type { BlobContext } from './context.ts'
import type { Fetcher } from './fetcher.ts'
import type { Filler } from './filler.ts'
import type { Generations } from './generations.ts'
import type { Ledger } from './ledger.ts'
import type { LocalBlob } from './local-blob.ts'
import type { PromptDisk } from './prompt-disk.ts'
import type { Room } from './room.ts'

/** At most so many bytes are written without the pool. */
const promptBytes = 128 * 1024
/** Freed at once when the disk is full although the bound is not reached. */
const freeOnFullDisk = 16 * 1024 * 1024

export interface WriterParts {
  readonly context: BlobContext
  readonly prompt: PromptDisk
  readonly blobs: BlobTable
  readonly files: BlobFiles
  readonly room: Room
  readonly generations: Generations
  readonly ledger: Ledger
  readonly fetcher: Fetcher
  readonly filler: Filler
  readonly evict: (bytes: number, pinned: boolean) => Promise<number>
  /** The row of this blob lags. */
  readonly onChanged: (blob: LocalBlob) => void
}

export interface ChangedRange {
  readonly start: number
  readonly end: number
  /** What nobody else may touch meanwhile; default: the range itself. */
  readonly lockStart?: number
  readonly lockEnd?: number
  readonly room: 'normal' | 'reserve' | 'none'
}

/** Changes of bytes. Those of one file that overlap happen in the order of the calls. */
export class Writer {
  readonly #parts: WriterParts

  constructor(parts: WriterParts) {
    this.#parts = parts
  }

  write(node: number, data: Buffer, dataOffset: number, length: number, position: number, reserve: boolean): Promise<number> | number {
    const { blobs, context } = this.#parts
    if (length === 0) return 0
    const where = { start: position, end: position + length, room: reserve ? 'reserve' : 'normal' } as const
    const blob = blobs.need(node)
    if (this.#writeNow(blob, data, dataOffset, where)) return length
    return this.change(blob, where, async (file) => {
      try {
        return await context.disk.write(file.fd, data, dataOffset, length, position)
      } catch (error) {
        if (CloudError.from(error).kind !== 'no-space' || (await this.#parts.evict(freeOnFullDisk, true)) === 0) throw error
        return context.disk.write(file.fd, data, dataOffset, length, position)
      }
    })
  }

  /** Does what `change` does where nothing has to be waited for; false if something has, or went wrong. */
  #writeNow(blob: LocalBlob, data: Buffer, dataOffset: number, { start, end, room }: ChangedRange): boolean {
    const { files, ledger, prompt } = this.#parts
    const length = end - start
    if (length > promptBytes || !Number.isSafeInteger(end) || !isFree(blob)) return false
    if (!this.#parts.room.fits(blob.growth(start, end), room === 'reserve')) return false
    const file = files.readyNow(blob)
    if (file === undefined) return false
    try {
      if (!this.#soilNow(blob) || !prompt.write(file.fd, data, dataOffset, length, start)) return false
      ledger.wrote(blob, start, end)
    } finally {
      files.release(file)
    }
    this.#touched(blob)
    return true
  }

  #soilNow(blob: LocalBlob): boolean {
    const { ledger, context } = this.#parts
    if (blob.dirty && !blob.sealed && blob.hot) return true
    if (context.database.walBytes() > walPause) return false
    ledger.soil(blob)
    return true
  }

  /**
   * Lets `work` change a range of the file when its turn has come, there is room, and it is written down that the node is dirty.
   * @param work resolves with how many bytes from `start` on it changed
   * @param apply says so to the ledger; default: they are our own bytes now
   */
  async change(
    blob: LocalBlob,
    where: ChangedRange,
    work: (file: BlobFile) => Promise<number>,
    apply?: (end: number) => void,
  ): Promise<number> {
    const { room, files, ledger } = this.#parts
    const { start, end } = where
    if (!Number.isSafeInteger(end)) throw new CloudError('too-large', 'a file of this size cannot be stored')
    tellTrouble(blob)
    const turn = blob.lock.ask(where.lockStart ?? start, where.lockEnd ?? end, false)
    let reserved = 0
    try {
      if (turn.ready !== undefined) await turn.ready
      if (where.room !== 'none') reserved = await this.#takeRoom(blob, start, end, where.room === 'reserve')
      const file = await this.prepare(blob)
      const { generation } = blob
      try {
        const done = await work(file)
        if (blob.generation !== generation || done <= 0) return done
        if (apply === undefined) ledger.wrote(blob, start, start + done)
        else apply(start + done)
        this.#touched(blob)
        return done
      } catch (error) {
        throw this.#failed(blob, error)
      } finally {
        files.release(file)
      }
    } finally {
      room.giveBack(reserved)
      turn.release()
    }
  }

  /** Sets the size. 0 begins a new generation without a base; the old file goes after the commit. */
  async truncate(node: number, size: number): Promise<void> {
    const { blobs, fetcher } = this.#parts
    const blob = blobs.need(node)
    if (!Number.isSafeInteger(size) || size < 0) throw new CloudError('too-large', 'a file of this size cannot be stored')
    await blob.lock.hold(0, Infinity, false, async () => {
      if (size === blob.size) return
      if (size === 0) {
        await this.#walRoom()
        this.#parts.generations.empty(blob)
        this.#touched(blob)
        // Its requests are for bytes that nobody wants now.
        void fetcher.stop(blob)
        return
      }
      tellTrouble(blob)
      const file = await this.prepare(blob)
      try {
        await this.#resize(blob, file, size)
      } catch (error) {
        throw this.#failed(blob, error)
      } finally {
        this.#parts.files.release(file)
      }
    })
  }

  async #resize(blob: LocalBlob, file: BlobFile, size: number): Promise<void> {
    const { context, ledger } = this.#parts
    const { generation } = blob
    if (blob.synced > 0 && size < blob.syncedSize) {
      // After a power loss a file shorter than this would count as damaged.
      blob.syncedSize = size
      context.database.transaction(() => context.rows.setSynced(blob.node, blob.generation, blob.synced, size))
      await context.wal.run()
    }
    await context.disk.truncate(file.fd, size)
    if (blob.generation !== generation) return
    ledger.resized(blob, size)
    this.#touched(blob)
  }

  /** The blob's open file, with everything written down that must be before a byte of it changes. To be released. */
  async prepare(blob: LocalBlob): Promise<BlobFile> {
    const { files, ledger, fetcher } = this.#parts
    if (blob.generation === 0) fetcher.base(blob)
    const file = files.ready(blob) ?? (await files.hold(blob))
    try {
      if (!blob.dirty || blob.sealed || !blob.hot) {
        await this.#walRoom()
        ledger.soil(blob)
      }
      if (blob.covered) await this.#uncover(blob)
      return file
    } catch (error) {
      files.release(file)
      throw error
    }
  }

  /** After a power loss the database may be older than the blob: it must not then say that changed bytes are the provider's. */
  #uncover(blob: LocalBlob): Promise<void> {
    blob.uncovering ??= this.#parts.context.wal
      .run()
      .then(() => {
        blob.covered = false
      })
      .finally(() => {
        blob.uncovering = undefined
      })
    return blob.uncovering
  }

  async #walRoom(): Promise<void> {
    const { database } = this.#parts.context
    if (database.walBytes() > walPause) await database.checkpointed()
  }

  /** Reserves what the change adds. @throws no-space */
  async #takeRoom(blob: LocalBlob, start: number, end: number, reserve: boolean): Promise<number> {
    const { room } = this.#parts
    const more = blob.growth(start, end)
    const missing = blob.missingBytes()
    const bound = reserve ? room.usage().limit : room.most
    if ((more > 0 || missing > 0) && blob.charge() + more + missing > bound) {
      // No upload of another file would help.
      throw new CloudError('no-space', 'a changed file must fit into the cache as a whole', { hint: 'Give the mount a larger cache.' })
    }
    if (more <= 0) return 0
    await room.forDirty(more, reserve)
    return more
  }

  #touched(blob: LocalBlob): void {
    const { context, fetcher, filler, onChanged } = this.#parts
    blob.lastWrite = context.clock.monotonic()
    blob.usedAt = context.clock.now()
    if (!blob.whole && !fetcher.completed(blob)) filler.fill(blob)
    onChanged(blob)
    context.host.dirtied(blob.node, false)
  }

  #failed(blob: LocalBlob, error: unknown): CloudError {
    const known = CloudError.from(error)
    if (known.kind === 'io' && known.code === 'EIO') this.#parts.ledger.fault(blob, 'disk_error', known)
    return known
  }
}

/** All of it is here, nobody is at work on it, and no commit has to be on disk before it may change. */
function isFree(blob: LocalBlob): boolean {
  return blob.whole && blob.lock.idle && !blob.covered && !blob.syncing && blob.trouble === undefined
}

/** What went wrong behind is told once, to the next who changes or syncs the file. */
export function tellTrouble(blob: LocalBlob): void {
  const { trouble } = blob
  if (trouble === undefined) return
  blob.trouble = undefined
  throw trouble
}
