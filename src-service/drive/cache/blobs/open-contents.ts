import { join } from 'node:path'
import { type Clock, systemClock } from '../../../common/clock.ts'
import { CloudError } from '../../../common/errors.ts'
import type { Native } from '../../../common/native/native.ts'
import type { ContentsHost } from '../contents.ts'
import { type BlobContents, blobContents } from './blob-contents.ts'
import { BlobFiles } from './blob-files.ts'
import { type BlobDatabase, BlobRows } from './blob-rows.ts'
import { BlobTable } from './blob-table.ts'
import { Budget } from './budget.ts'
import type { BlobContext } from './context.ts'
import { type Disk, localDisk } from './disk.ts'
import { Evictor } from './evictor.ts'
import { Fetcher } from './fetcher.ts'
import { Filler } from './filler.ts'
import { Generations } from './generations.ts'
import { Ledger } from './ledger.ts'
import type { LocalBlob } from './local-blob.ts'
import { behind, blobFolders, moveOrphans, reportMissing } from './orphans.ts'
import { RangeChanges } from './range-changes.ts'
import { PromptDisk } from './prompt-disk.ts'
import { Reader } from './reader.ts'
import { promisedGeneration, Recovery } from './recovery.ts'
import { Recycler } from './recycler.ts'
import { Remover } from './remover.ts'
import { Rewriter } from './rewriter.ts'
import { Room } from './room.ts'
import type { StartReport } from './start-report.ts'
import { Syncer } from './syncer.ts'
import { defaultTiming, Upkeep, type UpkeepTiming } from './upkeep.ts'
import { Uploads } from './uploads.ts'
import { WalSync } from './wal-sync.ts'
import { Writer } from './writer.ts'

/** Version of the layout below `blobs/`. */
const format = '1'
const lockWaitMs = 5000
const roomWaitMs = 30_000

export interface OpenContentsOptions {
  /** Opened, schema applied. `boot_id` in its facts belongs to the contents. */
  readonly database: BlobDatabase
  readonly native: Native | null
  /** blobs/, quarantine/, lost+found/ and snapshots/ are made in it. */
  readonly folder: string
  /** Bound of all local bytes. */
  readonly limit: number
  readonly host: ContentsHost
  /** Bytes that requests to the provider may have in flight. */
  readonly readBudgetBytes: number
  readonly deadlines: { readonly readMs: number }
  /** Identity of the running kernel. */
  readonly bootId: string
  /** The kernel connection is older than this process: nodes without a name may be open. */
  readonly takenOver: boolean
  /** For tests. */
  readonly disk?: Disk
  readonly clock?: Clock
  readonly timing?: Partial<UpkeepTiming & { readonly roomWaitMs: number }>
}

/**
 * Opens the local bytes of a mount, after making rows and files agree again if the last process did not end in order.
 * To be done before anything else reads the nodes' rows.
 * @throws busy if another process has the folder, unsupported for a newer format
 */
export async function openContents(options: OpenContentsOptions): Promise<BlobContents> {
  const { folder, database } = options
  const disk = options.disk ?? localDisk
  await disk.makeFolder(folder)
  const unlock = await disk.lock(folder, lockWaitMs)
  try {
    await makePlaces(disk, folder)
    // The WAL is there from the first change on.
    database.setFact('blob_format', format)
    const clock = options.clock ?? systemClock
    const wal = await WalSync.open(database, disk, clock)
    await disk.syncFolder(join(database.path, '..'))
    await wal.run()
    const rows = new BlobRows(database)
    const context: BlobContext = { database, rows, wal, disk, native: options.native, clock, host: options.host, folder }
    return await assemble(options, context, unlock)
  } catch (error) {
    unlock()
    throw error
  }
}

async function makePlaces(disk: Disk, folder: string): Promise<void> {
  const file = join(folder, 'blobs', 'format')
  const found = await disk.readText(file)
  if (found !== undefined && found.trim() !== format) {
    throw new CloudError('unsupported', `local files have format ${found.trim()}, this program knows ${format}`, {
      hint: 'Update CloudMoor, or start the version that wrote this mount.',
    })
  }
  if (found === undefined) {
    await Promise.all(blobFolders().map((name) => disk.makeFolder(join(folder, 'blobs', name))))
    for (const name of ['quarantine', 'lost+found', 'snapshots']) await disk.makeFolder(join(folder, name))
    await disk.writeText(file, `${format}\n`)
    await disk.syncFolder(join(folder, 'blobs'))
    await disk.syncFolder(folder)
  }
  // Copies for uploads that ended with their process.
  for (const name of await disk.list(join(folder, 'snapshots'))) await disk.remove(join(folder, 'snapshots', name))
}

