import { CloudError } from '../../../common/errors.ts'
import type { Contents } from '../contents.ts'
import type { BlobFiles } from './blob-files.ts'
import type { BlobTable } from './blob-table.ts'
import type { BlobContext } from './context.ts'
import { canEvict } from './evictor.ts'
import type { Fetcher } from './fetcher.ts'
import type { Filler } from './filler.ts'
import type { Generations } from './generations.ts'
import type { Ledger } from './ledger.ts'
import type { LocalBlob } from './local-blob.ts'
import type { RangeChanges } from './range-changes.ts'
import type { Reader } from './reader.ts'
import type { Remover } from './remover.ts'
import type { Room } from './room.ts'
import type { StartReport } from './start-report.ts'
import type { Syncer } from './syncer.ts'
import type { Upkeep } from './upkeep.ts'
import type { Uploads } from './uploads.ts'
import { tellTrouble, type Writer } from './writer.ts'

/** `Contents` kept in files beside the mount's database. */
export interface BlobContents extends Contents {
  /** What the start found. */
  readonly start: StartReport
  /** Inside a transaction: our own change at the provider (attributes, move) gave the same bytes the version `rev`. */
  revised(node: number, rev: string): void
  /** Commits so far survive a power loss. */
  syncDatabase(): Promise<void>
}

export interface ContentsParts {
  readonly context: BlobContext
  readonly blobs: BlobTable
  readonly files: BlobFiles
  readonly room: Room
  readonly generations: Generations
  readonly ledger: Ledger
  readonly remover: Remover
  readonly fetcher: Fetcher
  readonly filler: Filler
  readonly reader: Reader
  readonly writer: Writer
  readonly ranges: RangeChanges
  readonly syncer: Syncer
  readonly uploads: Uploads
  readonly upkeep: Upkeep
  readonly start: StartReport
  /** Ends what runs behind. */
  readonly stop: AbortController
  readonly unlock: () => void
}

