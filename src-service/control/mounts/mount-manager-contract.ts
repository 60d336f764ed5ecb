import type { Socket } from 'node:net'
import type { CacheUse, Condition, DriveMetrics, FileStatus, QueueCounts, Transfer } from '../../common/drive-state.ts'
import type { Account, AccountProber } from '../providers/account.ts'
import type { DriveCalls, Exported } from '../../common/frames/drive-calls.ts'
import type { MountRecord, Options, RequestKey } from '../store/records.ts'

/**
 * What the doors ask of mounts. Everything is asynchronous, takes an AbortSignal that carries the deadline, and fails
 * with a CloudError whose `code` is one of `MountReason` where the kind alone does not say enough.
 */
export interface MountManager extends AccountProber {
  /** By name. */
  list(signal: AbortSignal): Promise<readonly Mount[]>
  get(id: string, signal: AbortSignal): Promise<Mount>
  /** Saves a mount without starting it. The request key goes to `store.mounts.insert` unchanged. */
  create(spec: MountSpec, request: RequestKey | null, signal: AbortSignal): Promise<Mount>
  /** @param revision must match; null = whatever it is. What cannot change while it is mounted is `busy`. */
  update(id: string, revision: number | null, patch: MountPatch, signal: AbortSignal): Promise<Mount>
  /**
   * Unmounts and forgets. Waits for unsent files up to `unsent.waitMs`; of what is left then it refuses, or leaves it as an orphan.
   * Never deletes an unsent file.
   */
  remove(id: string, revision: number | null, unsent: UnsentRule, signal: AbortSignal): Promise<void>
  /** What was left of mounts that are not configured any more. */
  readonly orphans: Orphans
  /** Wishes it mounted (`enabled`), and resolves when the folder shows the cloud or rejects with why it does not. */
  start(id: string, signal: AbortSignal): Promise<Mount>
  /** Wishes it unmounted and resolves when it is. @param force detaches a busy one. */
  stop(id: string, force: boolean, signal: AbortSignal): Promise<Mount>
  /** Calls the listener when a mount was made, changed or removed, or its status changed; the result ends that. */
  watch(listener: (change: MountEvent) => void): () => void
  /** State of one path below the mounted folder ('' = itself). */
  fileState(id: string, path: string, signal: AbortSignal): Promise<FileStatus>
  /** At most `limit`, in the order in which they will go. */
  transfers(id: string, limit: number, signal: AbortSignal): Promise<readonly Transfer[]>
  retry(id: string, transferId: number | 'all', signal: AbortSignal): Promise<void>
  /** What its worker has done since it started; null = none runs. */
  metrics(id: string, signal: AbortSignal): Promise<DriveMetrics | null>
  /** Asks the drive of a mount, mounted or not. Null: the mount was never up. */
  ask<C extends keyof DriveCalls>(
    id: string,
    call: C,
    params: DriveCalls[C]['params'],
    signal: AbortSignal,
  ): Promise<DriveCalls[C]['result'] | null>
  /** Lets `work` speak HTTP with what a drive serves contents of files on: GET, HEAD and PUT of paths. Null: the mount was never up. */
  contents<T>(id: string, signal: AbortSignal, work: (connection: Socket) => Promise<T>): Promise<T | null>
  /** One folder of an account, at most `limit` entries. */
  browse(account: Account, path: string, limit: number, signal: AbortSignal): Promise<FolderPage>
  /** What is missing on this machine for mounting. */
  diagnose(signal: AbortSignal): Promise<readonly Diagnosis[]>
}

export interface UnsentRule {
  readonly waitMs: number
  /** Leave what is not sent as an orphan. */
  readonly park: boolean
}

/** Journals without a mount: parked, or found beside a database that does not know them. Nothing is sent out of them. */
export interface Orphans {
  /** By name. Counts what was not counted yet. */
  list(signal: AbortSignal): Promise<readonly Orphan[]>
  /** Makes it a mount again, with its id: not mounted, and nothing lost. Only of the account and folder it was of. */
  adopt(id: string, wish: AdoptWish, signal: AbortSignal): Promise<Mount>
  /** Copies what was not sent to a folder that is absent or empty. @param folder absolute */
  export(id: string, folder: string, signal: AbortSignal): Promise<Exported>
  /** Deletes it. @param files how many are not sent, as the caller knows it: `conflict` if it is another number */
  discard(id: string, files: number, signal: AbortSignal): Promise<void>
}

