import { pause } from '../../../common/clock.ts'
import { CloudError } from '../../../common/errors.ts'
import type { BlobFile } from './blob-file.ts'
import type { BlobFiles } from './blob-files.ts'
import { blockSize, blocksOf } from './block-map.ts'
import type { Budget, Priority } from './budget.ts'
import type { BlobContext } from './context.ts'
import { Flight } from './flight.ts'
import type { Generations } from './generations.ts'
import type { LocalBlob } from './local-blob.ts'
import type { Room } from './room.ts'

/** Largest ranged request, bytes. */
export const largestRequest = 8 * 1024 * 1024
/** Files up to this size are fetched with one request. */
export const smallFile = 1024 * 1024
const gatherSize = 1024 * 1024
/** Idle buffers that are kept for the next requests. */
const gathersKept = 8

export interface FetcherParts {
  readonly context: BlobContext
  readonly files: BlobFiles
  readonly room: Room
  readonly generations: Generations
  readonly budget: Budget
  /** Milliseconds without a byte after which a request is given up. */
  readonly stallMs: number
  /** Blocks came; `whole`: all are here now. */
  readonly onStored: (blob: LocalBlob, whole: boolean) => void
  /** The base of a dirty blob is gone. */
  readonly onBaseLost: (blob: LocalBlob) => void
  /** Makes room by dropping blocks of this file that are behind its readers; false if there are too few. */
  readonly recycle: (blob: LocalBlob, flight: Flight, bytes: number) => Promise<boolean>
}

/** Brings missing blocks from the provider into the blobs. Who needs the same block joins the request that is under way. */
export class Fetcher {
  readonly #parts: FetcherParts
  readonly #running = new Set<Promise<void>>()
  /** Used again: fresh ones for each request would be most of what the collector has to do. */
  readonly #gathers: Buffer[] = []
  #closed = false

  constructor(parts: FetcherParts) {
    this.#parts = parts
  }

  /**
   * Makes sure that [start, end) is here.
   * @param most bytes that one request may ask for from `start` on (more than asked for is read-ahead)
   * @param useReserve see `Room.forClean`
   * @returns false if there is no room for it: it must be read through
   */
  async ensure(
    blob: LocalBlob,
    start: number,
    end: number,
    most: number,
    priority: Priority,
    signal: AbortSignal,
    useReserve = false,
  ): Promise<boolean> {
    let least = false
    let joined = false
    for (;;) {
      const block = blob.firstMissing(start, end)
      if (block < 0) return true
      const known = blob.flights.get(block)
      const flight = known ?? this.#launch(blob, block, least ? end : Math.max(end, start + most), priority, { useReserve })
      const { reached } = flight
      try {
        await flight.wait(Math.max(end, (block + 1) * blockSize), signal)
      } catch (error) {
        const failure = CloudError.from(error)
        if (signal.aborted) throw failure
        if (failure.kind === 'no-space') {
          // With read-ahead, or in a request of somebody else, there was less room than this reader needs.
          if (least) return false
          least = true
        } else if (flight.generation === blob.generation && flight.reached === reached && blob.firstMissing(start, end) === block) {
          // It got nowhere; what somebody else asked for is tried once more on our own account.
          if (known === undefined || joined) throw failure
          joined = true
        }
      }
    }
  }

  /** Read-ahead: asks for what is missing of [start, end) as far as memory allows now. Returns up to where it has. */
  ahead(blob: LocalBlob, start: number, end: number): number {
    const { budget } = this.#parts
    let at = start
    while (at < end) {
      const block = blob.firstMissing(at, end)
      if (block < 0) return end
      const from = block * blockSize
      if (blob.flights.has(block)) {
        at = from + blockSize
        continue
      }
      const stop = this.#stopOf(blob, block, end)
      if (!budget.tryTake(stop - from, 'ahead')) return from
      try {
        this.#launch(blob, block, stop, 'ahead', { budgeted: true })
      } catch {
        budget.giveBack(stop - from)
        return from
      }
      at = stop
    }
    return end
  }

  /** Notices that nothing is missing any more. True if it was so just now. */
  completed(blob: LocalBlob): boolean {
    if (blob.whole || blob.present.count < blocksOf(blob.baseSize)) return false
    blob.whole = true
    // What is still on its way was written over, and is of a version that this file will not be of for long.
    this.#abort(blob)
    this.#parts.onStored(blob, true)
    return true
  }

