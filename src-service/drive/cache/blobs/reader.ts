import { CloudError } from '../../../common/errors.ts'
import type { BlobFiles } from './blob-files.ts'
import type { BlobTable } from './blob-table.ts'
import { blockSize } from './block-map.ts'
import type { Budget } from './budget.ts'
import type { BlobContext } from './context.ts'
import { type Fetcher, largestRequest } from './fetcher.ts'
import type { Generations } from './generations.ts'
import type { Ledger } from './ledger.ts'
import type { LocalBlob } from './local-blob.ts'
import { type Cursor, followRead, largestWindow, wantsMore } from './read-ahead.ts'

/** Of files and reads below these sizes the page cache keeps what it likes. Bytes. */
const largeFile = 64 * 1024 * 1024
const largeRead = 128 * 1024
const droppedAtOnce = 8 * 1024 * 1024

export interface ReaderParts {
  readonly context: BlobContext
  readonly blobs: BlobTable
  readonly files: BlobFiles
  readonly generations: Generations
  readonly ledger: Ledger
  readonly fetcher: Fetcher
  readonly budget: Budget
}

/** Reads: from the page cache at once, from the blob on the pool, from the provider through the blob. */
export class Reader {
  readonly #parts: ReaderParts
  readonly #native
  readonly #blobs

  constructor(parts: ReaderParts) {
    this.#parts = parts
    this.#native = parts.context.native
    this.#blobs = parts.blobs
  }

  /** -1 if it would have to wait. Allocates nothing. */
  readNow(node: number, position: number, length: number, target: Buffer, targetOffset: number): number {
    const blob = this.#blobs.peek(node)
    if (blob === undefined) return -1
    const left = blob.size - position
    if (left <= 0) return 0
    const got = this.#now(blob, position, left < length ? left : length, target, targetOffset)
    if (got <= 0) return got
    if (blob.whole) this.#passed(blob, position, got)
    else this.#ahead(blob, followRead(blob.cursors, position, got))
    return got
  }

