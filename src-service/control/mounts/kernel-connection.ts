import type { Native } from '../../common/native/native.ts'

/** What must outlive a worker: the kernel's end of a mount, the requests it left unanswered, and its backing files. */
export interface KernelConnection {
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