async function assemble(options: OpenContentsOptions, context: BlobContext, unlock: () => void): Promise<BlobContents> {
  const { rows, disk, clock, host, folder } = context
  const timing = { ...defaultTiming, roomWaitMs, ...options.timing }
  const stop = new AbortController()
  const prompt = new PromptDisk(disk, clock)
  const files = new BlobFiles(disk, prompt, join(folder, 'blobs'), (blob) => {
    if (!blob.dirty) void generations.drop(blob)
    else ledger.fault(blob, 'blob_missing', new CloudError('damaged', 'the only copy of changes is gone from the disk'))
  })
  const lastGeneration = rows.lastGeneration
  const start = await recover(options, context, files, lastGeneration, stop.signal)

  const evict = (bytes: number, pinned: boolean): Promise<number> => evictor.free(bytes, pinned)
  const room = new Room(
    {
      disk,
      folder,
      clock,
      limit: options.limit,
      waitMs: timing.roomWaitMs,
      canUpload: () => host.canUpload(),
      evict,
      onFull: () => host.fullChanged?.(),
    },
    rows.totals(),
  )
  const remover = new Remover(context, files, room, () => upkeep.kick())
  const generations = new Generations(context, files, room, remover)
  const ledger = new Ledger(context, room, generations)
  const blobs = new BlobTable(context, room)
  const evictor = new Evictor(context, blobs, generations, options.takenOver)
  const rewriter = new Rewriter(context, files, room, generations, ledger)
  const syncer = new Syncer({ context, blobs, files, ledger, onFailure: (blob) => rewriter.failed(blob) })
  const upkeep = new Upkeep({ context, blobs, files, ledger, remover, syncer, timing })
  const recycler = new Recycler(context, files, room)
  const budget = new Budget(options.readBudgetBytes)
  const onStored = (blob: LocalBlob, whole: boolean): void => {
    upkeep.changed(blob)
    if (whole && blob.dirty) behind(context, 'syncing a completed file', () => syncer.flush(blob))
  }
  const onBaseLost = (blob: LocalBlob): void => {
    blob.baseLost = true
    blob.trouble = new CloudError('conflict', 'the version that this file is based on is gone at the provider')
    host.baseLost(blob.node)
  }
  const recycle: Recycler['recycle'] = (blob, flight, bytes) => recycler.recycle(blob, flight, bytes)
  const fetcher = new Fetcher({
    context,
    files,
    room,
    generations,
    budget,
    stallMs: options.deadlines.readMs,
    onStored,
    onBaseLost,
    recycle,
  })
  const filler = new Filler(context, blobs, fetcher, room)
  const reader = new Reader({ context, blobs, files, generations, ledger, fetcher, budget })
  const onChanged = (blob: LocalBlob): void => upkeep.changed(blob)
  const writer = new Writer({ context, prompt, blobs, files, room, generations, ledger, fetcher, filler, evict, onChanged })
  const ranges = new RangeChanges({ context, blobs, files, ledger, fetcher, reader, writer })
  const uploads = new Uploads({ context, blobs, files, room, filler, syncer })

  removeOlder(context, generations, remover)
  for (const node of rows.incomplete()) resume(blobs.find(node), (blob) => filler.fill(blob))
  for (const node of rows.unsynced()) resume(blobs.find(node), (blob) => upkeep.closed(blob))
  return blobContents({
    context,
    blobs,
    files,
    room,
    generations,
    ledger,
    remover,
    fetcher,
    filler,
    reader,
    writer,
    ranges,
    syncer,
    uploads,
    upkeep,
    start,
    stop,
    unlock,
  })
}

function resume(blob: LocalBlob | undefined, work: (blob: LocalBlob) => void): void {
  if (blob !== undefined) work(blob)
}

async function recover(
  options: OpenContentsOptions,
  context: BlobContext,
  files: BlobFiles,
  lastGeneration: number,
  signal: AbortSignal,
): Promise<StartReport> {
  const { database, wal } = context
  const known = database.fact('boot_id')
  const uncleanBoot = known !== undefined && known !== options.bootId
  const pathOf = (node: number, generation: number): string => files.pathOf(node, generation)
  const recovery = new Recovery(context, pathOf)
  if (uncleanBoot) {
    // Before any new file is made: after a power loss the database may have forgotten names that the disk still has.
    const orphans = await moveOrphans(context, Infinity, signal)
    const { unproved } = await recovery.afterPowerLoss(() => database.setFact('boot_id', options.bootId))
    await wal.run()
    return { uncleanBoot, unproved, missing: [], orphans }
  }
  const { missing } = await recovery.afterCrash()
  database.setFact('boot_id', options.bootId)
  behind(context, 'looking for files without an owner', () => moveOrphans(context, lastGeneration, signal))
  behind(context, 'looking for missing files', () => reportMissing(context, pathOf, signal))
  return { uncleanBoot, unproved: [], missing, orphans: 0 }
}

/** Files of generations that were let go go; bytes that an fsync promised stay while newer ones are not proved. */
function removeOlder({ rows, database }: BlobContext, generations: Generations, remover: Remover): void {
  for (const older of rows.older()) {
    const current = rows.load(older.node)
    const unproved = current !== undefined && current.generation > 0 && current.base_rev === null && current.synced === 0
    const promised = unproved ? promisedGeneration(database, { node: older.node, generation: current.generation }) : undefined
    if (promised?.generation === older.generation) generations.keepPromised(older)
    else void remover.remove(older, -1)
  }
}
