import type { Condition } from '../../common/drive-state.ts'
import type { MessageInitShape } from '@bufbuild/protobuf'
import { CloudError, unreachable } from '../../common/errors.ts'
import { ConditionKind, MountAccess, MountState } from '../../../proto/gen/cloudmoor/v1/mount_pb.js'
import type { Mount as WireMount, MountSchema, MountStatusSchema } from '../../../proto/gen/cloudmoor/v1/mount_pb.js'
import type { Mount, MountPatch, MountSpec, MountState as State, MountStatus } from '../mounts/mount-manager-contract.ts'
import type { Options } from '../store/records.ts'
import { readInteger, readOptionChange, readOptions, writeEtag, writeManagedBy, writeQueue, writeTime } from './wire-values.ts'

/** What UpdateMount can change, besides options. */
export const changeableMountFields = [
  'name',
  'path',
  'cache_size',
  'read_only',
  'access',
  'uid',
  'gid',
  'umask',
  'shared',
  'labels',
] as const

export function readMountSpec(mount: WireMount): MountSpec {
  return {
    name: mount.name,
    providerId: mount.providerId,
    remoteRoot: mount.remoteRoot,
    path: mount.path,
    cacheSize: readCacheSize(mount),
    cacheDir: mount.cacheDir,
    readOnly: mount.readOnly,
    access: readAccess(mount.access),
    uid: mount.uid ?? null,
    gid: mount.gid ?? null,
    umask: mount.umask ?? null,
    shared: mount.shared,
    labels: mount.labels,
    options: readOptions(mount.options),
  }
}

export function readMountPatch(mount: WireMount, paths: readonly string[], stored: Options): MountPatch {
  const has = (field: (typeof changeableMountFields)[number]) => paths.includes(field)
  return {
    ...(has('name') ? { name: mount.name } : {}),
    ...(has('path') ? { path: mount.path } : {}),
    ...(has('cache_size') ? { cacheSize: readCacheSize(mount) } : {}),
    ...(has('read_only') ? { readOnly: mount.readOnly } : {}),
    ...(has('access') ? { access: readAccess(mount.access) } : {}),
    ...(has('uid') ? { uid: mount.uid ?? null } : {}),
    ...(has('gid') ? { gid: mount.gid ?? null } : {}),
    ...(has('umask') ? { umask: mount.umask ?? null } : {}),
    ...(has('shared') ? { shared: mount.shared } : {}),
    ...(has('labels') ? { labels: mount.labels } : {}),
    options: readOptionChange(paths, mount.options, stored),
  }
}

function readCacheSize(mount: WireMount): number | null {
  return mount.cacheSize === 0n ? null : readInteger('cache_size', mount.cacheSize)
}

function readAccess(access: MountAccess): 'owner' | 'all' {
  switch (access) {
    case MountAccess.UNSPECIFIED:
    case MountAccess.OWNER:
      return 'owner'
    case MountAccess.ALL:
      return 'all'
    default:
      throw new CloudError('invalid', 'access must be owner or all')
  }
}

export function writeMount({ record, status }: Mount): MessageInitShape<typeof MountSchema> {
  return {
    id: record.id,
    name: record.name,
    etag: writeEtag(record.revision),
    managedBy: writeManagedBy(record.managedBy),
    managedFile: record.managedFile,
    providerId: record.providerId,
    remoteRoot: record.remoteRoot,
    path: record.path,
    cacheSize: BigInt(record.cacheSize),
    cacheDir: record.cacheDir,
    readOnly: record.readOnly,
    access: record.access === 'all' ? MountAccess.ALL : MountAccess.OWNER,
    uid: record.uid,
    gid: record.gid,
    umask: record.umask,
    shared: record.shared,
    labels: [...record.labels],
    options: { ...record.options },
    enabled: record.enabled,
    status: writeStatus(status),
    createTime: writeTime(record.createdAt),
    updateTime: writeTime(record.updatedAt),
  }
}

/** A mount's status as the wire has it. */
export function writeStatus(status: MountStatus): MessageInitShape<typeof MountStatusSchema> {
  const { cache, queue } = status
  return {
    state: writeState(status.state),
    since: writeTime(status.since),
    reason: status.reason,
    conditions: status.conditions.map(writeCondition),
    workerPid: status.workerPid ?? 0,
    ...(queue === null ? {} : { queue: writeQueue(queue) }),
    ...(cache === null ? {} : { cache: { bytes: BigInt(cache.bytes), limit: BigInt(cache.limit), dirtyBytes: BigInt(cache.dirtyBytes) } }),
    hidden: BigInt(status.hidden),
  }
}

/** A mount's state as the wire has it. */
export function writeState(state: State): MountState {
  switch (state) {
    case 'initializing':
      return MountState.INITIALIZING
    case 'mounted':
      return MountState.MOUNTED
    case 'reconciling':
      return MountState.RECONCILING
    case 'unmounted':
      return MountState.UNMOUNTED
    case 'failed':
      return MountState.FAILED
  }
}

function writeCondition(condition: Condition) {
  switch (condition.kind) {
    case 'offline':
      return { kind: ConditionKind.OFFLINE, since: writeTime(condition.since), reason: condition.reason }
    case 'throttled':
      return { kind: ConditionKind.THROTTLED, until: writeTime(condition.until) }
    case 'paused':
      return { kind: ConditionKind.PAUSED }
    case 'needs-sign-in':
      return { kind: ConditionKind.NEEDS_SIGN_IN, reason: condition.reason }
    case 'waiting-for-vault':
      return { kind: ConditionKind.WAITING_FOR_VAULT }
    case 'cache-full':
      return { kind: ConditionKind.CACHE_FULL }
    default:
      return unreachable(condition)
  }
}
