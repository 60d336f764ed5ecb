import { create } from '@bufbuild/protobuf'
import { Code, ConnectError } from '@connectrpc/connect'
import type { ErrorReason } from '../../../proto/gen/cloudmoor/v1/errors_pb.js'
import { ErrorInfoSchema, RequestInfoSchema, RetryInfoSchema } from '../../../proto/gen/google/rpc/error_details_pb.js'
import type { CloudError, ErrorKind } from '../../common/errors.ts'
import { safeText } from '../../common/telemetry/safe-fields.ts'
import type { MountReason } from '../mounts/mount-manager-contract.ts'
import type { AccessReason } from '../users/access-errors.ts'
import type { VaultReason } from '../vault/vault-errors.ts'

type ReasonName = keyof typeof ErrorReason

/** The table of this door: a kind's status and the reason it has if the error names no other. */
const table: Readonly<Record<ErrorKind, readonly [Code, ReasonName]>> = {
  'not-found': [Code.NotFound, 'NOT_FOUND'],
  exists: [Code.AlreadyExists, 'EXISTS'],
  'not-empty': [Code.FailedPrecondition, 'NOT_EMPTY'],
  'not-a-folder': [Code.FailedPrecondition, 'NOT_A_FOLDER'],
  'is-a-folder': [Code.FailedPrecondition, 'IS_A_FOLDER'],
  'name-invalid': [Code.InvalidArgument, 'NAME_INVALID'],
  'name-too-long': [Code.InvalidArgument, 'NAME_TOO_LONG'],
  'too-many-links': [Code.FailedPrecondition, 'TOO_MANY_LINKS'],
  stale: [Code.Aborted, 'STALE'],
  busy: [Code.FailedPrecondition, 'BUSY'],
  'cross-device': [Code.FailedPrecondition, 'CROSS_DEVICE'],
  permission: [Code.PermissionDenied, 'PERMISSION'],
  access: [Code.PermissionDenied, 'ACCESS'],
  'read-only': [Code.FailedPrecondition, 'READ_ONLY'],
  'sign-in': [Code.FailedPrecondition, 'SIGN_IN'],
  offline: [Code.Unavailable, 'OFFLINE'],
  timeout: [Code.DeadlineExceeded, 'TIMEOUT'],
  throttled: [Code.Unavailable, 'THROTTLED'],
  unavailable: [Code.Unavailable, 'UNAVAILABLE'],
  garbage: [Code.Unavailable, 'GARBAGE'],
  conflict: [Code.Aborted, 'CONFLICT'],
  'too-large': [Code.InvalidArgument, 'TOO_LARGE'],
  quota: [Code.ResourceExhausted, 'QUOTA'],
  'no-space': [Code.ResourceExhausted, 'NO_SPACE'],
  damaged: [Code.DataLoss, 'DAMAGED'],
  invalid: [Code.InvalidArgument, 'INVALID'],
  unsupported: [Code.Unimplemented, 'UNSUPPORTED'],
  'bad-handle': [Code.Internal, 'BAD_HANDLE'],
  'no-attribute': [Code.NotFound, 'NO_ATTRIBUTE'],
  range: [Code.OutOfRange, 'RANGE'],
  cancelled: [Code.Canceled, 'CANCELLED'],
  io: [Code.Internal, 'IO'],
  internal: [Code.Internal, 'INTERNAL'],
}

type ServiceReason =
  | MountReason
  | VaultReason
  | 'REQUEST_ID_REUSED'
  | 'UNKNOWN_TYPE'
  | 'SECRETS_NEEDED'
  | 'PROVIDER_IN_USE'
  | 'HOME_IN_USE'
  | 'DATABASE_NEWER'
  | 'TOO_MANY_STREAMS'
  | 'RANGE_NOT_SATISFIABLE'
  | AccessReason

/** Reasons that `CloudError.code` may name, with the status where it is not that of the kind. */
const serviceReasons: Readonly<Record<ServiceReason & ReasonName, Code | null>> = {
  NAME_TAKEN: null,
  REQUEST_ID_REUSED: null,
  UNKNOWN_OPTION: null,
  UNKNOWN_TYPE: null,
  SECRETS_NEEDED: Code.FailedPrecondition,
  PROVIDER_IN_USE: Code.FailedPrecondition,
  MANAGED_ELSEWHERE: Code.FailedPrecondition,
  UNSENT_FILES: Code.FailedPrecondition,
  MOUNT_BUSY: Code.FailedPrecondition,
  MOUNT_POINT_MISSING: Code.FailedPrecondition,
  MOUNT_POINT_NOT_EMPTY: Code.FailedPrecondition,
  MOUNT_POINT_TAKEN: Code.FailedPrecondition,
  PATH_OVERLAP: Code.FailedPrecondition,
  REMOTE_OVERLAP: Code.FailedPrecondition,
  NO_FUSE: Code.FailedPrecondition,
  NO_MOUNT_RIGHT: Code.FailedPrecondition,
  WORKER_UNAVAILABLE: Code.Unavailable,
  HOME_IN_USE: Code.FailedPrecondition,
  DATABASE_NEWER: Code.FailedPrecondition,
  SHUTTING_DOWN: Code.Unavailable,
  TOO_MANY_STREAMS: Code.ResourceExhausted,
  RANGE_NOT_SATISFIABLE: null,
  VAULT_LOCKED: Code.FailedPrecondition,
  VAULT_KEY: null,
  LAST_SLOT: null,
  NO_KEYCHAIN: Code.FailedPrecondition,
  LOGIN_NEEDED: Code.Unauthenticated,
  LOGIN_THROTTLED: Code.ResourceExhausted,
  AUDIT_UNAVAILABLE: Code.Unavailable,
  PATH_NOT_ALLOWED: null,
  FOREIGN_HOST: null,
  FOREIGN_ORIGIN: null,
}

function isServiceReason(code: string | undefined): code is ServiceReason {
  return code !== undefined && Object.hasOwn(serviceReasons, code)
}

/** The stable name of what went wrong, see errors.proto. */
export function reasonOf(error: CloudError): ReasonName {
  return isServiceReason(error.code) ? error.code : table[error.kind][1]
}

/** What a client is told of an error: status, reason, what to do, and the id under which the log has more. */
export function toWireError(error: CloudError, correlationId: string): ConnectError {
  const [kindCode, kindReason] = table[error.kind]
  const own = isServiceReason(error.code) ? error.code : null
  const metadata: Record<string, string> = {}
  if (own === null && error.code !== undefined) metadata['code'] = safeText(error.code)
  if (error.hint !== undefined) metadata['hint'] = safeText(error.hint)
  const details = [
    { desc: ErrorInfoSchema, value: create(ErrorInfoSchema, { reason: own ?? kindReason, domain: 'cloudmoor', metadata }) },
    { desc: RequestInfoSchema, value: create(RequestInfoSchema, { requestId: correlationId }) },
  ]
  const wire = new ConnectError(messageOf(error), (own === null ? null : serviceReasons[own]) ?? kindCode, undefined, details)
  if (error.retryAfterMs !== undefined) wire.details.push({ desc: RetryInfoSchema, value: { retryDelay: durationOf(error.retryAfterMs) } })
  return wire
}

/** What is a fault of ours may say anything: it stays in the log. */
function messageOf(error: CloudError): string {
  return error.kind === 'internal' ? 'a fault of CloudMoor itself; its log has more under the correlation id' : safeText(error.message)
}

function durationOf(milliseconds: number) {
  const whole = Math.round(milliseconds)
  return { seconds: BigInt(Math.floor(whole / 1000)), nanos: (whole % 1000) * 1_000_000 }
}
