/** What is asked of one drive by people, without the mounted folder: each call with its parameters and its answer. Times are milliseconds since 1970. */
export interface DriveCalls {
  /** At most `limit`, in the order in which they came up. */
  conflicts: { params: { readonly limit: number }; result: readonly Conflict[] }
  resolveConflict: { params: { readonly conflictId: string; readonly keep: Keep }; result: { readonly path: string } }
  /** Entries of a folder after the entry `after` (0 = from the first). */
  listFolder: { params: { readonly path: string; readonly after: number; readonly limit: number }; result: FilePage }
  /** What is known below `path` whose name holds `text`, whatever its case; nothing is asked of the provider. */
  search: { params: { readonly path: string; readonly text: string; readonly after: number; readonly limit: number }; result: FilePage }
  /** Keeps the contents here, of a folder all that is in it, and fetches them behind; `pinned` false ends that. */
  pin: { params: { readonly path: string; readonly pinned: boolean }; result: { readonly files: number } }
  /** Ends the pinning and drops contents that the provider has; what is changed or open stays. */
  free: { params: { readonly path: string }; result: Freed }
  rename: { params: { readonly path: string; readonly to: string; readonly replace: boolean }; result: Nothing }
  remove: { params: { readonly path: string; readonly recursive: boolean }; result: { readonly removed: number } }
  /** Drops what the provider has, save what is open or pinned. */
  clearCache: { params: Nothing; result: Freed }
  cacheUse: { params: Nothing; result: CacheUse }
  /** Brings everything to the disk, then says what is not at the provider yet. */
  confirmSafe: { params: Nothing; result: Safety }
  /** Copies every file that the provider does not have as it is here to a new or empty folder of this machine. */
  exportUnsent: { params: { readonly folder: string }; result: Exported }
}

export type DriveCall = { readonly [C in keyof DriveCalls]: { readonly call: C } & DriveCalls[C]['params'] }[keyof DriveCalls]

type Nothing = Readonly<Record<string, never>>

export type Keep = 'mine' | 'theirs' | 'both'

/** What was copied out of a drive. */
export interface Exported {
  readonly files: number
  readonly bytes: number
  /** At most 100 of those that could not be copied. */
  readonly failed: readonly { readonly path: string; readonly reason: string }[]
  readonly failures: number
}

/** One side of a conflict. */
export interface ConflictVersion {
  readonly path: string
  readonly size: number
  readonly modifiedAt: number
}

export interface Conflict {
  /** Unique within its mount. */
  readonly id: string
  /** both-changed: another client changed it too; unproved: never synced before a power loss. */
  readonly kind: 'both-changed' | 'unproved'
  /** The name that both versions want. It shows theirs, or ours where `mine` has the same path: its bytes are not all here. */
  readonly path: string
  readonly at: number
  readonly mine: ConflictVersion
  /** Null: nothing stands there. */
  readonly theirs: ConflictVersion | null
}

export interface FileEntry {
  readonly path: string
  readonly name: string
  readonly type: 'file' | 'folder' | 'symlink' | 'other'
  readonly size: number
  readonly modifiedAt: number
  readonly state: 'online' | 'cached' | 'pinned' | 'queued' | 'uploading' | 'conflict' | 'error' | 'ignored'
  readonly localBytes: number
  readonly reason: string
}

export interface FilePage {
  readonly entries: readonly FileEntry[]
  /** Where the next page begins; 0 = there is none. */
  readonly next: number
}

export interface Freed {
  readonly bytes: number
  /** Files that stay because they are changed, open or (cache) pinned. */
  readonly kept: number
}

export interface CacheUse {
  readonly bytes: number
  readonly limit: number
  readonly dirtyBytes: number
  readonly pinnedBytes: number
}

export interface Safety {
  /** All of it survives a power loss here. */
  readonly onDisk: boolean
  /** The provider has all of it. */
  readonly uploaded: boolean
  readonly files: number
  readonly bytes: number
  /** Conflicts that wait for a person. */
  readonly conflicts: number
  /** Why it is not on disk. */
  readonly reason: string
}
