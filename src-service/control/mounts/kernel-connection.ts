import { type Clock, pause } from '../../common/clock.ts'
import { defaultGeometry } from '../../common/frames/messages.ts'
import { header, type Native } from '../../common/native/native.ts'
import { type FuseMountOptions, mountFuse, raiseReadAhead } from './drivers/fuse.ts'
import type { MountRecords } from './mount-records.ts'
import { mountedAt, readMountTable } from './mount-table.ts'

/** What must outlive a worker: the kernel's end of a mount, the requests it left unanswered, and its backing files. */
export interface KernelConnection {
  readonly kind: 'fuse'
  readonly fuseFd: number
  readonly memoryFd: number
  /** Header page of the request memory. */
  readonly page: Buffer
  readonly path: string
  /** `major:minor`, st_dev of the mount; '' if it could not be learnt. */
  readonly device: string
  /** Backing file ids by node, for passthrough. */
  readonly backing: Map<number, number>
}

const agreedPollMs = 20
const agreedMs = 10_000

/** Mounts, with a record of it before and after, and makes the request memory. Nobody serves the mount yet. */
export async function makeConnection(
  native: Native,
  records: MountRecords,
  mountId: string,
  options: FuseMountOptions,
): Promise<KernelConnection> {
  const { path, source } = options
  await records.save({ mountId, path, source, device: '' })
  const fuseFd = await mountFuse(native, options)
  try {
    const memoryFd = native.createRequestMemory(defaultGeometry)
    const device = mountedAt(await readMountTable(), path)?.device ?? ''
    await records.save({ mountId, path, source, device })
    return { kind: 'fuse', fuseFd, memoryFd, page: native.mapHeader(memoryFd), path, device, backing: new Map() }
  } catch (caught) {
    // The mount is dead then; the record lets it be cleared away.
    native.closeFd(fuseFd)
    throw caught
  }
}

/** The kernel sets its read-ahead when it gets the answer to INIT: what is written before that is lost. */
export async function raiseReadAheadWhenAgreed(clock: Clock, connection: KernelConnection): Promise<void> {
  for (let waited = 0; waited < agreedMs; waited += agreedPollMs) {
    const agreed = connection.page.readUInt32LE(header.initDone) === 1
    await pause(clock, agreedPollMs)
    if (!agreed) continue
    await raiseReadAhead(connection.device)
    return
  }
}

/** Closes the descriptors. With those of the worker gone, the kernel ends the connection: callers get ENOTCONN. */
export function closeConnection(native: Native, connection: KernelConnection): void {
  native.closeFd(connection.fuseFd)
  native.closeFd(connection.memoryFd)
}

/**
 * Registers a worker's file for passthrough and gives its id, 0 if the kernel refuses. A node that was registered for an
 * earlier worker keeps its id: the kernel refuses another one while the node is open.
 */
export function registerBacking(native: Native, connection: KernelConnection, node: number, fileFd: number): number {
  const known = connection.backing.get(node)
  if (known !== undefined) return known
  const id = native.backingOpen(connection.fuseFd, fileFd)
  if (id <= 0) return 0
  connection.backing.set(node, id)
  return id
}

export function forgetBacking(native: Native, connection: KernelConnection, node: number, backingId: number): void {
  if (connection.backing.get(node) !== backingId) return
  connection.backing.delete(node)
  native.backingClose(connection.fuseFd, backingId)
}
