import { CloudError } from '../../../common/errors.ts'
import type { BlobDatabase } from './blob-rows.ts'
import type { Disk } from './disk.ts'
import { SharedRun } from './shared-run.ts'

/**
 * Makes commits durable: fdatasync of the database's WAL by a descriptor of our own, on the pool, shared by all who wait.
 * (What a checkpoint has moved out of the WAL is in the database, which the checkpoint synced.)
 */
export class WalSync {
  readonly #disk: Disk
  readonly #fd: number
  readonly #changes
  readonly #shared: SharedRun
  #durable = -1
  #broken: CloudError | undefined

  private constructor(database: BlobDatabase, disk: Disk, fd: number) {
    this.#disk = disk
    this.#fd = fd
    this.#changes = database.sql.prepare<[], { changes: number }>('SELECT total_changes() AS changes')
    this.#shared = new SharedRun(() => this.#sync())
  }

  /** The database must have written to its WAL before. */
  static async open(database: BlobDatabase, disk: Disk): Promise<WalSync> {
    return new WalSync(database, disk, await disk.openToRead(`${database.path}-wal`))
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
  run(): Promise<void> {
    return this.covers(this.mark()) ? Promise.resolve() : this.#shared.run()
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
      throw this.#broken
    }
    this.#durable = Math.max(this.#durable, mark)
  }

  async close(): Promise<void> {
    await this.#disk.close(this.#fd)
  }
}
