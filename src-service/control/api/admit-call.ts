import { CloudError } from '../../common/errors.ts'
import type { Sight } from '../users/grants.ts'
import { loginNeeded } from '../users/access-errors.ts'
import { hasRole } from '../users/principal.ts'
import type { Principal, Role } from '../users/principal.ts'
import type { MethodPolicy } from './policies.ts'

/** Throws `permission` if the principal may never do this, whatever it is about, and `sign-in` if it may do nothing any more. */
export function admitCaller(principal: Principal | null, policy: Pick<MethodPolicy, 'role' | 'wholeGrant' | 'open'>): void {
  if (policy.open) return
  if (principal === null) throw loginNeeded()
  if (principal.ended?.aborted === true) throw CloudError.from(principal.ended.reason)
  admitRole(principal, policy.role)
  if (policy.wholeGrant && principal.scope.kind !== 'all') throw tooNarrow(principal)
}

export function admitRole(principal: Principal, role: Role): void {
  if (hasRole(principal, role)) return
  throw new CloudError('permission', `this needs the role ${role}; ${principal.name} is ${principal.role}`)
}

/** Throws `not-found` for a mount or provider outside of the grant, as if it did not exist. */
export function admitRequest(principal: Principal, sight: Sight, policy: MethodPolicy, request: object): void {
  const mountId = policy.mountOf?.(request)
  if (mountId === '' && !policy.filtered && !sight.whole) throw tooNarrow(principal)
  if (mountId !== undefined && mountId !== '') admitMount(sight, mountId)
  const providerId = policy.providerOf?.(request) ?? ''
  if (providerId !== '' && !sight.provider(providerId)) throw new CloudError('not-found', 'there is no such provider')
}

export function admitMount(sight: Sight, mountId: string): void {
  if (!sight.mount(mountId)) throw new CloudError('not-found', 'there is no such mount')
}

function tooNarrow(principal: Principal): CloudError {
  return new CloudError('permission', `this needs a grant over all mounts; that of ${principal.name} is narrower`)
}
