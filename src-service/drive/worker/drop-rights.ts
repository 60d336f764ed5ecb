import type { Native } from '../../common/native/native.ts'

/**
 * Gives up every capability before the first byte of a cloud is read. Mounts of a local folder keep them: for such a
 * mount the folder is the cloud, and a service that runs as root plays root's folders with their owners and modes
 * (docs/decisions/0009-rights-of-a-local-mount.md). It parses nothing that comes from another machine.
 */
export function dropRights(native: Native, connectorType: string): void {
  if (connectorType === 'local') return
  native.dropCapabilities()
}
