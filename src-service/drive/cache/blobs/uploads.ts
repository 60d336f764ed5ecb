import { join } from 'node:path'
import { CloudError } from '../../../common/errors.ts'
import type { UploadSource } from '../../connectors/connector.ts'
import type { BlobFile } from './blob-file.ts'
import type { BlobFiles } from './blob-files.ts'
import type { BlobTable } from './blob-table.ts'
import type { BlobContext } from './context.ts'
import { copyRanges, dataRanges } from './copy-blocks.ts'
import { Extents } from './extents.ts'
import type { Filler } from './filler.ts'
import type { LocalBlob, Seal } from './local-blob.ts'
import type { Room } from './room.ts'
import type { Syncer } from './syncer.ts'

export type SealedSource = UploadSource & { readonly content: number; close(): void }

/** What changed during a copy is copied again; below this many bytes writers are held up for it. */
const lastCopy = 8 * 1024 * 1024
const copyPasses = 5

export interface UploadsParts {
  readonly context: BlobContext
  readonly blobs: BlobTable
  readonly files: BlobFiles
  readonly room: Room
  readonly filler: Filler
  readonly syncer: Syncer
}

/** Hands out one version of a file's bytes for an upload. */
export class Uploads {
  readonly #parts: UploadsParts
  readonly #stop = new AbortController()
  #copies = 0

  constructor(parts: UploadsParts) {
    this.#parts = parts
  }

  close(): void {
    this.#stop.abort(new CloudError('cancelled', 'the drive is closing'))
  }

  async source(node: number, snapshot: boolean): Promise<SealedSource> {
    const { blobs, context } = this.#parts
    const blob = blobs.need(node)
    if (blob.baseLost) throw new CloudError('conflict', 'the version that this file is based on is gone at the provider')
    await this.#complete(blob)
    await this.#parts.syncer.sync(blob)
    if (snapshot) return this.#snapshot(blob)
    const sealed = await blob.lock.hold(0, Infinity, false, () => this.#seal(blob))
    try {
      await this.#parts.syncer.flush(blob)
      await context.wal.run()
      if (sealed.seal.overtaken) throw overtaken()
    } catch (error) {
      this.#unseal(blob, sealed)
      throw error
    }
    return this.#source(blob, sealed)
  }

  async #complete(blob: LocalBlob): Promise<void> {
    if (!blob.whole) await this.#parts.filler.fetchAll(blob, this.#stop.signal, true)
    if (!blob.whole) throw new CloudError('busy', 'the file changed while it was being completed')
  }

