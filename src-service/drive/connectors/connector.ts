import type { CapabilityCheck } from '../../common/drive-state.ts'
/**
 * The contract between the drive and a cloud. A connector is small: it moves bytes and facts, keeps no cache, retries
 * nothing (wrappers do), and throws only CloudError. Every call takes an AbortSignal that carries the deadline.
 * Differences between clouds are declared in `capabilities`, never tested for by name.
 */

/**
 * Where an object is. A connector with paths uses `path`; one with ids uses `id` and, for what does not exist yet,
 * the parent's id and the name. The drive always fills in both as far as it knows them.
 */
export interface RemotePlace {
  /** Names from the mount's remote root down, raw bytes as the provider lists them; [] is the root. */
  readonly path: readonly Buffer[]
  /** The object's own id where the provider has ids and the object exists. */
  readonly id: string | null
  /** The parent's id where the provider has ids. */
  readonly parentId: string | null
}

export type RemoteType = 'file' | 'folder' | 'symlink' | 'fifo' | 'socket' | 'char' | 'block'

/** POSIX facts that a provider may have a place for. Absent = the provider says nothing. */
export interface PosixAttributes {
  /** Permission bits 0o7777, without type. */
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly mtime?: Time
  readonly atime?: Time
  /** Device number of char and block nodes, as st_rdev. */
  readonly rdev?: number
  /** Symlink target, raw bytes. */
  readonly target?: Buffer
  /** Extended attributes, only where the mount's `xattrs` option is on. */
  readonly xattrs?: ReadonlyMap<string, Buffer>
}

export interface Time {
  /** Seconds since 1970, may be negative. */
  readonly sec: number
  /** 0 … 999,999,999. */
  readonly nsec: number
}

/** One object as the provider tells it. */
export interface RemoteEntry {
  /** Last name, raw bytes; never empty, never with '/'. */
  readonly name: Buffer
  readonly type: RemoteType
  /** Bytes; 0 for anything but files. */
  readonly size: number
  readonly mtime: Time
  /** Changes whenever the contents change (ETag, rev, generation; size+mtime where there is nothing better). */
  readonly rev: string
  readonly id: string | null
  /** What the answer itself said of POSIX attributes; a listing of S3 says nothing. */
  readonly posix: PosixAttributes
}

export interface ListPage {
  readonly entries: readonly RemoteEntry[]
  /**
   * Objects that cannot be shown as names (empty segment, '.', NUL …): counted and told, never silently dropped.
   */
  readonly hidden: readonly string[]
}

/** What a write is conditional on. `any` only where the caller has made sure by other means. */
export type Precondition = { readonly kind: 'absent' } | { readonly kind: 'rev'; readonly rev: string } | { readonly kind: 'any' }

/** One generation of local contents. */
export interface UploadSource {
  readonly size: number
  /** Bytes [start, end). Rejects with `cancelled` when the generation was overtaken by a WRITE. May be called again for the same range (retry). */
  read(start: number, end: number, signal: AbortSignal): Promise<Buffer>
}

/** Persisted progress of a resumable upload: opaque to the drive, JSON, secrets not allowed. */
export type UploadHandle = string

export interface WriteOptions {
  readonly precondition: Precondition
  readonly posix: PosixAttributes
  /** From an earlier try of the same generation. A connector that cannot go on from it starts anew. */
  readonly resume: UploadHandle | null
  /** Called before anything is sent under a new handle and after each part; resolves when it is persisted. */
  readonly saveHandle: (handle: UploadHandle) => Promise<void>
  /** Bytes confirmed so far. */
  readonly onProgress: (bytes: number) => void
}

export interface Usage {
  /** Bytes; null where the provider does not say. */
  readonly total: number | null
  readonly used: number | null
  readonly free: number | null
}

/**
 * A change that the drive asks for may have been done although its answer was lost (kinds offline, timeout,
 * unavailable, garbage after the request was sent). The drive then probes with `stat` before it repeats anything.
 */
