import type { BlobTable } from './blob-table.ts'
import type { BlobContext } from './context.ts'
import type { Generations } from './generations.ts'
import type { LocalBlob } from './local-blob.ts'

const candidatesAtOnce = 64
/** Uses of files that are only in memory are written down at most this often before the order of use is looked up. */
const usedAgeMs = 1000

/** Makes room: clean blobs go, the least recently used first. Dirty ones and open ones never. */
export class Evictor {
  readonly #context: BlobContext
  readonly #blobs: BlobTable
  readonly #generations: Generations
  /** Nodes without a name may be open in ways that this process has not seen. */
  readonly #keepNameless: boolean
  #usedSaved = -Infinity

  constructor(context: BlobContext, blobs: BlobTable, generations: Generations, keepNameless: boolean) {
    this.#context = context
    this.#blobs = blobs
    this.#generations = generations
    this.#keepNameless = keepNameless
  }

  /** @param pinned those too, after all others. Returns the bytes freed, 0 if there is nothing to remove. */
  async free(bytes: number, pinned: boolean): Promise<number> {
    this.#saveUsed()
    let freed = await this.#free(bytes, false)
    if (freed === 0 && pinned) freed = await this.#free(bytes, true)
    return freed
  }

  async #free(bytes: number, pinned: boolean): Promise<number> {
    const going: Promise<number>[] = []
    let left = bytes
    for (const row of this.#context.rows.evictable(candidatesAtOnce, { pinned, nameless: !this.#keepNameless })) {
      if (left <= 0) break
      const blob = this.#blobs.find(row.node)
      if (blob === undefined || !canEvict(blob)) continue
      left -= blob.bytes
      going.push(this.#generations.drop(blob))
    }
    return (await Promise.all(going)).reduce((sum, one) => sum + one, 0)
  }

  /** The order of use that the database knows; what is open counts as used now. */
  #saveUsed(): void {
    const { clock, database, rows } = this.#context
    if (clock.monotonic() - this.#usedSaved < usedAgeMs) return
    this.#usedSaved = clock.monotonic()
    const now = clock.now()
    database.transaction(() => {
      for (const blob of this.#blobs.all()) {
        if (blob.dirty || blob.generation === 0) continue
        if (blob.opens > 0) blob.usedAt = now
        if (blob.usedAt > blob.savedUse) rows.setUsed(blob.node, blob.generation, blob.usedAt)
        blob.savedUse = blob.usedAt
      }
    })
  }
}

/** True if nothing local of this node is needed here. */
export function canEvict(blob: LocalBlob): boolean {
  return !blob.dirty && blob.generation > 0 && blob.opens === 0 && blob.flights.size === 0 && blob.seals.size === 0 && blob.lock.idle
}
