import { CloudError } from '../../../common/errors.ts'
import { type Clock, pause } from '../../../common/clock.ts'
import type { Disk } from './disk.ts'
import type { LocalBlob } from './local-blob.ts'

export interface RoomOptions {
  readonly disk: Disk
  readonly folder: string
  readonly clock: Clock
  /** Bound in bytes. */
  readonly limit: number
  /** Longest wait of a write for room, milliseconds. */
  readonly waitMs: number
  readonly canUpload: () => boolean
  /** Removes clean blobs until about so many bytes are free; resolves with what it freed. `pinned`: those too, last. */
  readonly evict: (bytes: number, pinned: boolean) => Promise<number>
  /** `usage().full` is another now. */
  readonly onFull?: () => void
}

/** The mmap write-back reserve inside the bound, and the low-water mark of the real disk. */
function reserveOf(limit: number): number {
  return Math.min(64 * 1024 * 1024, Math.floor(limit / 8))
}

const freeSpaceAgeMs = 1000

/** The bound: every local byte (clean, dirty, snapshots, files about to be removed) and every one that is reserved to come. */
export class Room {
  readonly #options: RoomOptions
  readonly #reserve: number
  #used: number
  #dirty: number
  #reserved = 0
  #full = false
  #closed = false
  #changed: (() => void)[] = []
  /** Bytes that the disk has left, less what was taken since it was asked. */
  #diskFree = Infinity
  #diskAsked = -Infinity
  #asking: Promise<void> | undefined

  constructor(options: RoomOptions, counted: { readonly bytes: number; readonly dirty: number }) {
    this.#options = options
    this.#reserve = reserveOf(options.limit)
    this.#used = counted.bytes
    this.#dirty = counted.dirty
  }

  usage(): { readonly bytes: number; readonly limit: number; readonly dirtyBytes: number; readonly full: boolean } {
    return { bytes: this.#used, limit: this.#options.limit, dirtyBytes: this.#dirty, full: this.#full }
  }

  /** Bytes that files may take together, without the reserve. */
  get most(): number {
    return this.#options.limit - this.#reserve
  }

  /** Brings the count of this blob up to date. */
  account(blob: LocalBlob): void {
    const bytes = blob.charge()
    const dirty = blob.dirty ? bytes : 0
    this.adjust(bytes - blob.bytes)
    if (dirty < blob.dirtyBytes) this.wake()
    this.#dirty += dirty - blob.dirtyBytes
    blob.bytes = bytes
    blob.dirtyBytes = dirty
  }

  /** The blob's bytes are nobody's now: they count until its file is gone. */
  disown(blob: LocalBlob): number {
    const { bytes } = blob
    this.#dirty -= blob.dirtyBytes
    blob.bytes = 0
    blob.dirtyBytes = 0
    return bytes
  }

  /** Bytes that belong to no current blob came or went. */
  adjust(bytes: number): void {
    this.#used += bytes
    this.#diskFree -= bytes
    if (bytes < 0) this.wake()
  }

  /** So many reserved bytes are not needed. */
  giveBack(bytes: number): void {
    this.#reserved -= bytes
    if (bytes > 0) this.wake()
  }

  /** So many reserved bytes have been accounted. */
  spend(bytes: number): void {
    this.#reserved -= bytes
  }

  /** Nobody waits for room any more. */
  close(): void {
    this.#closed = true
    this.wake()
  }

  /** Room became free or can be freed. */
  wake(): void {
    this.#setFull(false)
    const waiting = this.#changed
    this.#changed = []
    for (const resolve of waiting) resolve()
  }

  /** True if so many dirty bytes fit as things are. */
  fits(bytes: number, useReserve: boolean): boolean {
    if (bytes <= 0) return true
    void this.#askDisk()
    return this.#diskFree !== Infinity && this.#lacking(bytes, useReserve ? this.#options.limit : this.most) === 0
  }

  /**
   * Reserves room for clean bytes if there is or can be made any, without touching pinned files. To be given back.
   * @param useReserve half of the reserve too, for what lets the cache drain
   */
  async forClean(bytes: number, useReserve: boolean): Promise<boolean> {
    const most = useReserve ? this.#options.limit - Math.ceil(this.#reserve / 2) : this.most
    if (bytes > most) return false
    await this.#askDisk()
    while (!this.#take(bytes, most)) {
      if ((await this.#options.evict(this.#lacking(bytes, most), false)) === 0) return this.#take(bytes, most)
    }
    return true
  }

  /**
   * Reserves room for dirty bytes: evicts, and waits while something can be uploaded. To be given back.
   * @throws no-space
   */
  async forDirty(bytes: number, useReserve: boolean): Promise<void> {
    const { limit, clock, waitMs, canUpload, evict } = this.#options
    const most = useReserve ? limit : this.most
    if (bytes > most) throw noSpace('the file is larger than the whole cache')
    const deadline = clock.monotonic() + waitMs
    await this.#askDisk()
    while (!this.#take(bytes, most)) {
      if ((await evict(this.#lacking(bytes, most), true)) > 0) continue
      if (this.#take(bytes, most)) return
      if (this.#closed) throw new CloudError('cancelled', 'the drive is closing')
      this.#setFull(true)
      if (!canUpload()) throw noSpace('the cache is full of files that cannot be uploaded now')
      if (clock.monotonic() >= deadline) throw noSpace('the cache stayed full of files that are not uploaded yet')
      await this.#change(Math.min(1000, deadline - clock.monotonic()))
      await this.#askDisk()
    }
  }

  /** True if a reservation of `bytes` would fit at once. */
  #take(bytes: number, most: number): boolean {
    if (this.#lacking(bytes, most) > 0) return false
    this.#reserved += bytes
    return true
  }

  /** Bytes that must go before `bytes` fit. */
  #lacking(bytes: number, most: number): number {
    const bound = this.#used + this.#reserved + bytes - most
    // What the reserve is for may also use the last of the disk.
    const low = most === this.#options.limit ? 0 : this.#reserve
    const disk = bytes === 0 ? 0 : low + this.#reserved + bytes - this.#diskFree
    return Math.max(bound, disk, 0)
  }

  #setFull(full: boolean): void {
    if (full === this.#full) return
    this.#full = full
    this.#options.onFull?.()
  }

  async #change(milliseconds: number): Promise<void> {
    const stop = new AbortController()
    this.#changed.push(() => {
      stop.abort()
    })
    await pause(this.#options.clock, milliseconds, stop.signal)
  }

  async #askDisk(): Promise<void> {
    if (this.#options.clock.monotonic() - this.#diskAsked < freeSpaceAgeMs) return
    this.#asking ??= this.#options.disk
      .free(this.#options.folder)
      .then((free) => {
        this.#diskFree = free
        this.#diskAsked = this.#options.clock.monotonic()
      })
      // A file system that does not say counts as having room: a write that fails says so itself.
      .catch(() => undefined)
      .finally(() => {
        this.#asking = undefined
      })
    // Only the first write has to know before it goes on.
    if (this.#diskFree === Infinity) await this.#asking
  }
}

function noSpace(message: string): CloudError {
  return new CloudError('no-space', message, { hint: 'Wait until files are uploaded, or give the mount a larger cache.' })
}
