import { getOption, hasOption } from '@bufbuild/protobuf'
import type { DescMethod } from '@bufbuild/protobuf'
import { AuditClass, policy, Role as WireRole } from '../../../proto/gen/cloudmoor/v1/policy_pb.js'
import { CloudError } from '../../common/errors.ts'
import type { Role } from '../users/principal.ts'

/** What the contract says of a method. */
export interface MethodPolicy {
  readonly role: Role
  /** Recorded even when it succeeds. */
  readonly recorded: boolean
  /** Longest time the service works on one call; null for streams. */
  readonly deadlineMs: number | null
}

/** The health protocol is not ours and has no options: it tells nothing but up or down. */
const openServices: ReadonlySet<string> = new Set(['grpc.health.v1.Health'])

/** Throws `internal` for a method without a policy: nothing can be called by oversight. */
export function policyOf(method: DescMethod): MethodPolicy {
  const deadlineMs = method.methodKind === 'unary' ? 60_000 : null
  if (openServices.has(method.parent.typeName)) return { role: 'read-only', recorded: false, deadlineMs }
  if (!hasOption(method, policy)) throw new CloudError('internal', `${method.parent.typeName}.${method.name} has no policy`)
  const rule = getOption(method, policy)
  return {
    role: readRole(rule.role),
    recorded: rule.audit !== AuditClass.READ,
    deadlineMs: deadlineMs === null || rule.deadlineSeconds === 0 ? deadlineMs : rule.deadlineSeconds * 1000,
  }
}

function readRole(role: WireRole): Role {
  switch (role) {
    case WireRole.ADMIN:
      return 'admin'
    case WireRole.OPERATOR:
      return 'operator'
    case WireRole.READ_ONLY:
      return 'read-only'
    case WireRole.UNSPECIFIED:
      throw new CloudError('internal', 'a method has no role')
  }
}
