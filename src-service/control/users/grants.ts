import { scopeCovers } from './principal.ts'
import type { Grant, GrantedMount } from './principal.ts'

/** What a caller sees of mounts and providers. Looks at what the mounts are now, so a stream may ask it for every event. */
export interface Sight {
  /** Everything: also what belongs to no mount, and mounts that come later. */
  readonly whole: boolean
  mount(id: string): boolean
  /** Providers of the mounts that are seen. */
  provider(id: string): boolean
}

/** Grants against the mounts as they are. */
export interface Grants {
  /** True if the grant covers the mount; false for what does not exist, unless the grant covers everything. */
  grantAllows(grant: Pick<Grant, 'scope'>, mountId: string): boolean
  sightOf(grant: Pick<Grant, 'scope'>): Sight
  /** Takes in what the mounts are. */
  refresh(mounts: readonly GrantedMount[]): void
  changed(mount: GrantedMount): void
  removed(mountId: string): void
}

export function createGrants(): Grants {
  let known = new Map<string, GrantedMount>()

  function grantAllows({ scope }: Pick<Grant, 'scope'>, mountId: string): boolean {
    if (scope.kind === 'all') return true
    const mount = known.get(mountId)
    return mount !== undefined && scopeCovers(scope, mount)
  }

  return {
    grantAllows,
    sightOf: (grant) => ({
      whole: grant.scope.kind === 'all',
      mount: (id) => grantAllows(grant, id),
      provider: (id) =>
        grant.scope.kind === 'all' || [...known.values()].some((mount) => mount.providerId === id && scopeCovers(grant.scope, mount)),
    }),
    refresh: (mounts) => {
      known = new Map(mounts.map((mount) => [mount.id, mount]))
    },
    changed: (mount) => void known.set(mount.id, mount),
    removed: (mountId) => void known.delete(mountId),
  }
}
