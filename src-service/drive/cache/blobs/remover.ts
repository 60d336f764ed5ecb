import { CloudError } from '../../../common/errors.ts'
import type { BlobFiles } from './blob-files.ts'
import type { Generation } from './blob-rows.ts'
import type { BlobContext } from './context.ts'
import type { Room } from './room.ts'

/**
 * Removes files of generations that are no node's current one. The row stays until the file is gone, so that a crash in
 * between leaves neither an orphan nor a claim. Bytes that a power loss could give back to the tree go only after the
 * commit that let go of them is on disk.
 */
export class Remover {
  readonly #context: BlobContext
  readonly #files: BlobFiles
  readonly #room: Room
  /** Rows of which the file is gone, for the next `flush`. */
  #gone: Generation[] = []
  readonly #running = new Set<Promise<number>>()
  readonly #onGone: () => void

  /** @param onGone a row waits for `flush` */
  constructor(context: BlobContext, files: BlobFiles, room: Room, onGone: () => void) {
    this.#onGone = onGone
    this.#context = context
    this.#files = files
    this.#room = room
  }

  /**
   * Never rejects.
   * @param after mark in the WAL of the commit that must be on disk first; -1 = none
   * @param hurry somebody waits for the room
   * @returns bytes that became free
   */
  remove(what: Generation, after: number, hurry = false): Promise<number> {
    const running = this.#remove(what, after, hurry).finally(() => this.#running.delete(running))
    this.#running.add(running)
    return running
  }

  async #remove(what: Generation, after: number, hurry: boolean): Promise<number> {
    const { wal, disk, host } = this.#context
    try {
      if (!wal.covers(after)) await (hurry ? wal.run() : wal.soon(after))
      await disk.remove(this.#files.pathOf(what.node, what.generation))
    } catch (error) {
      // The row stays, and with it the claim on the room: the next start tries again.
      host.log('warn', 'a local copy could not be removed', { node: what.node, reason: CloudError.from(error).message })
      return 0
    }
    this.#gone.push(what)
    this.#room.adjust(-what.bytes)
    this.#onGone()
    return what.bytes
  }

  get pending(): boolean {
    return this.#gone.length > 0
  }

  /** Deletes the rows of removed files, all in one transaction. */
  flush(): void {
    const gone = this.#gone
    if (gone.length === 0) return
    this.#gone = []
    this.#context.database.transaction(() => {
      for (const { node, generation } of gone) this.#context.rows.remove(node, generation)
    })
  }

  async idle(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running)
  }
}
