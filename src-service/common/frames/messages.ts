/**
 * What service and worker say to each other over a `Channel` (SOCK_SEQPACKET), as JSON. The worker listens on
 * `<run>/workers/<worker id>.sock`, so that a restarted service can find it again; the service connects.
 * The first message (`Hello`) and the taking over of mounts are frozen: see adoption.ts. Everything here may change
 * between versions, because a worker of another version is only adopted and then replaced.
 */
import type { CapabilityCheck, DriveMetrics, DriveStatus, FileStatus, QueueCounts, Transfer } from '../drive-state.ts'
import type { DriveCall, DriveCalls } from './drive-calls.ts'
import type { SlabGeometry } from '../native/native.ts'

/** service -> worker: parameters and result of each method. */
export interface Methods {
  /** Opens the drive (database, cache, connector) without a kernel connection. */
  open: { params: OpenDrive; result: Nothing }
  /** Serves a kernel connection. Descriptors: [/dev/fuse, request memory]. Answered when requests are being read. */
  attach: { params: AttachDrive; result: Nothing }
  /** Serves the drive on a port of the loopback interface (0 = any) to whoever knows the token, until it is detached. */
  serve: { params: OfMount & { readonly port: number; readonly token: string }; result: { readonly port: number } }
  /** Serves contents of files by HTTP on a unix socket, to this service alone. */
  contents: { params: OfMount; result: { readonly socket: string } }
  /** Stops serving; unanswered requests stay in memory. */
  detach: { params: OfMount; result: Nothing }
  /** Persists and closes the drive. */
  close: { params: OfMount; result: Nothing }
  secrets: { params: OfMount & { readonly secrets: Secrets }; result: Nothing }
  status: { params: OfMount; result: DriveStatus }
  /** Asks the provider whether it answers; answered when that is known. */
  check: { params: OfMount; result: Nothing }
  /** Uploads without waiting for quiet; answered when the queue is empty, nothing can leave, or the time is over. */
  drain: { params: OfMount & { readonly timeoutMs: number }; result: QueueCounts }
  fileState: { params: OfMount & { readonly path: string }; result: FileStatus }
  transfers: { params: OfMount & { readonly limit: number }; result: readonly Transfer[] }
  /** What the drive has done since it was opened. */
  metrics: { params: OfMount; result: DriveMetrics }
  /** Files, conflicts and cache of one drive. */
  drive: { params: OfMount & { readonly request: DriveCall }; result: DriveCalls[keyof DriveCalls]['result'] }
  retry: { params: OfMount & { readonly transferId: number | 'all' }; result: Nothing }
  /** Tries an account without a drive: check and measure. */
  probe: { params: Account & { readonly write: boolean }; result: ProbeResult }
  /** One folder of an account, for choosing a mount's root. */
  browse: { params: Account & { readonly path: string; readonly limit: number }; result: BrowseResult }
  /** The drive's part of the rate of its account. */
  rate: { params: OfMount & { readonly requestsPerSecond: number }; result: Nothing }
  /** The provider asked another mount of the account for a pause. */
  slowDown: { params: OfMount & { readonly milliseconds: number }; result: Nothing }
  ping: { params: Nothing; result: Nothing }
  logLevel: { params: { readonly level: LogLevel }; result: Nothing }
  /** Ends the worker after closing its drives. */
  exit: { params: Nothing; result: Nothing }
}

export type Method = keyof Methods
export type Nothing = Readonly<Record<string, never>>
export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
type OptionValues = Readonly<Record<string, string | number | boolean>>
type Secrets = Readonly<Record<string, string>>

interface OfMount {
  readonly mountId: string
}

export interface Account {
  readonly type: string
  readonly options: OptionValues
  readonly secrets: Secrets
  readonly remoteRoot: string
}

export interface OpenDrive extends OfMount {
  readonly name: string
  readonly folder: string
  readonly connector: { readonly type: string; readonly options: OptionValues; readonly remoteRoot: string }
  readonly secrets: Secrets
  /** Bytes. */
  readonly cacheSize: number
  readonly readOnly: boolean
  /** Nothing goes to the provider: what waits stays as it is. */
  readonly held: boolean
  readonly uid: number
  readonly gid: number
  readonly umask: number
  /** Of the account, for this mount to begin with. */
  readonly requestsPerSecond: number
  readonly fsync: 'local' | 'remote'
  readonly attributes: 'listing' | 'exact'
  readonly freshness: 'relaxed' | 'strict'
  readonly xattrs: boolean
  readonly writeBackSeconds: number
  readonly deadlines: { readonly metadataMs: number; readonly readMs: number; readonly writeMs: number }
  /** Absolute path. */
  readonly logFile: string
  readonly logLevel: LogLevel
}

export interface AttachDrive extends OfMount {
  readonly mountPoint: string
  /** Revision of the configuration, told to a service that adopts this worker. */
  readonly revision: number
  /** The connection was served by a process that died. */
  readonly takenOver: boolean
  readonly allowPassthrough: boolean
  /** Node and id of the backing files that the kernel knows from a predecessor. */
  readonly backing: readonly (readonly [node: number, backingId: number])[]
}

export interface ProbeResult {
  readonly checks: readonly CapabilityCheck[]
  /** Bytes; null where the provider does not say. */
  readonly usage: { readonly total: number | null; readonly used: number | null; readonly free: number | null }
}

export interface BrowseResult {
  readonly entries: readonly {
    readonly name: string
    readonly type: 'file' | 'folder' | 'other'
    readonly size: number
    /** Milliseconds since 1970. */
    readonly modified: number
  }[]
  /** There are more than `limit`. */
  readonly more: boolean
}

/** worker -> service, unasked. */
export type WorkerEvent =
  | { readonly event: 'changed'; readonly mountId: string }
  /** The kernel ended the connection (unmount or abort). */
  | { readonly event: 'disconnected'; readonly mountId: string }
  /** Register the descriptor that rides along as a backing file; answered by `backing`. */
  | { readonly event: 'openBacking'; readonly mountId: string; readonly node: number; readonly ticket: number }
  | { readonly event: 'closeBacking'; readonly mountId: string; readonly node: number; readonly backingId: number }
  /** Requests a second that the drive asks for, told when it changes noticeably. */
  | { readonly event: 'demand'; readonly mountId: string; readonly reader: number; readonly other: number }
  /** The provider asked for a pause. */
  | { readonly event: 'throttled'; readonly mountId: string; readonly milliseconds: number }
  | {
      readonly event: 'alert'
      readonly mountId: string
      readonly severity: 'warning' | 'error'
      readonly reason: string
      readonly message: string
    }

export interface WireError {
  readonly kind: string
  readonly message: string
  readonly code?: string
  readonly hint?: string
}

export type Request = {
  readonly [M in Method]: { readonly kind: 'request'; readonly id: number; readonly method: M; readonly params: Methods[M]['params'] }
}[Method]

export type Frame =
  | Request
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: WireError }
  | ({ readonly kind: 'event' } & WorkerEvent)
  /** Answer to `openBacking`; 0 = not registered. */
  | { readonly kind: 'backing'; readonly mountId: string; readonly ticket: number; readonly backingId: number }

/** Request memory of one mount: 64 slabs of 1 MiB + 4 KiB, which get their pages when they are first used, and 256 slots. */
export const defaultGeometry: SlabGeometry = { slabCount: 64, slabSize: 1024 * 1024 + 4096, slotCount: 256, slotSize: 4096 }
