import type { MessageInitShape } from '@bufbuild/protobuf'
import { GrantScope } from '../../../proto/gen/cloudmoor/v1/grant_pb.js'
import type { Grant as WireGrant, GrantSchema } from '../../../proto/gen/cloudmoor/v1/grant_pb.js'
import { Role as WireRole } from '../../../proto/gen/cloudmoor/v1/policy_pb.js'
import { CloudError } from '../../common/errors.ts'
import type { Grant, GrantScope as Scope, Role } from '../users/principal.ts'

/** Throws `invalid`. */
export function readGrant(grant: WireGrant | undefined): Grant {
  if (grant === undefined) throw new CloudError('invalid', 'grant is missing')
  const role = roleOf(grant.role)
  if (role === undefined) throw new CloudError('invalid', 'grant.role must be admin, operator or read_only')
  return { role, scope: readScope(grant) }
}

function readScope({ scope, mountIds, label }: WireGrant): Scope {
  switch (scope) {
    case GrantScope.UNSPECIFIED:
    case GrantScope.ALL:
      // A forgotten scope must not turn a narrow grant into a wide one.
      if (mountIds.length > 0 || label !== '') throw new CloudError('invalid', 'grant.scope must be mounts or label')
      return { kind: 'all' }
    case GrantScope.MOUNTS:
      return { kind: 'mounts', mountIds }
    case GrantScope.LABEL:
      return { kind: 'label', label }
    default:
      throw new CloudError('invalid', 'grant.scope must be all, mounts or label')
  }
}

const roles: Readonly<Record<Role, WireRole>> = {
  admin: WireRole.ADMIN,
  operator: WireRole.OPERATOR,
  'read-only': WireRole.READ_ONLY,
}

/** Undefined where none is named. */
export function roleOf(wire: WireRole): Role | undefined {
  return (['admin', 'operator', 'read-only'] as const).find((role) => roles[role] === wire)
}

export function writeGrant({ role, scope }: Grant): MessageInitShape<typeof GrantSchema> {
  switch (scope.kind) {
    case 'all':
      return { role: roles[role], scope: GrantScope.ALL }
    case 'mounts':
      return { role: roles[role], scope: GrantScope.MOUNTS, mountIds: [...scope.mountIds] }
    case 'label':
      return { role: roles[role], scope: GrantScope.LABEL, label: scope.label }
  }
}
