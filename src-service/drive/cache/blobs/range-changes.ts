import { CloudError } from '../../../common/errors.ts'
import type { BlobFile } from './blob-file.ts'
import type { BlobFiles } from './blob-files.ts'
import type { BlobTable } from './blob-table.ts'
import type { BlobContext } from './context.ts'
import type { Fetcher } from './fetcher.ts'
import type { Ledger } from './ledger.ts'
import type { LocalBlob } from './local-blob.ts'
import type { Reader } from './reader.ts'
import type { Writer } from './writer.ts'

/** Modes of fallocate(2). */
const keepSize = 0x01
const punchHole = 0x02
const zeroRange = 0x10

/** Whence of lseek(2). */
const seekData = 3

/** Largest copy of one call; the kernel asks again for the rest. */
const copyAtMost = 64 * 1024 * 1024
const bufferSize = 1024 * 1024

export interface RangeChangesParts {
  readonly context: BlobContext
  readonly blobs: BlobTable
  readonly files: BlobFiles
  readonly ledger: Ledger
  readonly fetcher: Fetcher
  readonly reader: Reader
  readonly writer: Writer
}

/** The calls that change or ask about ranges without carrying bytes: fallocate, copy_file_range, SEEK_DATA and SEEK_HOLE. */
export class RangeChanges {
  readonly #parts: RangeChangesParts

  constructor(parts: RangeChangesParts) {
    this.#parts = parts
  }

  /** fallocate(2): preallocation, holes and zero ranges. @throws unsupported for other modes */
  async allocate(node: number, mode: number, offset: number, length: number): Promise<void> {
    const blob = this.#parts.blobs.need(node)
    if (length <= 0 || offset < 0) throw new CloudError('invalid', 'an empty range')
    const end = offset + length
    switch (mode) {
      case 0:
      case keepSize:
        await this.#preallocate(blob, mode, offset, end)
        return
      case punchHole | keepSize:
      case zeroRange | keepSize:
        await this.#zero(blob, offset, Math.min(end, blob.size))
        return
      case zeroRange:
        await this.#zero(blob, offset, Math.min(end, blob.size))
        if (end > blob.size) await this.#parts.writer.truncate(node, end)
        return
      default:
        throw new CloudError('unsupported', `fallocate mode ${mode} is not served`)
    }
  }

  async #preallocate(blob: LocalBlob, mode: number, start: number, end: number): Promise<void> {
    const { writer, ledger, context } = this.#parts
    const size = mode === keepSize ? 0 : end
    const work = async (file: BlobFile): Promise<number> => {
      if (await this.#fallocate(file, mode, start, end)) return end - start
      // Where the disk cannot reserve, the bound still does. The last byte is a hole or is there already.
      if (size > blob.size) await context.disk.write(file.fd, Buffer.alloc(1), 0, 1, size - 1)
      return end - start
    }
    await writer.change(blob, { start, end, room: 'normal' }, work, () => ledger.preallocated(blob, start, end, size))
  }

  async #zero(blob: LocalBlob, start: number, end: number): Promise<void> {
    if (start >= end) return
    const { writer, ledger, context } = this.#parts
    const work = async (file: BlobFile): Promise<number> => {
      if (await this.#fallocate(file, punchHole | keepSize, start, end)) return end - start
      const zeros = Buffer.alloc(Math.min(bufferSize, end - start))
      for (let at = start; at < end; ) {
        const some = Math.min(zeros.length, end - at)
        const written = await context.disk.write(file.fd, zeros, 0, some, at)
        at += written
        if (written < some) throw new CloudError('no-space', 'the disk is full')
      }
      return end - start
    }
    await writer.change(blob, { start, end, room: 'none' }, work, () => ledger.punched(blob, start, end))
  }

