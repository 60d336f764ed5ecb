import type { DriveStatus, FileStatus, ProviderMetrics, Transfer } from '../common/drive-state.ts'
import type { DriveCall, DriveCalls } from '../common/frames/drive-calls.ts'
import type { Commit, Filesystem, Maybe } from './vfs/filesystem.ts'
import type { Notifier } from './cache/notifier.ts'
import type { RequestLog } from './cache/request-log.ts'

/** One mount's drive as its worker sees it: the file system, its queue and its state. Made by `openDrive` (drive.ts). */
export interface Drive {
  readonly mountId: string
  readonly filesystem: Filesystem
  readonly requestLog: RequestLog
  /** Does a change for somebody else than the kernel, in one transaction, and tells the kernel of it. */
  readonly change: <T>(change: Maybe<Commit<T>>, places: readonly { readonly parent: number; readonly name: Buffer }[]) => Promise<T>
  /** The kernel connection that is to be told of changes; null when there is none. */
  setNotifier(notifier: Notifier | null): void
  /**
   * Takes secrets (again). A drive opens and serves from its cache without them.
   */
  setSecrets(secrets: Readonly<Record<string, string>>): void
  /**
   * The kernel connection was taken over from a process that died: handles may be open that this process has not seen.
   * @param backing by node, the backing ids of nodes that may be open in passthrough: such a node takes no other kind of open, and no other id
   */
  tookOver(backing: ReadonlyMap<number, number>): void
  /** The kernel connection ended: every handle is closed. */
  unmounted(): void
  status(): DriveStatus
  /** Asks the provider whether it answers; what comes out is a condition. */
  check(): Promise<void>
  /** What was asked of the provider since the drive was opened, and how it went. */
  metrics(): ProviderMetrics
  /** The drive's share of the requests a second that its account bears. */
  readonly rate: RateShare
  /** Called at most four times a second when `status()` changed. */
  onChange(listener: () => void): void
  /** State of one path below the mount's root ('' = root). Throws not-found. */
  fileState(path: string): Promise<FileStatus>
  /** Files waiting, moving and parked, in the order in which they will go; at most `limit`. */
  transfers(limit: number): readonly Transfer[]
  /** What people ask without the mounted folder: files, conflicts, cache. */
  answer(request: DriveCall): Promise<DriveCalls[keyof DriveCalls]['result']>
  /** Tries parked and waiting items now. */
  retry(transferId: number | 'all'): void
  /** Uploads what is queued without waiting for quiet; resolves when the queue is empty or rejects when the signal ends it. */
  drain(signal: AbortSignal): Promise<void>
  /** Persists everything within moments; nothing is uploaded on the way out. */
  close(): Promise<void>
}

/** The account's rate is divided among the processes that use it; this is one's end of that. */
export interface RateShare {
  /** Requests a second from now on. */
  set(perSecond: number): void
  /** The provider asked another mount of the account for a pause. */
  slowDown(milliseconds: number): void
  /** Requests a second that were asked for since the last call, so many seconds ago: by readers, and by everything else. */
  demand(seconds: number): { readonly reader: number; readonly other: number }
  /** Called when the provider asks this drive for a pause. */
  onThrottle(listener: (milliseconds: number) => void): void
}

export interface DriveOptions {
  readonly mountId: string
  /** The mount's name, for messages. */
  readonly name: string
  /** Folder of the database, blobs and quarantine; made if absent. Holds the only copy of un-sent data. */
  readonly folder: string
  readonly connector: {
    readonly type: string
    readonly options: Readonly<Record<string, string | number | boolean>>
    readonly remoteRoot: string
  }
  readonly secrets: Readonly<Record<string, string>>
  /** Bound of the local data in bytes. */
  readonly cacheSize: number
  readonly readOnly: boolean
  /** Nothing goes to the provider, whatever waits; false unless told. */
  readonly held?: boolean
  /** Owner that files without one of their own appear to have, and the bits masked from their default modes 0666/0777. */
  readonly uid: number
  readonly gid: number
  readonly umask: number
  /** Of the account, for this drive; changed by `rate`. */
  readonly requestsPerSecond: number
  readonly fsync: 'local' | 'remote'
  readonly attributes: 'listing' | 'exact'
  readonly freshness: 'relaxed' | 'strict'
  readonly xattrs: boolean
  /** Seconds of quiet before a closed file is uploaded; 0 = at once. */
  readonly writeBackSeconds: number
  /** Deadlines in milliseconds; tests shorten them. */
  readonly deadlines: { readonly metadataMs: number; readonly readMs: number; readonly writeMs: number }
  /** Milliseconds without a new part after which an upload at the provider that nobody knows is ended; a day unless told. */
  readonly sessionIdleMs?: number
  /** Registers a backing file with the kernel (read-only mounts with passthrough); null where there is none. Resolves with the id, or 0. */
  readonly openBacking: ((node: number, fileFd: number) => Promise<number>) | null
  readonly closeBacking: ((node: number, backingId: number) => void) | null
  readonly log: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void
}