/** Empty texts: as it was. */
export interface AdoptWish {
  readonly name: string
  readonly path: string
  readonly providerId: string
}

export interface Orphan {
  /** That of the mount it was. */
  readonly id: string
  /** Of the mount; '' = not known. */
  readonly name: string
  /** Where it lies. */
  readonly folder: string
  /** Where it was mounted. */
  readonly path: string
  readonly provider: { readonly id: string; readonly name: string; readonly type: string } | null
  readonly remoteRoot: string
  /** Null = could not be counted, `reason` says why. */
  readonly queue: QueueCounts | null
  /** Conflicts, and files that a power loss left unproved. */
  readonly conflicts: number
  readonly reason: string
}

/** A mount as it is asked for; null = the manager's default. */
export interface MountSpec {
  readonly name: string
  readonly providerId: string
  readonly remoteRoot: string
  readonly path: string
  /** Bytes. */
  readonly cacheSize: number | null
  /** '' = in the service's state. */
  readonly cacheDir: string
  readonly readOnly: boolean
  readonly access: 'owner' | 'all'
  readonly uid: number | null
  readonly gid: number | null
  readonly umask: number | null
  readonly shared: boolean
  readonly labels: readonly string[]
  /** As given, not yet checked: values may be strings for numbers and booleans. */
  readonly options: Options
}

/** What to change; absent = leave. In `options` null = back to the default, and names that are absent stay. */
export interface MountPatch extends Partial<Omit<MountSpec, 'providerId' | 'remoteRoot' | 'cacheDir' | 'options'>> {
  readonly options?: Readonly<Record<string, Options[string] | null>>
}

export interface Mount {
  readonly record: MountRecord
  readonly status: MountStatus
}

export type MountState = 'initializing' | 'mounted' | 'reconciling' | 'unmounted' | 'failed'

export interface MountStatus {
  readonly state: MountState
  /** Milliseconds since 1970. */
  readonly since: number
  /** Why, for `failed`; else ''. */
  readonly reason: string
  readonly conditions: readonly Condition[]
  /** Process id of the worker; null = none. */
  readonly workerPid: number | null
  /** Null while it is not known (no worker could be asked yet). */
  readonly queue: QueueCounts | null
  readonly cache: CacheUse | null
  /** Remote objects that cannot be shown as names. */
  readonly hidden: number
}

export type MountEvent =
  | { readonly kind: 'changed'; readonly mount: Mount }
  | { readonly kind: 'removed'; readonly mountId: string }
  /** What waits without a mount is another now. */
  | { readonly kind: 'orphans'; readonly queues: readonly (QueueCounts | null)[] }

export interface FolderPage {
  readonly entries: readonly {
    readonly name: string
    readonly folder: boolean
    readonly size: number
    readonly modifiedAt: number | null
  }[]
  readonly truncated: boolean
}

export interface Diagnosis {
  /** Short constant name, `fuse-device`. */
  readonly name: string
  readonly result: 'ok' | 'warning' | 'failure'
  readonly detail: string
  readonly hint: string
}

/** `CloudError.code` of what goes wrong with mounts; each is an ErrorReason of the contract. */
export type MountReason =
  | 'NAME_TAKEN'
  | 'UNKNOWN_OPTION'
  | 'MANAGED_ELSEWHERE'
  | 'UNSENT_FILES'
  | 'MOUNT_BUSY'
  | 'MOUNT_POINT_MISSING'
  | 'MOUNT_POINT_NOT_EMPTY'
  | 'MOUNT_POINT_TAKEN'
  | 'PATH_OVERLAP'
  | 'REMOTE_OVERLAP'
  | 'NO_FUSE'
  | 'NO_MOUNT_RIGHT'
  | 'WORKER_UNAVAILABLE'
  | 'SHUTTING_DOWN'
