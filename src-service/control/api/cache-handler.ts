import type { ServiceImpl } from '@connectrpc/connect'
import type { CacheService } from '../../../proto/gen/cloudmoor/v1/cache_pb.js'
import type { MountManager } from '../mounts/mount-manager-contract.ts'

/** CacheService in terms of `MountManager`. A mount that was never up has nothing here. */
export function cacheHandler(mounts: MountManager): ServiceImpl<typeof CacheService> {
  return {
    getCacheUsage: async ({ mountId }, { signal }) => {
      const nothing = { bytes: 0, limit: 0, dirtyBytes: 0, pinnedBytes: 0 }
      const use = (await mounts.ask(mountId, 'cacheUse', {}, signal)) ?? nothing
      const { record } = await mounts.get(mountId, signal)
      return {
        bytes: BigInt(use.bytes),
        limit: BigInt(record.cacheSize),
        dirtyBytes: BigInt(use.dirtyBytes),
        pinnedBytes: BigInt(use.pinnedBytes),
      }
    },

    clearCache: async ({ mountId }, { signal }) => {
      const freed = (await mounts.ask(mountId, 'clearCache', {}, signal)) ?? { bytes: 0, kept: 0 }
      return { freedBytes: BigInt(freed.bytes), keptFiles: BigInt(freed.kept) }
    },
  }
}
