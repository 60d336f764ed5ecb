import { getOption, hasOption } from '@bufbuild/protobuf'
import type { DescMessage, DescMethod } from '@bufbuild/protobuf'
import { AuditClass, policy } from '../../../proto/gen/cloudmoor/v1/policy_pb.js'
import { CloudError } from '../../common/errors.ts'
import type { Role } from '../users/principal.ts'
import { roleOf } from './grant-wire.ts'

export type CallClass = 'read' | 'change' | 'runtime' | 'secret' | 'service'

/** What the contract says of a method. */
export interface MethodPolicy {
  readonly role: Role
  /** Anyone may call, also without a login. */
  readonly open: boolean
  /** The caller's grant must cover all mounts. */
  readonly wholeGrant: boolean
  /** The mount and the provider that a request is about; '' = none named, undefined = the method has no such field. */
  readonly mountOf: ((request: object) => string) | undefined
  readonly providerOf: ((request: object) => string) | undefined
  /** The handler leaves out what the caller does not see. */
  readonly filtered: boolean
  readonly audit: CallClass
  /** Longest time the service works on one call; null for streams. */
  readonly deadlineMs: number | null
}

/** Protocols that are not ours and have no options: they tell up or down, and the contract, which everybody can read. */
const openServices: ReadonlySet<string> = new Set([
  'grpc.health.v1.Health',
  'grpc.reflection.v1.ServerReflection',
  'grpc.reflection.v1alpha.ServerReflection',
])

const cache = new WeakMap<DescMethod, MethodPolicy>()

/** Throws `internal` for a method without a policy: nothing can be called by oversight. */
export function policyOf(method: DescMethod): MethodPolicy {
  const known = cache.get(method)
  if (known !== undefined) return known
  const made = makePolicy(method)
  cache.set(method, made)
  return made
}

function makePolicy(method: DescMethod): MethodPolicy {
  const deadlineMs = method.methodKind === 'unary' ? 60_000 : null
  if (openServices.has(method.parent.typeName)) {
    const none = { mountOf: undefined, providerOf: undefined, wholeGrant: false, filtered: false }
    return { ...none, role: 'read-only', open: true, audit: 'read', deadlineMs }
  }
  if (!hasOption(method, policy)) throw new CloudError('internal', `${method.parent.typeName}.${method.name} has no policy`)
  const rule = getOption(method, policy)
  const role = rule.open ? 'read-only' : roleOf(rule.role)
  if (role === undefined) throw new CloudError('internal', `${method.name} has no role`)
  return {
    role,
    open: rule.open,
    wholeGrant: rule.wholeGrant,
    mountOf: readerOf(method.input, rule.mountField),
    providerOf: readerOf(method.input, rule.providerField),
    filtered: rule.filtered,
    audit: readClass(rule.audit),
    deadlineMs: deadlineMs === null || rule.deadlineSeconds === 0 ? deadlineMs : rule.deadlineSeconds * 1000,
  }
}

/** Reads a text field at a path as the contract writes it (`mount.provider_id`). */
function readerOf(message: DescMessage, path: string): ((request: object) => string) | undefined {
  if (path === '') return undefined
  const names: string[] = []
  let at: DescMessage | undefined = message
  for (const part of path.split('.')) {
    const field: DescMessage['fields'][number] | undefined = at?.fields.find((candidate) => candidate.name === part)
    if (field === undefined) throw new CloudError('internal', `${message.typeName} has no field ${path}`)
    names.push(field.localName)
    at = field.message
  }
  return (request) => {
    let value: unknown = request
    for (const name of names) value = typeof value === 'object' && value !== null ? Reflect.get(value, name) : undefined
    return typeof value === 'string' ? value : ''
  }
}

function readClass(audit: AuditClass): CallClass {
  switch (audit) {
    case AuditClass.READ:
      return 'read'
    case AuditClass.CHANGE:
      return 'change'
    case AuditClass.RUNTIME:
      return 'runtime'
    case AuditClass.SECRET:
      return 'secret'
    case AuditClass.SERVICE:
      return 'service'
    case AuditClass.UNSPECIFIED:
      throw new CloudError('internal', 'a method has no audit class')
  }
}