  /** Ends all requests for this blob, and waits until none writes to it any more. */
  async stop(blob: LocalBlob): Promise<void> {
    this.#abort(blob)
    if (!blob.lock.idle) await blob.lock.hold(0, Infinity, false, async () => undefined)
  }

  #abort(blob: LocalBlob): void {
    for (const flight of new Set(blob.flights.values())) {
      this.#land(blob, flight)
      flight.abort(new CloudError('cancelled', 'the file changed'))
    }
  }

  async close(blobs: Iterable<LocalBlob>): Promise<void> {
    this.#closed = true
    for (const blob of blobs) {
      for (const flight of new Set(blob.flights.values())) flight.abort(new CloudError('cancelled', 'the drive is closing'))
    }
    // A connector that does not heed its signal is not waited for: what it still brings is thrown away.
    await Promise.race([Promise.all(this.#running), pause(this.#parts.context.clock, 2000)])
  }

  /** Version from which missing bytes come; begins a blob for a clean node that has none. */
  base(blob: LocalBlob): string {
    const { host } = this.#parts.context
    if (blob.gone) throw new CloudError('stale', `node ${blob.node} is gone`)
    if (blob.dirty) {
      if (blob.baseLost || blob.baseRev === null)
        throw new CloudError('conflict', 'the version that this file is based on is gone at the provider')
      return blob.baseRev
    }
    const version = host.remoteVersion(blob.node)
    if (version === undefined) throw new CloudError('damaged', `nothing is known of the bytes of node ${blob.node}`)
    if (blob.generation > 0 && blob.baseRev === version.rev) return version.rev
    if (blob.generation > 0) void this.#parts.generations.drop(blob)
    blob.size = version.size
    this.#parts.generations.begin(blob, version.rev)
    return version.rev
  }

  /** End of a request that begins with this block and goes no further than `end`: at a block that is here or on its way. */
  #stopOf(blob: LocalBlob, block: number, end: number): number {
    const most = Math.min(
      blob.baseSize,
      block * blockSize + largestRequest,
      blob.baseSize <= smallFile ? Infinity : blocksOf(end) * blockSize,
    )
    let next = block + 1
    while (
      next * blockSize < most &&
      !blob.flights.has(next) &&
      blob.firstMissing(next * blockSize, Math.min((next + 1) * blockSize, most)) >= 0
    ) {
      next += 1
    }
    return Math.min(next * blockSize, most)
  }

  #launch(
    blob: LocalBlob,
    block: number,
    end: number,
    priority: Priority,
    { budgeted = false, useReserve = false }: { readonly budgeted?: boolean; readonly useReserve?: boolean },
  ): Flight {
    if (this.#closed) throw new CloudError('cancelled', 'the drive is closing')
    const rev = this.base(blob)
    const flight = new Flight(blob.generation, block * blockSize, this.#stopOf(blob, block, end), priority, useReserve)
    for (let at = block; at < blocksOf(flight.end); at += 1) blob.flights.set(at, flight)
    const running = this.#run(blob, flight, rev, budgeted).finally(() => this.#running.delete(running))
    this.#running.add(running)
    return flight
  }

  async #run(blob: LocalBlob, flight: Flight, rev: string, budgeted: boolean): Promise<void> {
    const { budget, files } = this.#parts
    const bytes = flight.end - flight.start
    let taken = budgeted
    const reservation = { bytes: 0 }
    let file: BlobFile | undefined
    try {
      if (!taken) await budget.take(bytes, flight.priority)
      taken = true
      await this.#reserve(blob, flight, reservation)
      this.#check(blob, flight)
      file = await files.hold(blob)
      await this.#receive(blob, flight, file, rev, reservation)
    } catch (error) {
      const known = CloudError.from(error)
      if (known.kind === 'conflict' && blob.dirty && blob.generation === flight.generation && !blob.baseLost) this.#parts.onBaseLost(blob)
      this.#land(blob, flight)
      flight.fail(known)
    } finally {
      if (file !== undefined) files.release(file)
      if (taken) budget.giveBack(bytes)
      this.#parts.room.giveBack(reservation.bytes)
      this.#land(blob, flight)
    }
  }

  #land(blob: LocalBlob, flight: Flight): void {
    for (let at = flight.start / blockSize; at < blocksOf(flight.end); at += 1) {
      if (blob.flights.get(at) === flight) blob.flights.delete(at)
    }
  }

  async #reserve(blob: LocalBlob, flight: Flight, reservation: { bytes: number }): Promise<void> {
    const { room, recycle } = this.#parts
    const bytes = blob.growth(flight.start, flight.end)
    if (!(await room.forClean(bytes, flight.useReserve))) {
      if (!(await recycle(blob, flight, bytes)) || !(await room.forClean(bytes, flight.useReserve))) {
        throw new CloudError('no-space', 'the cache is full of files that are in use or not uploaded yet')
      }
    }
    reservation.bytes = bytes
  }

  #check(blob: LocalBlob, flight: Flight): void {
    flight.signal.throwIfAborted()
    if (blob.generation !== flight.generation) throw new CloudError('cancelled', 'the file changed')
  }

  async #receive(blob: LocalBlob, flight: Flight, file: BlobFile, rev: string, reservation: { bytes: number }): Promise<void> {
    const { context, stallMs } = this.#parts
    const { start, end, priority } = flight
    const size = Math.min(gatherSize, blocksOf(end - start) * blockSize)
    const buffer = (size === gatherSize ? this.#gathers.pop() : undefined) ?? Buffer.allocUnsafeSlow(size)
    let filled = 0
    let position = start
    const stalled = new AbortController()
    const watch = setTimeout(() => {
      const error = new CloudError('timeout', 'the provider sent nothing for too long')
      stalled.abort(error)
      this.#land(blob, flight)
      flight.fail(error)
    }, stallMs)
    watch.unref()
    const signal = AbortSignal.any([flight.signal, stalled.signal])
    try {
      for await (const chunk of context.host.readRemote(blob.node, start, end, blob.revNow(rev), priority, signal)) {
        watch.refresh()
        if (position + filled + chunk.length > end) throw new CloudError('garbage', 'the provider sent more bytes than were asked for')
        for (let at = 0; at < chunk.length; ) {
          const some = Math.min(chunk.length - at, buffer.length - filled)
          buffer.set(chunk.subarray(at, at + some), filled)
          filled += some
          at += some
          const ready = filled - (filled % blockSize)
          if (ready === 0 || (filled < buffer.length && position + ready < flight.awaited)) continue
          await this.#store(blob, flight, file, buffer, ready, position, reservation)
          buffer.copyWithin(0, ready, filled)
          filled -= ready
          position += ready
        }
      }
    } catch (error) {
      if (stalled.signal.aborted) throw CloudError.from(stalled.signal.reason)
      throw error
    } finally {
      clearTimeout(watch)
    }
    if (position + filled < end) throw new CloudError('garbage', 'the provider sent fewer bytes than were asked for')
    if (filled > 0) await this.#store(blob, flight, file, buffer, filled, position, reservation)
    if (size === gatherSize && this.#gathers.length < gathersKept) this.#gathers.push(buffer)
  }

  /** Blocks that arrived go into the blob, around what was written there meanwhile. */
  async #store(
    blob: LocalBlob,
    flight: Flight,
    file: BlobFile,
    buffer: Buffer,
    length: number,
    position: number,
    reservation: { bytes: number },
  ): Promise<void> {
    const { context, room } = this.#parts
    await blob.lock.hold(position, position + length, false, async () => {
      this.#check(blob, flight)
      const end = Math.min(position + length, blob.baseSize)
      // A block that is here was written over since it was asked for, and may be on disk without an extent that says so.
      const lacking = blob.lacking(position, end)
      const pieces = blob.dirty ? lacking.flatMap(([from, to]) => blob.extents.gaps(from, to)) : lacking
      for (const [from, to] of pieces) {
        const written = await context.disk.write(file.fd, buffer, from - position, to - from, from)
        if (written < to - from) throw new CloudError('no-space', 'the disk is full')
      }
      this.#check(blob, flight)
      for (const [from, to] of lacking) {
        blob.present.addRange(from / blockSize, blocksOf(to))
        blob.charged.addRange(from / blockSize, blocksOf(to))
      }
      const before = blob.bytes
      room.account(blob)
      const used = Math.min(reservation.bytes, blob.bytes - before)
      reservation.bytes -= used
      room.spend(used)
    })
    flight.advance(position + length)
    if (!this.completed(blob)) this.#parts.onStored(blob, false)
  }
}
