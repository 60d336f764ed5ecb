import { CloudError } from '../../../common/errors.ts'
import type { BlobContext } from './context.ts'
import { LocalBlob } from './local-blob.ts'
import type { Room } from './room.ts'

const keepAtMost = 8192
/** The upload queue wants to know how long a file has been quiet, up to this. */
const quietMs = 15 * 60 * 1000

/** The nodes whose bytes this process has to do with. The rows of the others are enough. */
export class BlobTable {
  readonly #context: BlobContext
  readonly #room: Room
  /** Least recently loaded first. */
  readonly #blobs = new Map<number, LocalBlob>()

  constructor(context: BlobContext, room: Room) {
    this.#context = context
    this.#room = room
  }

  /** What is in memory of this node. */
  peek(node: number): LocalBlob | undefined {
    return this.#blobs.get(node)
  }

  /** undefined if there is no such node. */
  find(node: number): LocalBlob | undefined {
    const known = this.#blobs.get(node)
    if (known !== undefined) return known
    const row = this.#context.rows.load(node)
    if (row === undefined) return undefined
    const blob = new LocalBlob(node, row)
    if (blob.generation > 0) this.#room.account(blob)
    this.#blobs.set(node, blob)
    return blob
  }

  /** @throws stale */
  need(node: number): LocalBlob {
    const blob = this.find(node)
    if (blob === undefined) throw new CloudError('stale', `node ${node} is gone`)
    return blob
  }

  forget(node: number): void {
    this.#blobs.delete(node)
  }

  all(): Iterable<LocalBlob> {
    return this.#blobs.values()
  }

  /** Lets go of what nobody uses. @param busy what must stay all the same */
  trim(busy: (blob: LocalBlob) => boolean, dropped: (blob: LocalBlob) => void): void {
    if (this.#blobs.size <= keepAtMost) return
    const quietBefore = this.#context.clock.monotonic() - quietMs
    for (const blob of this.#blobs.values()) {
      if (blob.lastWrite > quietBefore || !this.#idle(blob) || busy(blob)) continue
      this.#blobs.delete(blob.node)
      dropped(blob)
      if (this.#blobs.size <= keepAtMost) return
    }
  }

  #idle(blob: LocalBlob): boolean {
    return (
      blob.opens === 0 &&
      blob.flights.size === 0 &&
      blob.seals.size === 0 &&
      blob.lock.idle &&
      !blob.syncing &&
      !blob.filling &&
      blob.live === undefined &&
      blob.settled === undefined &&
      blob.trouble === undefined &&
      blob.uncovering === undefined &&
      this.#context.wal.covers(blob.cleanSince)
    )
  }
}