  /** False if the system or the file system below cannot. */
  async #fallocate(file: BlobFile, mode: number, start: number, end: number): Promise<boolean> {
    const { native } = this.#parts.context
    if (native === null) return false
    try {
      await native.fallocate(file.fd, mode, start, end - start)
      return true
    } catch (error) {
      const known = CloudError.from(error)
      if (known.kind === 'unsupported') return false
      throw known
    }
  }

  /** copy_file_range(2), at most 64 MiB of it. Returns bytes copied. */
  async copy(from: number, fromOffset: number, to: number, toOffset: number, length: number, signal: AbortSignal): Promise<number> {
    const { blobs, fetcher } = this.#parts
    const source = blobs.need(from)
    const target = blobs.need(to)
    const bytes = Math.min(length, copyAtMost, source.size - fromOffset)
    if (bytes <= 0) return 0
    if (from === to && Math.abs(fromOffset - toOffset) < bytes) throw new CloudError('invalid', 'the ranges overlap')
    for (let tries = 0; tries < 3 && this.#parts.context.native !== null; tries += 1) {
      if (!(await fetcher.ensure(source, fromOffset, fromOffset + bytes, bytes, 'reader', signal))) break
      const copied = await this.#copyHere(source, fromOffset, target, toOffset, bytes)
      if (copied >= 0) return copied
    }
    return this.#copyThrough(from, fromOffset, to, toOffset, Math.min(bytes, bufferSize), signal)
  }

  /** -1 if the source is not all here any more. Locks in the order of the nodes, so that two copies never wait for each other. */
  async #copyHere(source: LocalBlob, fromOffset: number, target: LocalBlob, toOffset: number, bytes: number): Promise<number> {
    const same = source === target
    const turn = source.node < target.node ? source.lock.ask(fromOffset, fromOffset + bytes, true) : undefined
    const range = { start: toOffset, end: toOffset + bytes, room: 'normal' as const }
    const both = { lockStart: Math.min(fromOffset, toOffset), lockEnd: Math.max(fromOffset, toOffset) + bytes }
    try {
      if (turn?.ready !== undefined) await turn.ready
      return await this.#parts.writer.change(target, same ? { ...range, ...both } : range, (file) => {
        if (same || turn !== undefined) return this.#copyRange(source, fromOffset, file, toOffset, bytes)
        return source.lock.hold(fromOffset, fromOffset + bytes, true, () => this.#copyRange(source, fromOffset, file, toOffset, bytes))
      })
    } finally {
      turn?.release()
    }
  }

  async #copyRange(source: LocalBlob, fromOffset: number, target: BlobFile, toOffset: number, bytes: number): Promise<number> {
    const { context, files } = this.#parts
    if (context.native === null || source.generation === 0 || source.firstMissing(fromOffset, fromOffset + bytes) >= 0) return -1
    const some = Math.min(bytes, source.size - fromOffset)
    if (some <= 0) return 0
    const file = await files.hold(source)
    try {
      return await context.native.copyRange(file.fd, fromOffset, target.fd, toOffset, some)
    } finally {
      files.release(file)
    }
  }

  /** Through memory, for what cannot be kept here or where the system has no such call. */
  async #copyThrough(from: number, fromOffset: number, to: number, toOffset: number, bytes: number, signal: AbortSignal): Promise<number> {
    const { reader, writer } = this.#parts
    const buffer = Buffer.allocUnsafeSlow(bytes)
    const got = await reader.read(from, fromOffset, bytes, buffer, 0, signal)
    return writer.write(to, buffer, 0, got, toOffset, false)
  }

  /** lseek(2): the place, -1 beyond the end of the data. What is not local counts as data. */
  seek(node: number, offset: number, whence: number): number | Promise<number> {
    const { context, blobs, files } = this.#parts
    const blob = blobs.need(node)
    if (offset < 0 || offset >= blob.size) return -1
    const { native } = context
    if (!blob.whole || native === null) return whence === seekData ? offset : blob.size
    const place = (file: BlobFile): number => {
      try {
        const at = native.seek(file.fd, offset, whence)
        return at < 0 ? (whence === seekData ? -1 : blob.size) : Math.min(at, blob.size)
      } finally {
        files.release(file)
      }
    }
    const file = files.ready(blob)
    return file === undefined ? files.hold(blob).then(place) : place(file)
  }
}
