import type { ServiceImpl } from '@connectrpc/connect'
import type { OrphanService } from '../../../proto/gen/cloudmoor/v1/orphan_pb.js'
import type { MountManager, Orphan, Orphans } from '../mounts/mount-manager-contract.ts'
import { writeMount } from './mount-wire.ts'
import { readInteger, writeQueue } from './wire-values.ts'

/** OrphanService in terms of `Orphans`. */
export function orphanHandler({ orphans }: Pick<MountManager, 'orphans'>): ServiceImpl<typeof OrphanService> {
  return {
    listOrphans: async (_request, { signal }) => ({ orphans: (await orphans.list(signal)).map(writeOrphan) }),

    adoptOrphan: async ({ id, name, path, providerId }, { signal }) => ({
      mount: writeMount(await orphans.adopt(id, { name, path, providerId }, signal)),
    }),

    exportOrphan: async ({ id, folder }, { signal }) => {
      const { files, bytes, failures, failed } = await orphans.export(id, folder, signal)
      return {
        files: BigInt(files),
        bytes: BigInt(bytes),
        failures: BigInt(failures),
        failed: failed.map((failure) => ({ ...failure })),
      }
    },

    discardOrphan: async ({ id, files }, { signal }) => {
      await orphans.discard(id, readInteger('files', files), signal)
      return {}
    },
  }
}

function writeOrphan(orphan: Orphan) {
  const { id, name, folder, path, provider, remoteRoot, queue, conflicts, reason } = orphan
  return {
    ...{ id, name, folder, path, remoteRoot, reason },
    accountId: provider?.id ?? '',
    accountName: provider?.name ?? '',
    conflicts: BigInt(conflicts),
    ...(queue === null ? {} : { queue: writeQueue(queue) }),
  }
}

/** What waits in orphans, as far as a caller may know. */
export async function orphansSeen(orphans: Orphans, whole: boolean, signal: AbortSignal): Promise<readonly Orphan[]> {
  return whole ? orphans.list(signal) : []
}
