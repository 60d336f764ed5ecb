import type { GrantScope as StoredScope, Role as StoredRole } from '../store/access-records.ts'

/** Roles, each including those after it. */
export type Role = StoredRole

/** Which mounts a grant covers. */
export type GrantScope = StoredScope

/** What users, tokens and invites may do, and with which mounts. An admin's scope is always all of them. */
export interface Grant {
  readonly role: Role
  readonly scope: GrantScope
}

/** Who calls. */
export interface Principal extends Grant {
  /** For records: `local:1000`, `user:anna`, `token:backup`. */
  readonly name: string
  /** Where the call comes from: `socket`, or an address. */
  readonly origin: string
  /** Aborted at once when what it came in with is revoked, changed or over; null = lasts as long as the connection. */
  readonly ended: AbortSignal | null
}

/** What is known of a mount where grants are looked at. */
export interface GrantedMount {
  readonly id: string
  readonly providerId: string
  readonly labels: readonly string[]
}

export const allMounts: GrantScope = { kind: 'all' }

const ranks: Readonly<Record<Role, number>> = { admin: 2, operator: 1, 'read-only': 0 }

export function isRole(text: string): text is Role {
  return Object.hasOwn(ranks, text)
}

/** True if the role is the needed one or above it. */
export function hasRole(grant: Pick<Grant, 'role'>, needed: Role): boolean {
  return ranks[grant.role] >= ranks[needed]
}

/** The one predicate: true if the scope covers the mount. */
export function scopeCovers(scope: GrantScope, mount: GrantedMount): boolean {
  switch (scope.kind) {
    case 'all':
      return true
    case 'mounts':
      return scope.mountIds.includes(mount.id)
    case 'label':
      return mount.labels.includes(scope.label)
  }
}