/** The contract's calls, each handed to the part that does it. */
export function blobContents(parts: ContentsParts): BlobContents {
  const { context, blobs, files, room, generations, ledger, fetcher, filler, reader, writer, ranges, syncer, uploads, upkeep, stop } = parts
  return {
    start: parts.start,
    opened(node, writable) {
      const blob = blobs.find(node)
      if (blob === undefined) return
      blob.opens += 1
      if (writable) blob.writers += 1
      blob.usedAt = context.clock.now()
      // So that the first read or write finds it open. What has no bytes is made by the first write.
      if (blob.generation > 0 && blob.bytes > 0 && blob.file === undefined) behind(files.hold(blob).then((file) => files.release(file)))
    },
    released(node, writable) {
      const blob = blobs.peek(node)
      if (blob === undefined) return
      // Handles from before this process took over were never counted: they may use up one count, and not the other.
      if (writable && blob.writers > 0) blob.writers -= 1
      if (blob.opens > 0) blob.opens -= 1
      if (blob.opens > 0) return
      for (const fd of blob.backing.splice(0)) behind(context.disk.close(fd))
      if (writable || blob.dirty) upkeep.closed(blob)
    },
    openCount: (node) => blobs.peek(node)?.opens ?? 0,
    writerCount: (node) => blobs.peek(node)?.writers ?? 0,

    readNow: (node, position, length, target, targetOffset) => reader.readNow(node, position, length, target, targetOffset),
    read: (node, position, length, target, targetOffset, signal) => reader.read(node, position, length, target, targetOffset, signal),
    write: (node, data, dataOffset, length, position, reserve) => writer.write(node, data, dataOffset, length, position, reserve),
    truncate: (node, size) => writer.truncate(node, size),
    allocate: (node, mode, offset, length) => ranges.allocate(node, mode, offset, length),
    copy: (from, fromOffset, to, toOffset, length) => ranges.copy(from, fromOffset, to, toOffset, length, stop.signal),
    seek: (node, offset, whence) => ranges.seek(node, offset, whence),
    async sync(node) {
      const blob = blobs.find(node)
      if (blob === undefined) return context.wal.run()
      tellTrouble(blob)
      await syncer.sync(blob)
    },
    syncAll: () => syncer.syncAll(),
    syncDatabase: () => context.wal.run(),

    create(node) {
      // An id that an undone transaction gave away may come again.
      blobs.forget(node)
      generations.create(node)
    },
    forget(node) {
      const blob = blobs.find(node)
      if (blob === undefined) return
      generations.forget(blob)
      context.database.afterCommit(() => {
        for (const fd of blob.backing.splice(0)) behind(context.disk.close(fd))
        behind(fetcher.stop(blob))
        blobs.forget(node)
        upkeep.kick()
      })
    },
    live(node) {
      const blob = blobs.peek(node)
      return blob === undefined ? undefined : ledger.live(blob)
    },
    settle(node) {
      const blob = blobs.peek(node)
      if (blob !== undefined) ledger.settle(blob)
    },

    localBytes: (node) => blobs.peek(node)?.bytes ?? context.rows.local(node)?.bytes ?? 0,
    isWhole(node) {
      const blob = blobs.peek(node)
      return blob === undefined ? context.rows.local(node)?.whole === 1 : blob.whole
    },
    async openForBacking(node) {
      const blob = blobs.need(node)
      const { generation } = blob
      if (!canBack(blob, generation)) return undefined
      const fd = await files.openAgain(blob)
      // Looked at again: it may have changed meanwhile.
      if (canBack(blob, generation) && blob.opens > 0) {
        blob.backing.push(fd)
        return fd
      }
      await context.disk.close(fd)
      return undefined
    },

    source: (node, how) => uploads.source(node, how.snapshot),
    uploaded(node, content, rev) {
      const blob = blobs.find(node)
      if (blob === undefined) return
      ledger.uploaded(blob, content, rev)
      context.database.afterCommit(() => upkeep.changed(blob))
    },
    revised(node, rev) {
      const blob = blobs.find(node)
      if (blob !== undefined) ledger.revised(blob, rev)
    },
    lastWrite: (node) => blobs.peek(node)?.lastWrite ?? 0,

    async evict(node) {
      const blob = blobs.find(node)
      if (blob === undefined || blob.dirty || blob.opens > 0) return 0
      await fetcher.stop(blob)
      return canEvict(blob) ? generations.drop(blob) : 0
    },
    fetchAll: (node, signal, useReserve) => filler.fetchAll(blobs.need(node), signal, useReserve),
    expect: (nodes) => filler.expect(nodes),
    usage: () => room.usage(),
    close: () => close(parts),
  }
}

function canBack(blob: LocalBlob, generation: number): boolean {
  return generation > 0 && blob.generation === generation && blob.whole && !blob.dirty
}

/** Ends everything; what is dirty is proved, so that a power loss after this takes nothing. */
async function close(parts: ContentsParts): Promise<void> {
  const { context, blobs, files, room, ledger, remover, fetcher, filler, syncer, uploads, upkeep, stop } = parts
  if (stop.signal.aborted) return
  stop.abort(new CloudError('cancelled', 'the drive is closing'))
  const upkeepIdle = upkeep.stop()
  filler.close()
  uploads.close()
  room.close()
  try {
    await upkeepIdle
    await fetcher.close(blobs.all())
    await Promise.all([...blobs.all()].map((blob) => settled(blob)))
    context.database.transaction(() => {
      for (const blob of blobs.all()) ledger.settle(blob)
    })
    await syncer.syncAll()
    upkeep.save()
    await remover.idle()
    remover.flush()
    await context.wal.run()
  } catch (error) {
    context.host.log('error', 'local files could not be closed in order', { reason: CloudError.from(error).message })
  } finally {
    for (const blob of blobs.all()) for (const fd of blob.backing.splice(0)) behind(context.disk.close(fd))
    files.closeAll()
    await context.wal.close().catch(() => undefined)
    parts.unlock()
  }
}

/** Operations under way come to their end first. */
async function settled(blob: LocalBlob): Promise<void> {
  if (!blob.lock.idle) await blob.lock.hold(0, Infinity, false, async () => undefined)
}

/** For what nobody waits for and whose failure shows where it matters. */
function behind(work: Promise<unknown>): void {
  work.catch(() => undefined)
}
