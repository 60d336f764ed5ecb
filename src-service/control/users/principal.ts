/** Roles, each including those after it. */
export type Role = 'admin' | 'operator' | 'read-only'

/** Who calls. */
export interface Principal {
  /** For records: `local:1000`. */
  readonly name: string
  readonly role: Role
}

const ranks: Readonly<Record<Role, number>> = { admin: 2, operator: 1, 'read-only': 0 }

/** True if the principal's role is the needed one or above it. */
export function hasRole(principal: Principal, needed: Role): boolean {
  return ranks[principal.role] >= ranks[needed]
}

/** Who the other end of the service's own unix socket is: this user and root may do everything, nobody else comes in. */
export function principalOfPeer(peerUid: number, ownUid: number): Principal | null {
  return peerUid === ownUid || peerUid === 0 ? { name: `local:${peerUid}`, role: 'admin' } : null
}
