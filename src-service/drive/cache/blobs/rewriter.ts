import { CloudError } from '../../../common/errors.ts'
import type { BlobFiles } from './blob-files.ts'
import type { BlobContext } from './context.ts'
import { copyRanges, dataRanges } from './copy-blocks.ts'
import type { Generations } from './generations.ts'
import type { Ledger } from './ledger.ts'
import type { LocalBlob } from './local-blob.ts'
import type { Room } from './room.ts'

const fault = 'fsync_failed'

/**
 * After a failed fdatasync the kernel may count pages as written that never were, so the same file is never trusted again:
 * what can still be read of it goes into a new generation, which is synced by itself.
 */
export class Rewriter {
  readonly #context: BlobContext
  readonly #files: BlobFiles
  readonly #room: Room
  readonly #generations: Generations
  readonly #ledger: Ledger

  constructor(context: BlobContext, files: BlobFiles, room: Room, generations: Generations, ledger: Ledger) {
    this.#context = context
    this.#files = files
    this.#room = room
    this.#generations = generations
    this.#ledger = ledger
  }

  /** Never rejects; the node stays in error if it does not work. */
  failed(blob: LocalBlob): void {
    if (blob.broken) return
    if (!blob.dirty) {
      // The provider has it.
      if (blob.opens === 0 && blob.lock.idle) void this.#generations.drop(blob)
      return
    }
    blob.broken = true
    this.#ledger.fault(blob, fault, new CloudError('io', 'a file could not be written to the disk', { code: 'EIO' }))
    void this.#rewrite(blob).catch((error: unknown) => {
      this.#context.host.log('error', 'a file whose fsync failed could not be written anew', {
        node: blob.node,
        reason: CloudError.from(error).message,
      })
    })
  }

  async #rewrite(blob: LocalBlob): Promise<void> {
    const context = this.#context
    const bytes = blob.charge()
    await this.#room.forDirty(bytes, true)
    try {
      await blob.lock.hold(0, Infinity, false, async () => {
        if (!blob.broken || blob.generation === 0) return
        const generation = context.rows.nextGeneration()
        const path = this.#files.pathOf(blob.node, generation)
        const file = await this.#files.hold(blob)
        try {
          await this.#copy(blob, file.fd, path)
        } finally {
          this.#files.release(file)
        }
        this.#generations.moved(blob, generation)
        context.database.transaction(() => context.rows.clearFault(blob.node, fault))
      })
    } finally {
      this.#room.giveBack(bytes)
    }
  }

  async #copy(blob: LocalBlob, fromFd: number, path: string): Promise<void> {
    const { disk } = this.#context
    const fd = await disk.open(path, true)
    try {
      await disk.truncate(fd, blob.size)
      await copyRanges(this.#context, fromFd, fd, await dataRanges(this.#context, fromFd, blob.size))
      await disk.datasync(fd)
      await disk.syncFolder(this.#files.folderPath(blob.node))
    } finally {
      await disk.close(fd)
    }
  }
}