  /** The kernel keeps what it was given: the page cache of a large local file need not keep it besides. */
  #passed(blob: LocalBlob, position: number, length: number): void {
    if (blob.size < largeFile || length < largeRead || blob.dirty) return
    const end = position + length
    if (position < blob.passed || position > blob.passed + 2 * droppedAtOnce) blob.passed = position
    const from = blob.passed
    if (end - from < droppedAtOnce) return
    const file = this.#parts.files.ready(blob)
    if (file === undefined || this.#native === null) return
    blob.passed = end
    void this.#native
      .dropPages(file.fd, from, end - from)
      // Only memory is at stake.
      .catch(() => undefined)
      .finally(() => this.#parts.files.release(file))
  }

  /** What the page cache has; -1 if not all of it. */
  #now(blob: LocalBlob, position: number, length: number, target: Buffer, targetOffset: number): number {
    const { file } = blob
    if (file === undefined || this.#native === null || blob.firstMissing(position, position + length) >= 0) return -1
    return this.#native.readNow(file.fd, target, targetOffset, length, position) === length ? length : -1
  }

  async read(node: number, position: number, length: number, target: Buffer, targetOffset: number, signal: AbortSignal): Promise<number> {
    const blob = this.#blobs.need(node)
    blob.usedAt = this.#parts.context.clock.now()
    for (let tries = 0; ; tries += 1) {
      const end = Math.min(position + length, blob.size)
      if (position >= end) return 0
      if (!blob.whole && !(await this.#fetch(blob, position, end, signal)))
        return this.#through(blob, position, end, target, targetOffset, signal)
      try {
        const got = await this.#local(blob, position, end, target, targetOffset)
        if (got !== undefined) {
          if (blob.whole) this.#passed(blob, position, got)
          return got
        }
      } catch (error) {
        if (tries > 0 || !this.#givesUp(blob, CloudError.from(error))) throw error
      }
    }
  }

  /** Brings [start, end), and more if this reader goes on like this. False if it does not fit. */
  async #fetch(blob: LocalBlob, start: number, end: number, signal: AbortSignal): Promise<boolean> {
    const cursor = followRead(blob.cursors, start, end - start)
    const most = Math.min(cursor.window, largestRequest)
    const block = blob.firstMissing(start, end)
    if (block >= 0 && !blob.flights.has(block)) cursor.asked = Math.max(cursor.asked, Math.min(start + most, blob.size))
    const here = await this.#parts.fetcher.ensure(blob, start, end, most, 'reader', signal)
    if (here && !blob.whole) this.#ahead(blob, cursor)
    return here
  }

  #ahead(blob: LocalBlob, cursor: Cursor): void {
    if (!wantsMore(cursor, blob.size)) return
    const from = Math.max(cursor.asked, cursor.next)
    const end = Math.min(from + cursor.window, cursor.next + largestWindow, blob.size)
    if (end <= from) return
    const asked = this.#parts.fetcher.ahead(blob, from, end)
    if (asked > cursor.asked) cursor.window = Math.min(2 * cursor.window, largestWindow)
    cursor.asked = asked
  }

  /** undefined if some of it is no longer here. */
  async #local(blob: LocalBlob, start: number, end: number, target: Buffer, targetOffset: number): Promise<number | undefined> {
    const { files, context } = this.#parts
    const at = this.#now(blob, start, end - start, target, targetOffset)
    if (at >= 0) return at
    // Shared with other reads, but not with what would drop these blocks meanwhile.
    const turn = blob.lock.ask(start, end, true)
    try {
      if (turn.ready !== undefined) await turn.ready
      if (blob.generation === 0 || blob.firstMissing(start, end) >= 0) return undefined
      const stop = Math.min(end, blob.size)
      if (start >= stop) return 0
      const file = await files.hold(blob)
      try {
        const got = await context.disk.read(file.fd, target, targetOffset, stop - start, start)
        // Shorter only if it was truncated meanwhile.
        if (got < Math.min(stop, blob.size) - start) throw new CloudError('damaged', `the local copy of node ${blob.node} is too short`)
        return got
      } finally {
        files.release(file)
      }
    } finally {
      turn.release()
    }
  }

  /** A clean copy that cannot be read is given up for what the provider has; a dirty one is an error that stays. */
  #givesUp(blob: LocalBlob, error: CloudError): boolean {
    const { ledger, generations } = this.#parts
    if (error.kind !== 'io' && error.kind !== 'damaged') return false
    if (blob.dirty) {
      ledger.fault(blob, error.kind === 'io' ? 'disk_error' : 'blob_damaged', error)
      return false
    }
    if (blob.generation > 0) void generations.drop(blob)
    return true
  }

  /** Reads what the cache has no room for: what is missing comes straight from the provider and is not kept. */
  async #through(blob: LocalBlob, start: number, end: number, target: Buffer, targetOffset: number, signal: AbortSignal): Promise<number> {
    for (let at = start; at < end; ) {
      const block = blob.firstMissing(at, end)
      const here = block < 0 ? end : Math.max(at, block * blockSize)
      if (here > at) {
        const got = await this.#local(blob, at, here, target, targetOffset + at - start)
        at += got ?? 0
        if (got === 0) break
        continue
      }
      let stop = Math.min(end, (block + 1) * blockSize)
      while (stop < end && blob.firstMissing(stop, end) === stop / blockSize) stop = Math.min(end, stop + blockSize)
      await this.#remote(blob, at, stop, target, targetOffset + at - start, signal)
      at = stop
    }
    return end - start
  }

  async #remote(blob: LocalBlob, start: number, end: number, target: Buffer, targetOffset: number, signal: AbortSignal): Promise<void> {
    const { context, fetcher, budget } = this.#parts
    const rev = fetcher.base(blob)
    await budget.take(end - start, 'reader')
    try {
      let at = targetOffset
      for await (const chunk of context.host.readRemote(blob.node, start, end, blob.revNow(rev), 'reader', signal)) {
        if (at + chunk.length > targetOffset + end - start)
          throw new CloudError('garbage', 'the provider sent more bytes than were asked for')
        target.set(chunk, at)
        at += chunk.length
      }
      if (at < targetOffset + end - start) throw new CloudError('garbage', 'the provider sent fewer bytes than were asked for')
    } finally {
      budget.giveBack(end - start)
    }
    if (!blob.dirty || !blob.extents.overlaps(start, end)) return
    for (const [from, to] of [...blob.extents]) {
      const first = Math.max(from, start)
      const last = Math.min(to, end)
      if (first < last) await this.#local(blob, first, last, target, targetOffset + first - start)
    }
  }
}
