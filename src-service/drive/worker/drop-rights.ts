import type { Native } from '../../common/native/native.ts'

/**
 * Gives up every capability before the first byte of a cloud is read. Root's mounts of a local folder keep theirs: for such a
 * mount the folder is the cloud, and only with them its owners and modes can be played (docs/decisions/0009). Such a worker
 * reads nothing that comes from another machine.
 */
export function dropRights(native: Native, connectorType: string): void {
  if (connectorType === 'local' && process.getuid?.() === 0) return
  native.dropCapabilities()
}
