import { allMounts } from './principal.ts'
import type { Principal, Role } from './principal.ts'

/** Who is at the other end of a unix socket. */
export interface PeerIds {
  readonly uid: number
  readonly gid: number
}

export interface PeerRules {
  readonly ownUid: number
  /** Role of those whom the group of the socket lets in; null = nobody but this user and root comes in. */
  readonly groupRole: Role | null
}

/**
 * This user and root may do everything. Anyone else has passed the socket's mode, which only members of its group do, and gets that
 * group's role; where there is no such group nobody else comes in.
 */
export function principalOfPeer({ uid }: PeerIds, { ownUid, groupRole }: PeerRules): Principal | null {
  const role = uid === ownUid || uid === 0 ? 'admin' : groupRole
  return role === null ? null : { name: `local:${uid}`, role, scope: allMounts, origin: 'socket', ended: null }
}
