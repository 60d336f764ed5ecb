import { pause } from '../../../common/clock.ts'
import { CloudError, isUnknown } from '../../../common/errors.ts'
import type { BlobTable } from './blob-table.ts'
import type { BlobContext } from './context.ts'
import { type Fetcher, largestRequest, smallFile } from './fetcher.ts'
import type { LocalBlob } from './local-blob.ts'
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
  readonly #stop = new AbortController()
  readonly #fills = new Slots(filesAtOnce)
  #expected: number[] = []
  #expecting = 0

  constructor(context: BlobContext, blobs: BlobTable, fetcher: Fetcher) {
    this.#context = context
    this.#blobs = blobs
    this.#fetcher = fetcher
  }

  /** Fetches what a dirty file lacks of its base, behind, however long it takes. */
  fill(blob: LocalBlob): void {
    if (blob.filling || !this.#lacks(blob)) return
    blob.filling = true
    void this.#fill(blob).finally(() => (blob.filling = false))
  }

  /** Fetches everything of a file. @throws no-space if it does not fit, and what fetching throws */
  async fetchAll(blob: LocalBlob, signal: AbortSignal): Promise<void> {
    const both = AbortSignal.any([signal, this.#stop.signal])
    while (blob.firstMissing(0, blob.size) >= 0) await this.#fetchAll(blob, requestsPerFetch, both)
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

  async #fetchAll(blob: LocalBlob, atOnce: number, signal: AbortSignal): Promise<void> {
    let next = 0
    const work = async (): Promise<void> => {
      while (next < blob.size) {
        const start = next
        next += largestRequest
        if (await this.#fetcher.ensure(blob, start, Math.min(next, blob.size), 0, 'ahead', signal)) continue
        throw new CloudError('no-space', 'the cache has no room for the whole file')
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
