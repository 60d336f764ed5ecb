/** What `--json` prints of a resource. These shapes are documented in docs/cli.md: add to them, change nothing. */
import type { Timestamp } from '@bufbuild/protobuf/wkt'
import { timestampDate } from '@bufbuild/protobuf/wkt'
import type { Conflict, ConflictVersion } from '../proto/gen/cloudmoor/v1/conflict_pb.js'
import { ConflictKind } from '../proto/gen/cloudmoor/v1/conflict_pb.js'
import type { File } from '../proto/gen/cloudmoor/v1/file_pb.js'
import { FileState, FileType } from '../proto/gen/cloudmoor/v1/file_pb.js'
import type { LogEntry } from '../proto/gen/cloudmoor/v1/log_pb.js'
import { LogLevel } from '../proto/gen/cloudmoor/v1/log_pb.js'
import type { Mount } from '../proto/gen/cloudmoor/v1/mount_pb.js'
import { ConditionKind, MountAccess, MountState } from '../proto/gen/cloudmoor/v1/mount_pb.js'
import type { Provider } from '../proto/gen/cloudmoor/v1/provider_pb.js'
import type { Queue } from '../proto/gen/cloudmoor/v1/resources_pb.js'
import type { Transfer } from '../proto/gen/cloudmoor/v1/transfer_pb.js'
import { TransferKind, TransferState } from '../proto/gen/cloudmoor/v1/transfer_pb.js'
import { word } from './words.ts'

export interface QueueView {
  readonly files: number
  readonly bytes: number
  readonly parked: number
  readonly uploading: number
}

export interface MountView {
  readonly id: string
  readonly name: string
  readonly state: string
  readonly since: string | null
  readonly reason: string
  readonly conditions: readonly {
    readonly kind: string
    readonly since: string | null
    readonly until: string | null
    readonly reason: string
  }[]
  readonly path: string
  /** Process id of the worker; null = none. */
  readonly pid: number | null
  readonly providerId: string
  readonly remote: string
  readonly readOnly: boolean
  readonly access: string
  readonly enabled: boolean
  readonly queue: QueueView
  readonly cache: { readonly bytes: number; readonly limit: number; readonly dirtyBytes: number; readonly dir: string }
  readonly hidden: number
  readonly options: Readonly<Record<string, unknown>>
  /** Path of the configuration file that keeps it; empty = none. */
  readonly managedFile: string
}

export const isoTime = (time: Timestamp | undefined): string | null => (time === undefined ? null : timestampDate(time).toISOString())

export function queueView(queue: Queue | undefined): QueueView {
  return {
    files: Number(queue?.files ?? 0),
    bytes: Number(queue?.bytes ?? 0),
    parked: Number(queue?.parked ?? 0),
    uploading: Number(queue?.uploading ?? 0),
  }
}

export function mountView(mount: Mount): MountView {
  const { status } = mount
  return {
    id: mount.id,
    name: mount.name,
    state: word(MountState, status?.state ?? MountState.UNSPECIFIED),
    since: isoTime(status?.since),
    reason: status?.reason ?? '',
    conditions: (status?.conditions ?? []).map((condition) => ({
      kind: word(ConditionKind, condition.kind),
      since: isoTime(condition.since),
      until: isoTime(condition.until),
      reason: condition.reason,
    })),
    path: mount.path,
    pid: status === undefined || status.workerPid === 0 ? null : status.workerPid,
    providerId: mount.providerId,
    remote: mount.remoteRoot,
    readOnly: mount.readOnly,
    access: word(MountAccess, mount.access),
    enabled: mount.enabled,
    queue: queueView(status?.queue),
    cache: {
      bytes: Number(status?.cache?.bytes ?? 0),
      limit: Number(status?.cache?.limit ?? mount.cacheSize),
      dirtyBytes: Number(status?.cache?.dirtyBytes ?? 0),
      dir: mount.cacheDir,
    },
    hidden: Number(status?.hidden ?? 0),
    options: mount.options ?? {},
    managedFile: mount.managedFile,
  }
}

export interface ProviderView {
  readonly id: string
  readonly name: string
  readonly type: string
  readonly options: Readonly<Record<string, unknown>>
  /** Names of the secrets that are stored. */
  readonly secrets: readonly string[]
  readonly created: string | null
  readonly updated: string | null
  /** Path of the configuration file that keeps it; empty = none. */
  readonly managedFile: string
}

export function providerView(provider: Provider): ProviderView {
  return {
    id: provider.id,
    name: provider.name,
    type: provider.type,
    options: provider.options ?? {},
    secrets: provider.secrets.map((secret) => secret.name),
    created: isoTime(provider.createTime),
    updated: isoTime(provider.updateTime),
    managedFile: provider.managedFile,
  }
}

export interface TransferView {
  readonly id: number
  readonly mount: string
  readonly path: string
  readonly kind: string
  readonly state: string
  readonly size: number
  readonly done: number
  readonly tries: number
  readonly nextTry: string | null
  readonly reason: string
}

export function transferView(transfer: Transfer, mountName: string): TransferView {
  return {
    id: Number(transfer.id),
    mount: mountName,
    path: transfer.path,
    kind: word(TransferKind, transfer.kind),
    state: word(TransferState, transfer.state),
    size: Number(transfer.size),
    done: Number(transfer.done),
    tries: transfer.tries,
    nextTry: isoTime(transfer.nextTryTime),
    reason: transfer.reason,
  }
}

export interface ConflictVersionView {
  readonly path: string
  readonly size: number
  readonly modified: string | null
}

export interface ConflictView {
  readonly id: string
  readonly mount: string
  readonly path: string
  readonly kind: string
  readonly detected: string | null
  readonly mine: ConflictVersionView
  /** Null: nothing is there, or it is not known now. */
  readonly theirs: ConflictVersionView | null
}

export function conflictView(conflict: Conflict, mountName: string): ConflictView {
  const { id, path, theirs } = conflict
  return {
    id,
    mount: mountName,
    path,
    kind: word(ConflictKind, conflict.kind),
    detected: isoTime(conflict.detectTime),
    mine: conflictVersionView(conflict.mine),
    theirs: theirs === undefined ? null : conflictVersionView(theirs),
  }
}

function conflictVersionView(version: ConflictVersion | undefined): ConflictVersionView {
  return { path: version?.path ?? '', size: Number(version?.size ?? 0), modified: isoTime(version?.modifyTime) }
}

export interface FileView {
  readonly path: string
  readonly name: string
  readonly type: string
  readonly size: number
  readonly localBytes: number
  readonly modified: string | null
  readonly state: string
  readonly reason: string
}

/** @param root the mounted folder: a view's path is absolute */
export function fileView(file: File, root: string): FileView {
  return {
    path: `${root}/${file.path}`,
    name: file.name,
    type: word(FileType, file.type),
    size: Number(file.size),
    localBytes: Number(file.localBytes),
    modified: isoTime(file.modifyTime),
    state: word(FileState, file.state),
    reason: file.reason,
  }
}

export interface LogView {
  readonly time: string | null
  readonly level: string
  readonly program: string
  readonly pid: number
  readonly mountId: string
  readonly correlationId: string
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>>
}

export function logView(entry: LogEntry): LogView {
  return {
    time: isoTime(entry.time),
    level: word(LogLevel, entry.level),
    program: entry.program,
    pid: entry.pid,
    mountId: entry.mountId,
    correlationId: entry.correlationId,
    message: entry.message,
    fields: entry.fields ?? {},
  }
}
