import type { Mount, MountManager } from '../mounts/mount-manager-contract.ts'
import type { Grants } from '../users/grants.ts'
import type { GrantedMount } from '../users/principal.ts'

/** Keeps what grants know of mounts as the mounts are. */
export async function followMounts(
  grants: Grants,
  mounts: Pick<MountManager, 'list' | 'watch'>,
): Promise<{ readonly refresh: (signal: AbortSignal) => Promise<void>; readonly end: () => void }> {
  const refresh = async (signal: AbortSignal) => grants.refresh((await mounts.list(signal)).map(granted))
  const end = mounts.watch((event) => {
    if (event.kind === 'removed') grants.removed(event.mountId)
    else if (event.kind === 'changed') grants.changed(granted(event.mount))
  })
  await refresh(new AbortController().signal)
  return { refresh, end }
}

function granted({ record }: Mount): GrantedMount {
  return { id: record.id, providerId: record.providerId, labels: record.labels }
}
