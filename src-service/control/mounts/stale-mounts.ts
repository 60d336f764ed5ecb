import { CloudError } from '../../common/errors.ts'
import type { Native } from '../../common/native/native.ts'
import type { Log, WriteLog } from '../../common/telemetry/log.ts'
import { unmountFuse } from './drivers/fuse.ts'
import type { KernelMountRecord, MountRecords } from './mount-records.ts'
import { fileSystemType, type MountEntry, mountedAt, readMountTable } from './mount-table.ts'

/** Ours, and those of rclone. */
const ourTypes: ReadonlySet<string> = new Set([fileSystemType, 'fuse.rclone', 'nfs', 'nfs4'])

export interface StaleMountHost {
  readonly native: Native
  readonly records: MountRecords
  readonly log: WriteLog
}

/**
 * Takes a mount of ours away whose kernel connection is gone, and forgets it. The record and the mount table say which;
 * the mount itself is not touched. The caller knows that nobody serves it any more.
 */
export async function clearStaleMount(host: StaleMountHost, mountId: string): Promise<void> {
  const record = (await host.records.list()).find((known) => known.mountId === mountId)
  if (record === undefined) return
  if (standsFor(record, await readMountTable()) !== undefined) {
    try {
      await unmountFuse(host.native, record.path, true)
      host.log('info', `${record.path} was unmounted`, { mountId })
    } catch (caught) {
      // Gone in the meantime is as good.
      if (standsFor(record, await readMountTable()) !== undefined) throw CloudError.from(caught)
    }
  }
  await host.records.remove(mountId)
}

/** The entry of the mount table that this record is about, if it is still seen there. */
export function standsFor(record: KernelMountRecord, table: readonly MountEntry[]): MountEntry | undefined {
  const entry = mountedAt(table, record.path)
  if (entry === undefined || !ourTypes.has(entry.type) || entry.source !== record.source) return undefined
  return record.device === '' || entry.device === record.device ? entry : undefined
}

/** Takes away mounts whose service and worker both died. @param adopted ids of those that live */
export async function clearLeftMounts(
  host: Omit<StaleMountHost, 'log'> & { readonly log: Log },
  adopted: readonly string[],
): Promise<void> {
  for (const { mountId, path } of await host.records.list()) {
    if (adopted.includes(mountId)) continue
    host.log.write('info', `the mount on ${path} was left behind; it is cleared away`, { mountId })
    await clearStaleMount({ ...host, log: host.log.write }, mountId).catch((caught: unknown) => {
      host.log.write('error', `${path} could not be cleared: ${CloudError.from(caught).message}`, { mountId })
    })
  }
}
