import type { BlobFiles } from './blob-files.ts'
import { blockSize, blocksOf } from './block-map.ts'
import type { BlobContext } from './context.ts'
import type { Flight } from './flight.ts'
import type { LocalBlob } from './local-blob.ts'
import type { Room } from './room.ts'

const punchHole = 0x01 | 0x02
/** Blocks this close behind a reader stay: it may go back a little. */
const behind = 1024 * 1024
/** At least so much is dropped at once. */
const batch = 16 * 1024 * 1024

/**
 * A file that is larger than the room there is: its own blocks behind the readers make place for those ahead, so that
 * one reading through it keeps its read-ahead.
 */
export class Recycler {
  readonly #context: BlobContext
  readonly #files: BlobFiles
  readonly #room: Room
  /** One at a time per file. */
  readonly #busy = new Map<LocalBlob, Promise<boolean>>()

  constructor(context: BlobContext, files: BlobFiles, room: Room) {
    this.#context = context
    this.#files = files
    this.#room = room
  }

  async recycle(blob: LocalBlob, flight: Flight, bytes: number): Promise<boolean> {
    const before = this.#busy.get(blob)
    if (before !== undefined) return before
    const work = this.#recycle(blob, flight, bytes).finally(() => this.#busy.delete(blob))
    this.#busy.set(blob, work)
    return work
  }

  async #recycle(blob: LocalBlob, flight: Flight, bytes: number): Promise<boolean> {
    const { native, database, rows, wal } = this.#context
    if (native === null || blob.dirty || blob.whole || blob.generation === 0) return false
    const runs = this.#runs(blob, flight, Math.max(bytes, batch))
    if (runs.length === 0) return false
    // The row must not promise what is dropped: neither after a crash nor after a power loss.
    blob.synced = 0
    const { generation } = blob
    const file = await this.#files.hold(blob)
    try {
      for (const [start, end] of runs) {
        await blob.lock.hold(start * blockSize, end * blockSize, false, async () => {
          if (blob.generation !== generation || blob.dirty || blob.whole) return
          for (let block = start; block < end; block += 1) blob.present.delete(block)
          database.transaction(() => rows.update(blob.node, generation, { ...blob.row(), synced: 0 }))
          if (blob.covered) await wal.run()
          if (blob.synced === 0) blob.covered = false
          await native.fallocate(file.fd, punchHole, start * blockSize, (end - start) * blockSize)
          if (blob.generation === generation) this.#room.account(blob)
        })
      }
    } finally {
      this.#files.release(file)
    }
    return true
  }

  /** Runs of blocks to drop: first those behind all readers, from the begin; then those far ahead, from the end. */
  #runs(blob: LocalBlob, flight: Flight, bytes: number): [number, number][] {
    const first = Math.min(flight.start, ...blob.cursors.map((cursor) => cursor.next)) - behind
    const last = Math.max(flight.end, ...blob.cursors.map((cursor) => cursor.asked))
    const runs: [number, number][] = []
    let left = Math.ceil(bytes / blockSize)
    const take = (block: number): void => {
      if (!blob.present.has(block)) return
      left -= 1
      const run = runs.at(-1)
      if (run?.[1] === block) run[1] = block + 1
      else if (run?.[0] === block + 1) run[0] = block
      else runs.push([block, block + 1])
    }
    for (let block = 0; (block + 1) * blockSize <= first && left > 0; block += 1) take(block)
    for (let block = blocksOf(blob.size) - 1; block * blockSize >= last && left > 0; block -= 1) take(block)
    return runs
  }
}