  /** No write is under way: what the file is now is one version. */
  async #seal(blob: LocalBlob): Promise<Sealed> {
    if (!blob.whole) throw new CloudError('busy', 'the file changed while it was being completed')
    const { content, size } = blob
    const seal: Seal = { overtaken: false }
    const file = size === 0 ? undefined : await this.#parts.files.hold(blob)
    blob.sealed = true
    blob.seals.add(seal)
    return { seal, file, content, size }
  }

  #unseal(blob: LocalBlob, { seal, file }: Sealed): void {
    if (!blob.seals.delete(seal) || file === undefined) return
    this.#parts.files.release(file)
  }

  #source(blob: LocalBlob, sealed: Sealed): SealedSource {
    const { disk } = this.#parts.context
    const { seal, file, content, size } = sealed
    return {
      size,
      content,
      read: async (start, end, signal) => {
        this.#check(seal, signal)
        const bytes = Buffer.allocUnsafeSlow(end - start)
        const got = file === undefined ? 0 : await disk.read(file.fd, bytes, 0, bytes.length, start)
        // Looked at again: a write may have come while the disk was read.
        this.#check(seal, signal)
        if (got < bytes.length) throw new CloudError('damaged', `the local copy of node ${blob.node} is too short`)
        return bytes
      },
      close: () => {
        this.#unseal(blob, sealed)
      },
    }
  }

  #check(seal: Seal, signal: AbortSignal): void {
    if (seal.overtaken) throw overtaken()
    if (signal.aborted) throw CloudError.from(signal.reason)
  }

  async #snapshot(blob: LocalBlob): Promise<SealedSource> {
    const { context, room } = this.#parts
    if (blob.watch !== undefined) throw new CloudError('busy', 'a snapshot of this file is being made')
    const bytes = blob.charge()
    if (!(await room.forClean(bytes, false))) throw new CloudError('no-space', 'the cache has no room for a snapshot of the file')
    this.#copies += 1
    const path = join(context.folder, 'snapshots', `${blob.node}.${blob.content}.${this.#copies}`)
    let fd: number | undefined
    try {
      fd = await context.disk.open(path, true)
      const copied = await this.#copy(blob, fd)
      // Counted as long as it exists, whatever of it the file system shares with the blob.
      room.spend(bytes)
      room.adjust(bytes)
      return this.#copySource(blob, fd, path, bytes, copied)
    } catch (error) {
      room.giveBack(bytes)
      if (fd !== undefined) await this.#removeCopy(fd, path)
      throw error
    }
  }

  #copySource(blob: LocalBlob, fd: number, path: string, bytes: number, { content, size }: Copied): SealedSource {
    const { context, room } = this.#parts
    const state: Seal & { reads: number; closed: boolean } = { overtaken: false, reads: 0, closed: false }
    const end = (): void => {
      if (!state.closed || state.reads > 0) return
      void this.#removeCopy(fd, path).finally(() => room.adjust(-bytes))
    }
    return {
      size,
      content,
      read: async (start, stop, signal) => {
        if (state.closed) throw new CloudError('cancelled', 'the snapshot was closed')
        this.#check(state, signal)
        state.reads += 1
        try {
          const data = Buffer.allocUnsafeSlow(stop - start)
          const got = await context.disk.read(fd, data, 0, data.length, start)
          if (got < data.length) throw new CloudError('damaged', `the snapshot of node ${blob.node} is too short`)
          return data
        } finally {
          state.reads -= 1
          end()
        }
      },
      close: () => {
        if (state.closed) return
        state.closed = true
        end()
      },
    }
  }

  /** One version of the bytes into another file, holding writers up only for the end of it. */
  async #copy(blob: LocalBlob, fd: number): Promise<Copied> {
    const { context, files } = this.#parts
    const cloned = await blob.lock.hold(0, Infinity, false, () => this.#clone(blob, fd))
    if (cloned !== undefined) return cloned
    const { generation } = blob
    const watch = new Extents()
    blob.watch = watch
    try {
      const file = await files.hold(blob)
      try {
        let left = await dataRanges(context, file.fd, blob.size)
        for (let pass = 0; pass < copyPasses; pass += 1) {
          await copyRanges(context, file.fd, fd, left)
          left = takeAll(watch)
          if (length(left) <= lastCopy) break
        }
        return await blob.lock.hold(0, Infinity, false, async () => {
          if (blob.generation !== generation) throw overtaken()
          for (const [start, end] of takeAll(watch)) left.add(start, end)
          left.remove(blob.size, Infinity)
          await context.disk.truncate(fd, blob.size)
          await copyRanges(context, file.fd, fd, left)
          blob.sealed = true
          return { content: blob.content, size: blob.size }
        })
      } finally {
        files.release(file)
      }
    } finally {
      if (blob.watch === watch) blob.watch = undefined
    }
  }

  /** A copy that shares its blocks with the blob; undefined where the file system has no such thing. */
  async #clone(blob: LocalBlob, fd: number): Promise<Copied | undefined> {
    const { context, files } = this.#parts
    const { content, size } = blob
    if (context.native === null && size > 0) return undefined
    const file = size === 0 ? undefined : await files.hold(blob)
    try {
      if (file !== undefined) await context.native?.cloneFile(file.fd, fd)
      blob.sealed = true
      return { content, size }
    } catch (error) {
      const known = CloudError.from(error)
      if (known.kind === 'unsupported' || known.kind === 'cross-device' || known.kind === 'invalid' || known.code === 'ENOTTY')
        return undefined
      throw known
    } finally {
      if (file !== undefined) files.release(file)
    }
  }

  async #removeCopy(fd: number, path: string): Promise<void> {
    const { disk, host } = this.#parts.context
    try {
      await disk.close(fd)
      await disk.remove(path)
    } catch (error) {
      host.log('warn', 'a snapshot could not be removed', { reason: CloudError.from(error).message })
    }
  }
}

interface Sealed {
  readonly seal: Seal
  readonly file: BlobFile | undefined
  readonly content: number
  readonly size: number
}

interface Copied {
  readonly content: number
  readonly size: number
}

function overtaken(): CloudError {
  return new CloudError('cancelled', 'the file was written while it was being uploaded')
}

function takeAll(extents: Extents): Extents {
  const taken = new Extents()
  for (const [start, end] of [...extents]) {
    taken.add(start, end)
    extents.remove(start, end)
  }
  return taken
}

function length(extents: Extents): number {
  let sum = 0
  for (const [start, end] of extents) sum += end - start
  return sum
}
