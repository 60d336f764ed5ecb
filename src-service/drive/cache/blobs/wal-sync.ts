import type { Clock } from '../../../common/clock.ts'
import { CloudError } from '../../../common/errors.ts'
import type { BlobDatabase } from './blob-rows.ts'
import type { Disk } from './disk.ts'
import { SharedRun } from './shared-run.ts'

/** What need not be on disk at once waits so long for another sync, milliseconds. */
const soonMs = 200

/**
 * Makes commits durable: fdatasync of the database's WAL by a descriptor of our own, on the pool, shared by all who wait.
 * (What a checkpoint has moved out of the WAL is in the database, which the checkpoint synced.)
 */
export class WalSync {
  readonly #disk: Disk
  readonly #fd: number
  readonly #changes
  readonly #shared: SharedRun
  readonly #clock: Clock
  #durable = -1
  /** The last commits, where all of them are light: the marks before and after them. */
  #light = { from: -1, to: -1 }
  #waiting: { readonly mark: number; readonly resolve: () => void; readonly reject: (error: CloudError) => void }[] = []
  #cancel: () => void = () => undefined
  #broken: CloudError | undefined

  private constructor(database: BlobDatabase, disk: Disk, clock: Clock, fd: number) {
    this.#disk = disk
    this.#clock = clock
    this.#fd = fd
    this.#changes = database.sql.prepare<[], { changes: number }>('SELECT total_changes() AS changes')
    this.#shared = new SharedRun(() => this.#sync())
  }

  /** The database must have written to its WAL before. */
  static async open(database: BlobDatabase, disk: Disk, clock: Clock): Promise<WalSync> {
    return new WalSync(database, disk, clock, await disk.openToRead(`${database.path}-wal`))
  }

  /** The place in the order of changes where we are now. */
  mark(): number {
    return this.#changes.get()?.changes ?? 0
  }

  /** True if everything up to this mark is on disk. */
  covers(mark: number): boolean {
    return mark <= this.#durable
  }

  /** Resolves when everything committed before the call is on disk. @throws io, from then on always: what the kernel then still has in memory is unknown */
  async run(): Promise<void> {
    if (!this.covers(this.mark())) await this.#shared.run()
  }

  /**
   * The whole of a transaction that says no more than that bytes change of a file which the rows on disk vouch for: an fsync of
   * such a file need not bring it to the disk, because a start after a power loss takes it for granted (see `Recovery`).
   */
  light(work: () => void): void {
    const from = this.mark()
    work()
    this.#light = { from: this.#light.to === from ? this.#light.from : from, to: this.mark() }
  }

  /** Like `run`, but for light commits that nothing followed. */
  async runForVouched(): Promise<void> {
    const mark = this.mark()
    if (!this.covers(mark === this.#light.to ? this.#light.from : mark)) await this.#shared.run()
  }

  /** Resolves when everything up to this mark is on disk: with the next sync that somebody waits for, or a little later. @throws io */
  soon(mark: number): Promise<void> {
    if (this.covers(mark)) return Promise.resolve()
    if (this.#waiting.length === 0) this.#cancel = this.#clock.after(soonMs, () => void this.#shared.run().catch(() => undefined))
    return new Promise((resolve, reject) => this.#waiting.push({ mark, resolve, reject }))
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    this.#cancel()
    for (const one of waiting) {
      if (this.#broken !== undefined) one.reject(this.#broken)
      else if (this.covers(one.mark)) one.resolve()
      else this.soon(one.mark).then(one.resolve, one.reject)
    }
  }

  async #sync(): Promise<void> {
    if (this.#broken !== undefined) throw this.#broken
    const mark = this.mark()
    try {
      await this.#disk.datasync(this.#fd)
    } catch (error) {
      this.#broken = new CloudError('io', 'the database cannot be synced to disk', {
        cause: error,
        hint: 'Check the disk that holds the mount, then start it again.',
      })
      this.#wake()
      throw this.#broken
    }
    this.#durable = Math.max(this.#durable, mark)
    this.#wake()
  }

  async close(): Promise<void> {
    this.#cancel()
    await this.#disk.close(this.#fd)
  }
}
