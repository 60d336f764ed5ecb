/** How a drive is, as its worker tells it and the service passes it on. */

/** What limits a mount; times in milliseconds since 1970. */
export type Condition =
  | { readonly kind: 'offline'; readonly since: number; readonly reason: string }
  | { readonly kind: 'throttled'; readonly until: number }
  | { readonly kind: 'paused' }
  | { readonly kind: 'needs-sign-in'; readonly reason: string }
  | { readonly kind: 'waiting-for-vault' }
  | { readonly kind: 'cache-full' }

/** Not yet confirmed by the provider. */
export interface QueueCounts {
  readonly files: number
  readonly bytes: number
  readonly parked: number
  readonly uploading: number
}

/** Bytes. */
export interface CacheUse {
  readonly bytes: number
  readonly limit: number
  readonly dirtyBytes: number
}

export interface DriveStatus {
  readonly conditions: readonly Condition[]
  readonly queue: QueueCounts
  readonly cache: CacheUse
  /** Remote objects that cannot be shown as names, counted. */
  readonly hidden: number
}

/** Of requests to the provider. Every number only grows, `probeMs` excepted. */
export interface ProviderMetrics {
  /** By operation. */
  readonly requests: Readonly<Record<string, number>>
  /** Failed ones by kind of the error. */
  readonly errors: Readonly<Record<string, number>>
  readonly bytesIn: number
  readonly bytesOut: number
  readonly latencyMs: number
  /** Times that the provider was asked whether it answers, and how long the last took. */
  readonly probes: number
  readonly probeFailures: number
  readonly probeMs: number
  /** Of these: attempts to find it again while it was lost. */
  readonly reconnects: number
  readonly reconnectFailures: number
}

export interface DriveMetrics extends ProviderMetrics {
  /** Requests of the kernel by operation. */
  readonly fuse: readonly { readonly name: string; readonly requests: number; readonly errors: number; readonly milliseconds: number }[]
}

/** What a server was measured to do. */
export interface CapabilityCheck {
  readonly name: string
  readonly result: 'yes' | 'no' | 'unknown'
  readonly detail: string
}

export type FileState = 'online' | 'cached' | 'pinned' | 'queued' | 'uploading' | 'conflict' | 'error' | 'ignored'

export interface FileStatus {
  readonly path: string
  readonly state: FileState
  readonly type: 'file' | 'folder' | 'symlink' | 'other'
  readonly size: number
  readonly localBytes: number
  /** Why, where the state alone does not say. */
  readonly reason: string
  /** What of this file only this machine knows (owner, mode …) because the provider has no place for it. */
  readonly localOnly: readonly string[]
  /** Of the mount's root only: what its server was measured to do. */
  readonly sheet: readonly CapabilityCheck[]
}

export interface Transfer {
  readonly id: number
  readonly path: string
  readonly direction: 'upload' | 'remove' | 'move'
  readonly state: 'waiting' | 'running' | 'retrying' | 'parked'
  readonly size: number
  readonly done: number
  readonly tries: number
  /** Milliseconds since 1970 of the next try; 0 = as soon as its turn comes. */
  readonly nextTryAt: number
  readonly reason: string
}