export interface Connector {
  readonly type: string
  readonly capabilities: Capabilities
  /** One cheap authenticated call on the root. Throws sign-in, not-found (bucket or folder), offline … */
  check(signal: AbortSignal): Promise<void>
  /** Every entry of one folder, page by page. `not-found` if the folder is surely absent. A page that fails throws: a listing is complete or it is an error. */
  list(folder: RemotePlace, signal: AbortSignal): AsyncIterable<ListPage>
  /** One object with all it knows; null = surely absent. */
  stat(place: RemotePlace, type: 'file' | 'folder' | 'any', signal: AbortSignal): Promise<RemoteEntry | null>
  /**
   * Bytes [start, end) of the version `rev`; chunks of any size, in order, exactly end - start bytes in all, or an error.
   * The memory of a chunk is the caller's until it asks for the next one: who keeps bytes copies them (`bytesOf`).
   * `conflict` if the version is no longer there (checked by condition, or by the answer's headers before the first chunk).
   */
  read(place: RemotePlace, start: number, end: number, rev: string, signal: AbortSignal): AsyncIterable<Uint8Array>
  /** Creates or replaces a file (or a symlink or special node where `capabilities.posix` says so). Resolves with the confirmed entry. `conflict` if the precondition failed. */
  write(place: RemotePlace, type: RemoteType, source: UploadSource, options: WriteOptions, signal: AbortSignal): Promise<RemoteEntry>
  /** Creates a folder. `exists` if something has the name. */
  makeFolder(place: RemotePlace, posix: PosixAttributes, signal: AbortSignal): Promise<RemoteEntry>
  /** Removes one object; a folder must be empty (`not-empty`). Resolves also if it was absent. */
  remove(place: RemotePlace, type: RemoteType, precondition: Precondition, signal: AbortSignal): Promise<void>
  /** Only if capabilities.move is not 'none'. `exists` if the target is taken and `replace` is null. Resolves with the entry at its new place. */
  move?(
    from: RemotePlace,
    to: RemotePlace,
    type: RemoteType,
    precondition: Precondition,
    replace: Precondition | null,
    signal: AbortSignal,
  ): Promise<RemoteEntry>
  /** Only if capabilities.copy. Server-side copy of one file. */
  copy?(
    from: RemotePlace,
    to: RemotePlace,
    rev: string,
    posix: PosixAttributes,
    target: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry>
  /** Only if capabilities.posix.setAttributes. Changes attributes without sending contents. */
  setAttributes?(
    place: RemotePlace,
    type: RemoteType,
    posix: PosixAttributes,
    precondition: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry>
  /** Only if capabilities.resumableWrite: ends an unfinished upload session. */
  abandon?(handle: UploadHandle, signal: AbortSignal): Promise<void>
  /**
   * Only if capabilities.resumableWrite: ends unfinished uploads below the root that are none of `known` and that nothing was
   * added to since `idleSince` (milliseconds since 1970, by the provider's clock). Resolves with how many it ended.
   */
  sweep?(known: readonly UploadHandle[], idleSince: number, signal: AbortSignal): Promise<number>
  usage(signal: AbortSignal): Promise<Usage>
  /** What measuring found, now or at an earlier start. */
  readonly sheet?: readonly CapabilityCheck[]
  /** What this account and server really do, measured (cheap; may write and remove one tiny object if `write`). */
  measure?(write: boolean, signal: AbortSignal): Promise<readonly CapabilityCheck[]>
  /** Ends connections. The connector is not used again. */
  close(): Promise<void>
}

export interface Capabilities {
  /** Lost-update protection of `write`: by the server, by stat just before (a window stays), or none. */
  readonly conditionalWrite: 'server' | 'checked' | 'none'
  readonly conditionalRemove: 'server' | 'checked' | 'none'
  readonly rangeRead: boolean
  readonly resumableWrite: boolean
  /** `object`: files only, folders are moved by moving what is in them; `tree`: folders in one step. */
  readonly move: 'none' | 'object' | 'tree'
  /** True if the server moves atomically (no copy that can be seen beside the original). */
  readonly atomicMove: boolean
  readonly copy: boolean
  /** Folders exist by themselves, also when empty. False: a folder is only a common prefix and `makeFolder` writes a marker. */
  readonly realFolders: boolean
  /** Strongest whole-file hash that listings or answers carry. */
  readonly hash: 'none' | 'md5' | 'sha1' | 'sha256' | 'crc32' | 'etag'
  readonly changeFeed: boolean
  /** What the provider can store of POSIX. */
  readonly posix: {
    readonly mode: boolean
    readonly owner: boolean
    readonly mtime: boolean
    readonly symlinks: boolean
    readonly specialNodes: boolean
    readonly xattrs: boolean
    readonly setAttributes: boolean
    /** True if listings carry these attributes; false: only `stat` does. */
    readonly inListings: boolean
  }
  readonly names: {
    readonly caseSensitive: boolean
    readonly unicode: 'bytes' | 'utf8' | 'nfc' | 'nfd'
    /** Bytes of one name. */
    readonly maxBytes: number
    /** Bytes of a whole path, from the provider's root. */
    readonly maxPathBytes: number
    /** Characters that a name may not contain, beside '/' and NUL. */
    readonly forbidden: string
    /** True if trailing dots and spaces are lost or refused. */
    readonly trimsTrailing: boolean
  }
  /** Finest modification time the provider keeps, nanoseconds (1 = exact). */
  readonly mtimePrecisionNs: number
  readonly quota: boolean
  /** Largest file in bytes. */
  readonly maxFileSize: number
  /** Requests that pay off in parallel. */
  readonly parallelism: number
}

/** Values that the service resolved for a provider account, by option name. Secrets come as functions so that they do not print. */
export interface ConnectorSettings {
  readonly options: Readonly<Record<string, string | number | boolean>>
  /** Undefined when not given (yet): the connector throws `sign-in` when it needs it. */
  secret(name: string): string | undefined
}

export interface ConnectorContext {
  readonly settings: ConnectorSettings
  /** Where on the account the mount's root is: the `--remote` path, '' for the root. */
  readonly remoteRoot: string
  /**
   * Where what was measured of the server is kept from one start to the next, one text. Absent: nothing is kept, and nothing is
   * measured unasked.
   */
  readonly kept?: { readonly get: () => string | undefined; readonly set: (value: string) => void }
  /** To be called as each request leaves: a call may take several, and the account's rate counts requests. */
  readonly onRequest?: () => void
  readonly log: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void
}

/** A property of a provider's options. JSON Schema draft 2020-12, with what forms, flags and docs need besides. */
export interface OptionSchema {
  readonly type: 'string' | 'integer' | 'boolean'
  readonly title: string
  readonly description: string
  readonly default?: string | number | boolean
  readonly enum?: readonly string[]
  readonly examples?: readonly string[]
  readonly minimum?: number
  readonly maximum?: number
  readonly minLength?: number
  readonly pattern?: string
  readonly format?: 'uri' | 'path' | 'host'
  /** Kept in the secret store; never shown, logged or exported in clear. */
  readonly secret?: true
  /** Required, unless one of these options is set (and not false). */
  readonly requiredUnless?: readonly string[]
  /** Only an administrator may set it (local folders, TLS checks off …). */
  readonly trusted?: true
  /**
   * Variables of the service's environment that the option makes use of. A worker's own environment has none of them: the worker of an
   * account with the option gets them with the account's secrets, each under `env:NAME`.
   */
  readonly environment?: readonly string[]
  /** Shown under "Advanced". */
  readonly advanced?: true
  /** A change of this option changes where secrets are sent: they must be given again. */
  readonly destination?: true
  /** A change of this option changes who is believed to be the server (TLS): secrets must be given again, files stay the same. */
  readonly exposes?: true
  /** Names which files these are (with `destination`): it cannot change while a mount keeps local data of the old ones. */
  readonly place?: true
}

/** A provider type as data; safe for `control/` and every client to read. */
export interface Descriptor {
  readonly type: string
  readonly title: string
  readonly summary: string
  readonly maturity: 'stable' | 'beta' | 'experimental'
  readonly docs: string
  readonly options: {
    readonly type: 'object'
    readonly additionalProperties: false
    readonly required: readonly string[]
    readonly properties: Readonly<Record<string, OptionSchema>>
  }
  /** Named sets of option values. */
  readonly presets: readonly {
    readonly name: string
    readonly title: string
    readonly values: Readonly<Record<string, string | number | boolean>>
  }[]
  readonly capabilities: Capabilities
  readonly defaults: {
    /** Cache bound in bytes. */
    readonly cacheSize: number
    /** Bytes of one part of a resumable upload. */
    readonly partSize: number
    readonly parallelUploads: number
    /** Requests a second that one account starts with, all its mounts together. */
    readonly requestsPerSecond: number
  }
}
