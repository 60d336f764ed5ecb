/**
 * What service and worker say to each other over a `Channel` (SOCK_SEQPACKET). One datagram = one JSON value.
 * The worker listens on `<run>/workers/<worker id>.sock`, so that a restarted service can find it again; the service connects.
 * Adoption (`hello`, `adopt`) is frozen: its messages are those of proto/cloudmoor/internal/v1 in protobuf's JSON mapping.
 * Everything else may change between versions, because a worker of another version is only adopted and then replaced.
 */
import type { SlabGeometry } from '../native/native.ts'

/** service -> worker. Descriptors ride along where the comment says so. */
export type ServiceRequest =
  /** Opens the drive (database, cache, connector) without a kernel connection. */
  | { readonly method: 'open'; readonly params: OpenDrive }
  /** Serves a kernel connection. Descriptors: [/dev/fuse, request memory]. */
  | { readonly method: 'attach'; readonly params: { readonly mountId: string; readonly takenOver: boolean; readonly allowPassthrough: boolean } }
  /** Stops serving; unanswered requests stay in memory. */
  | { readonly method: 'detach'; readonly params: { readonly mountId: string } }
  | { readonly method: 'close'; readonly params: { readonly mountId: string } }
  | { readonly method: 'secrets'; readonly params: { readonly mountId: string; readonly secrets: Readonly<Record<string, string>> } }
  | { readonly method: 'status'; readonly params: { readonly mountId: string } }
  | { readonly method: 'drain'; readonly params: { readonly mountId: string; readonly timeoutMs: number } }
  | { readonly method: 'fileState'; readonly params: { readonly mountId: string; readonly path: string } }
  | { readonly method: 'transfers'; readonly params: { readonly mountId: string; readonly limit: number } }
  | { readonly method: 'retry'; readonly params: { readonly mountId: string; readonly transferId: number | 'all' } }
  /** Tries an account without a drive: check + measure. */
  | { readonly method: 'probe'; readonly params: ProbeAccount }
  /** One folder of an account, for choosing a mount's root; at most `limit` entries. */
  | { readonly method: 'browse'; readonly params: ProbeAccount & { readonly path: string; readonly limit: number } }
  | { readonly method: 'ping'; readonly params: Record<string, never> }
  | { readonly method: 'logLevel'; readonly params: { readonly level: string } }
  /** Ends the worker after closing its drives. */
  | { readonly method: 'exit'; readonly params: Record<string, never> }

export interface ProbeAccount {
  readonly type: string
  readonly options: Readonly<Record<string, string | number | boolean>>
  readonly secrets: Readonly<Record<string, string>>
  readonly remoteRoot: string
}

export interface OpenDrive {
  readonly mountId: string
  readonly name: string
  readonly folder: string
  readonly connector: { readonly type: string; readonly options: Readonly<Record<string, string | number | boolean>>; readonly remoteRoot: string }
  readonly secrets: Readonly<Record<string, string>>
  readonly cacheSize: number
  readonly readOnly: boolean
  readonly uid: number
  readonly gid: number
  readonly umask: number
  readonly fsync: 'local' | 'remote'
  readonly attributes: 'listing' | 'exact'
  readonly freshness: 'relaxed' | 'strict'
  readonly xattrs: boolean
  readonly writeBackSeconds: number
  readonly deadlines: { readonly metadataMs: number; readonly readMs: number; readonly writeMs: number }
}

/** worker -> service, unasked. */
export type WorkerEvent =
  | { readonly event: 'changed'; readonly mountId: string }
  /** The kernel ended the connection (unmount or abort). */
  | { readonly event: 'disconnected'; readonly mountId: string }
  /** Register the descriptor that rides along as a backing file; answered by `backing`. */
  | { readonly event: 'openBacking'; readonly mountId: string; readonly node: number; readonly ticket: number }
  | { readonly event: 'closeBacking'; readonly mountId: string; readonly node: number; readonly backingId: number }
  | { readonly event: 'alert'; readonly mountId: string; readonly severity: 'warning' | 'error'; readonly reason: string; readonly message: string }

/** Envelope of every datagram but the frozen ones. */
export type Frame =
  | ({ readonly kind: 'request'; readonly id: number } & ServiceRequest)
  | { readonly kind: 'result'; readonly id: number; readonly value: unknown }
  | { readonly kind: 'error'; readonly id: number; readonly error: { readonly kind: string; readonly message: string; readonly code?: string; readonly hint?: string } }
  | ({ readonly kind: 'event' } & WorkerEvent)
  | { readonly kind: 'backing'; readonly mountId: string; readonly ticket: number; readonly backingId: number }

/** Request memory of one mount: 16 slabs of 1 MiB + 4 KiB, 256 slots. */
export const defaultGeometry: SlabGeometry = { slabCount: 16, slabSize: 1024 * 1024 + 4096, slotCount: 256, slotSize: 4096 }
