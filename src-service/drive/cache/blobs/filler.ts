import { pause } from '../../../common/clock.ts'
import { CloudError, isUnknown } from '../../../common/errors.ts'
import type { BlobTable } from './blob-table.ts'
import type { BlobContext } from './context.ts'
import { type Fetcher, largestRequest, smallFile } from './fetcher.ts'
import type { LocalBlob } from './local-blob.ts'
import type { Room } from './room.ts'
import { Slots } from './slots.ts'

const filesAtOnce = 2
const requestsPerFill = 2
const requestsPerFetch = 4
const expectAtOnce = 16
const expectAtMost = 1024
const firstRetryMs = 1000
const lastRetryMs = 60_000

/** Fetching that no reader waits for: the rest of files that were changed before they were whole, pinned files, likely next ones. */
export class Filler {
  readonly #context: BlobContext
  readonly #blobs: BlobTable
  readonly #fetcher: Fetcher
  readonly #room: Room
  readonly #stop = new AbortController()
  readonly #fills = new Slots(filesAtOnce)
  /** Two that share the reserve might both get too little of it. */
  readonly #fromReserve = new Slots(1)
  #expected: number[] = []
  #expecting = 0

  constructor(context: BlobContext, blobs: BlobTable, fetcher: Fetcher, room: Room) {
    this.#context = context
    this.#blobs = blobs
    this.#fetcher = fetcher
    this.#room = room
  }

  /** Fetches what a dirty file lacks of its base, behind, however long it takes. */
  fill(blob: LocalBlob): void {
    if (blob.filling || !this.#lacks(blob)) return
    blob.filling = true
    void this.#fill(blob).finally(() => (blob.filling = false))
  }

  /**
   * Fetches everything of a file.
   * @param useReserve where there is no other room: of something without which the cache does not drain
   * @throws no-space if it does not fit, and what fetching throws
   */
  async fetchAll(blob: LocalBlob, signal: AbortSignal, useReserve = false): Promise<void> {
    const both = AbortSignal.any([signal, this.#stop.signal])
    try {
      while (blob.firstMissing(0, blob.size) >= 0) await this.#fetchAll(blob, requestsPerFetch, both)
    } catch (error) {
      if (!useReserve || CloudError.from(error).kind !== 'no-space') throw error
      await this.#fromReserve.run(() => this.#fetchIntoReserve(blob, both))
    }
    this.#fetcher.completed(blob)
  }

  /** Small files that are likely to be read next. The newest guesses count: older ones that were not begun give way. */
  expect(nodes: readonly number[]): void {
    if (this.#stop.signal.aborted) return
    this.#expected = [...this.#expected, ...nodes].slice(-expectAtMost)
    while (this.#expecting < expectAtOnce && this.#expecting < this.#expected.length) {
      this.#expecting += 1
      void this.#fetchExpected().finally(() => (this.#expecting -= 1))
    }
  }

  close(): void {
    this.#expected = []
    this.#stop.abort(new CloudError('cancelled', 'the drive is closing'))
  }

  #lacks(blob: LocalBlob): boolean {
    return blob.dirty && !blob.whole && !blob.baseLost && !this.#stop.signal.aborted
  }

  async #fill(blob: LocalBlob): Promise<void> {
    let delay = firstRetryMs
    while (this.#lacks(blob)) {
      try {
        await this.#fills.run(() => this.#fetchAll(blob, requestsPerFill, this.#stop.signal))
        this.#fetcher.completed(blob)
        if (this.#lacks(blob)) throw new CloudError('busy', 'the file changed while it was being completed')
      } catch (error) {
        if (!this.#lacks(blob)) return
        const reason = CloudError.from(error).message
        this.#context.host.log('debug', 'the rest of a changed file cannot be fetched now', { node: blob.node, reason })
        await pause(this.#context.clock, delay, this.#stop.signal)
        delay = Math.min(2 * delay, lastRetryMs)
      }
    }
  }

  /** All of what is missing or nothing: a part would take room and help nobody. */
  async #fetchIntoReserve(blob: LocalBlob, signal: AbortSignal): Promise<void> {
    const bytes = blob.growth(0, blob.size)
    if (!(await this.#room.forClean(bytes, true))) throw noRoom()
    this.#room.giveBack(bytes)
    while (blob.firstMissing(0, blob.size) >= 0) await this.#fetchAll(blob, requestsPerFetch, signal, true)
  }

  async #fetchAll(blob: LocalBlob, atOnce: number, signal: AbortSignal, useReserve = false): Promise<void> {
    let next = 0
    const work = async (): Promise<void> => {
      while (next < blob.size) {
        const start = next
        next += largestRequest
        if (await this.#fetcher.ensure(blob, start, Math.min(next, blob.size), 0, 'ahead', signal, useReserve)) continue
        throw noRoom()
      }
    }
    await Promise.all(Array.from({ length: atOnce }, work))
  }

  async #fetchExpected(): Promise<void> {
    for (;;) {
      const node = this.#expected.shift()
      if (node === undefined) return
      try {
        const blob = this.#blobs.find(node)
        if (blob === undefined || blob.dirty || blob.whole || blob.size > smallFile) continue
        await this.#fetcher.ensure(blob, 0, blob.size, 0, 'ahead', this.#stop.signal)
      } catch (error) {
        // Only a guess: whoever really reads it is told what is wrong. No guess is worth asking a provider that does not answer.
        if (isUnknown(CloudError.from(error).kind)) this.#expected = []
      }
    }
  }
}

function noRoom(): CloudError {
  return new CloudError('no-space', 'the cache has no room for the whole file')
}
