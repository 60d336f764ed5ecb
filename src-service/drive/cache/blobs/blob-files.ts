import { join } from 'node:path'
import { CloudError } from '../../../common/errors.ts'
import type { Disk } from './disk.ts'
import type { BlobFile } from './blob-file.ts'
import type { LocalBlob } from './local-blob.ts'
import type { PromptDisk } from './prompt-disk.ts'

const openAtMost = 512

/** Folder of the blob, below `blobs/`. Nodes made one after the other share one, so that syncing it serves them all. */
export function folderOf(node: number): string {
  return (Math.floor(node / 256) % 256).toString(16).padStart(2, '0')
}

/** Descriptors of blobs: opened on the pool, kept while they are in use, at most 512 idle ones. */
export class BlobFiles {
  readonly #disk: Disk
  readonly #prompt: PromptDisk
  readonly #folder: string
  readonly #missing: (blob: LocalBlob) => void
  /** Least recently opened first. */
  readonly #open = new Set<LocalBlob>()

  /** @param missing a file that must be there is not: makes the state true again. */
  constructor(disk: Disk, prompt: PromptDisk, folder: string, missing: (blob: LocalBlob) => void) {
    this.#disk = disk
    this.#prompt = prompt
    this.#folder = folder
    this.#missing = missing
  }

  pathOf(node: number, generation: number): string {
    return join(this.folderPath(node), `${node}.${generation}`)
  }

  folderPath(node: number): string {
    return join(this.#folder, folderOf(node))
  }

  /** The open file, to be given back with `release`; undefined if it must be opened first. */
  ready(blob: LocalBlob): BlobFile | undefined {
    const file = blob.file
    if (file !== undefined) file.uses += 1
    return file
  }

  /** Like `ready`; a file that has no bytes yet is made at once if that is possible. */
  readyNow(blob: LocalBlob): BlobFile | undefined {
    if (blob.file === undefined && blob.opening === undefined && blob.bytes === 0 && blob.size === 0 && blob.generation !== 0) {
      const fd = this.#prompt.make(this.pathOf(blob.node, blob.generation))
      if (fd >= 0) this.#opened(blob, { fd, uses: 0, detached: false })
    }
    return this.ready(blob)
  }

  /** The file of the blob's current generation, made if the blob holds no bytes yet. To be given back with `release`. @throws damaged if it is gone */
  async hold(blob: LocalBlob): Promise<BlobFile> {
    for (;;) {
      const file = this.ready(blob)
      if (file !== undefined) return file
      if (blob.generation === 0) throw new CloudError('internal', `node ${blob.node} has no blob to open`)
      await (blob.opening ??= this.#openFile(blob))
    }
  }

  release(file: BlobFile): void {
    file.uses -= 1
    if (file.detached && file.uses === 0) this.#close(file)
  }

  /** The blob goes on with another generation, or with none. */
  detach(blob: LocalBlob): void {
    const file = blob.file
    blob.file = undefined
    blob.opening = undefined
    blob.folderSynced = false
    this.#open.delete(blob)
    if (file === undefined) return
    file.detached = true
    if (file.uses === 0) this.#close(file)
  }

  /** A second descriptor, read-only and the caller's own. */
  async openAgain(blob: LocalBlob): Promise<number> {
    return this.#disk.openToRead(this.pathOf(blob.node, blob.generation))
  }

  closeAll(): void {
    for (const blob of [...this.#open]) this.detach(blob)
  }

  async #openFile(blob: LocalBlob): Promise<BlobFile> {
    const { generation } = blob
    const made = blob.bytes === 0
    try {
      const fd = await this.#openPath(blob, made)
      const file: BlobFile = { fd, uses: 0, detached: false }
      if (made && blob.size > 0) await this.#disk.truncate(fd, blob.size)
      // What a write that never ended left behind the end must not come to light when the file grows.
      if (!made && blob.dirty && (await this.#disk.facts(fd)).size > blob.size) await this.#disk.truncate(fd, blob.size)
      if (blob.generation !== generation) {
        this.#close(file)
        return file
      }
      this.#opened(blob, file)
      return file
    } finally {
      if (blob.generation === generation) blob.opening = undefined
    }
  }

  #opened(blob: LocalBlob, file: BlobFile): void {
    blob.file = file
    this.#open.add(blob)
    // Not this one, for which somebody waits: where all others are in use it would be opened and closed for ever.
    file.uses += 1
    this.#closeIdle()
    file.uses -= 1
  }

  async #openPath(blob: LocalBlob, made: boolean): Promise<number> {
    const { generation } = blob
    try {
      return await this.#disk.open(this.pathOf(blob.node, generation), made)
    } catch (error) {
      const known = CloudError.from(error)
      if (known.kind !== 'not-found') throw known
      if (blob.generation === generation) this.#missing(blob)
      throw new CloudError('damaged', `the local copy of node ${blob.node} is gone from the disk`, { cause: error })
    }
  }

  #closeIdle(): void {
    if (this.#open.size <= openAtMost) return
    for (const blob of this.#open) {
      if (blob.file === undefined || blob.file.uses > 0) continue
      const { folderSynced } = blob
      this.detach(blob)
      blob.folderSynced = folderSynced
      if (this.#open.size <= openAtMost) return
    }
  }

  #close(file: BlobFile): void {
    // Nothing is lost by a failing close: what must be on disk was synced before.
    this.#disk.close(file.fd).catch(() => undefined)
  }
}
