import type { ServiceImpl } from '@connectrpc/connect'
import type { BrowseService } from '../../../proto/gen/cloudmoor/v1/browse_pb.js'
import type { MountManager } from '../mounts/mount-manager-contract.ts'
import type { Providers } from '../providers/providers.ts'
import { readLimit, writeTime } from './wire-values.ts'

/** BrowseService in terms of `Providers` and `MountManager`. */
export function browseHandler(providers: Providers, mounts: MountManager): ServiceImpl<typeof BrowseService> {
  return {
    listFolder: async (request, { signal }) => {
      const limit = readLimit('limit', request.limit, 1000, 10_000)
      const page = await mounts.browse(await providers.account(request.providerId), request.path, limit, signal)
      const entries = page.entries.map(({ name, folder, size, modifiedAt }) => ({
        name,
        folder,
        size: BigInt(size),
        ...(modifiedAt === null ? {} : { modifyTime: writeTime(modifiedAt) }),
      }))
      return { entries, truncated: page.truncated }
    },
  }
}
