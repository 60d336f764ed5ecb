import type { Clock } from '../../common/clock.ts'
import { CloudError, isUnknown } from '../../common/errors.ts'
import { isFile, isFolder, type NodeRow } from '../cache/tree.ts'
import type { TaskParts } from './task-parts.ts'

/** What came into a pinned folder, and new versions of pinned files, are fetched at most this much later. */
const everyMs = 60_000

/** Fetches what is pinned, one file after the other, and goes on with it after a restart or an outage. */
export class Pins {
  readonly #parts: TaskParts
  readonly #clock: Clock
  readonly #log: (message: string, reason: string) => void
  readonly #stop = new AbortController()
  readonly #sql
  #cancel: (() => void) | undefined
  #round: Promise<void> | undefined
  #again = false

  constructor(parts: TaskParts, clock: Clock, log: (message: string, reason: string) => void) {
    this.#parts = parts
    this.#clock = clock
    this.#log = log
    const { sql } = parts.database
    this.#sql = {
      pinned: sql.prepare<[number], NodeRow>('SELECT * FROM node WHERE pinned = 1 AND id > ? ORDER BY id LIMIT 1'),
      inherit: sql.prepare('UPDATE node SET pinned = 1 WHERE pinned = 0 AND id IN (SELECT node FROM name WHERE parent = ?)'),
      all: sql.prepare<[], { id: number }>('SELECT id FROM node WHERE pinned = 1'),
    }
    this.look()
  }

  /** Bytes here of what is pinned. */
  bytes(): number {
    let bytes = 0
    for (const { id } of this.#sql.all.iterate()) bytes += this.#parts.contents.localBytes(id)
    return bytes
  }

  /** Something was pinned: it is fetched now. */
  look(): void {
    this.#again = true
    this.#round ??= this.#rounds()
  }

  async close(): Promise<void> {
    this.#stop.abort(new CloudError('cancelled', 'the drive is closing'))
    this.#cancel?.()
    await this.#round
  }

  async #rounds(): Promise<void> {
    while (this.#again && !this.#stop.signal.aborted) {
      this.#again = false
      await this.#fetchAll()
    }
    this.#round = undefined
    if (this.#stop.signal.aborted) return
    this.#cancel?.()
    this.#cancel = this.#clock.after(everyMs, () => {
      if (this.#sql.pinned.get(0) !== undefined) this.look()
      else this.#cancel = undefined
    })
  }

  async #fetchAll(): Promise<void> {
    for (let row = this.#sql.pinned.get(0); row !== undefined && !this.#stop.signal.aborted; row = this.#sql.pinned.get(row.id)) {
      try {
        if (isFolder(row.mode)) await this.#inherit(row)
        else if (isFile(row.mode) && row.size > 0 && !this.#parts.contents.isWhole(row.id))
          await this.#parts.contents.fetchAll(row.id, this.#stop.signal)
      } catch (caught) {
        const error = CloudError.from(caught)
        // Offline: the next round comes. No room, or a version that is gone: the others may still be had.
        if (isUnknown(error.kind)) return
        this.#log('a pinned file cannot be fetched', error.message)
      }
    }
  }

  /** What is in a pinned folder is pinned too. */
  async #inherit(folder: NodeRow): Promise<void> {
    await this.#parts.listings.ready(folder.id)
    const { changes } = this.#parts.database.transaction(() => this.#sql.inherit.run(folder.id))
    // A child may have a smaller id than its folder.
    if (changes > 0) this.#again = true
  }
}
