/**
 * What the kernel door (drive/fuse) calls. Answers come at once where that is possible and as a Promise where the
 * disk or the cloud must be asked, so that a cached answer costs no microtask. Errors are CloudErrors, thrown or rejected.
 *
 * A change has two parts. The call itself may wait and is safe to repeat; it gives a `Commit`, which the door runs
 * inside one database transaction together with the row of the request log (see `RequestLog`). After a crash a change
 * has therefore either happened with its answer known, or not at all.
 */

export type Maybe<T> = T | Promise<T>

/** The part of a change that must happen exactly once. Synchronous; runs inside the transaction of the request log. */
export type Commit<T> = () => T

export interface Caller {
  readonly uid: number
  readonly gid: number
  readonly pid: number
}

/** stat(2) of a node. `id` is the FUSE node id: never reused, one per version of a file. */
export interface Attributes {
  readonly id: number
  readonly ino: number
  /** Type and permission bits, st_mode. */
  readonly mode: number
  readonly nlink: number
  readonly uid: number
  readonly gid: number
  readonly rdev: number
  /** Bytes. */
  readonly size: number
  /** 512-byte units held locally. */
  readonly blocks: number
  readonly atimeSec: number
  readonly atimeNsec: number
  readonly mtimeSec: number
  readonly mtimeNsec: number
  readonly ctimeSec: number
  readonly ctimeNsec: number
}

/** Fields of a SETATTR that are to change. `'now'` = the server's clock. */
export interface AttributeChange {
  readonly mode?: number
  readonly uid?: number
  readonly gid?: number
  readonly size?: number
  readonly atime?: { readonly sec: number; readonly nsec: number } | 'now'
  readonly mtime?: { readonly sec: number; readonly nsec: number } | 'now'
  /** FATTR_KILL_SUIDGID: a truncation by someone without CAP_FSETID. */
  readonly killPrivileges: boolean
}

export interface OpenOptions {
  /** open(2) flags as the kernel sent them (O_ACCMODE, O_TRUNC with atomic truncation, O_APPEND …). */
  readonly flags: number
  readonly killPrivileges: boolean
}

export interface Opened {
  /** File handle: encodes the node and whether it is writable, so that it means the same to a successor process. */
  readonly fh: number
  /** The kernel may keep what it has of this node in its page cache. */
  readonly keepCache: boolean
  /** > 0: FOPEN_PASSTHROUGH with this backing id. */
  readonly backingId: number
  /** A close has nothing to say that writes have not said. */
  readonly noFlush: boolean
}

export interface FilesystemStats {
  /** Bytes. */
  readonly total: number
  readonly free: number
  readonly files: number
  readonly freeFiles: number
}

/** Takes one directory entry; false = no room left, ask again from the previous offset. */
export type EmitEntry = (name: Buffer, nextOffset: number, attributes: Attributes) => boolean

export interface Filesystem {
  /** null: surely absent (cacheable as a negative entry). Unknown is an error, never null. */
  lookup(parent: number, name: Buffer): Maybe<Attributes | null>
  getattr(node: number): Maybe<Attributes>
  setattr(caller: Caller, node: number, change: AttributeChange): Maybe<Commit<Attributes>>
  readlink(node: number): Maybe<Buffer>
  mknod(caller: Caller, parent: number, name: Buffer, mode: number, rdev: number): Maybe<Commit<Attributes>>
  mkdir(caller: Caller, parent: number, name: Buffer, mode: number): Maybe<Commit<Attributes>>
  symlink(caller: Caller, parent: number, name: Buffer, target: Buffer): Maybe<Commit<Attributes>>
  link(node: number, parent: number, name: Buffer): Maybe<Commit<Attributes>>
  unlink(parent: number, name: Buffer): Maybe<Commit<void>>
  rmdir(parent: number, name: Buffer): Maybe<Commit<void>>
  /** flags: 0, RENAME_NOREPLACE (1) or RENAME_EXCHANGE (2); anything else is `invalid`. */
  rename(parent: number, name: Buffer, newParent: number, newName: Buffer, flags: number): Maybe<Commit<void>>

  open(node: number, options: OpenOptions): Maybe<Opened>
  create(
    caller: Caller,
    parent: number,
    name: Buffer,
    mode: number,
    options: OpenOptions,
  ): Maybe<Commit<{ readonly attributes: Attributes; readonly opened: Opened }>>
  /** Bytes that can be had without waiting: their number (0 at the end of the file), or -1. Never throws for lack of data. */
  readNow(fh: number, offset: number, length: number, target: Buffer, targetOffset: number): number
  read(fh: number, offset: number, length: number, target: Buffer, targetOffset: number, signal: AbortSignal): Promise<number>
  /** `cached`: FUSE_WRITE_CACHE, a write-back of mapped pages that must not be refused for lack of room. */
  write(
    fh: number,
    data: Buffer,
    dataOffset: number,
    length: number,
    position: number,
    how: { readonly cached: boolean; readonly killPrivileges: boolean },
  ): Maybe<number>
  flush(fh: number): Maybe<void>
  fsync(fh: number, dataOnly: boolean, signal: AbortSignal): Promise<void>
  release(fh: number): Maybe<void>
  fallocate(fh: number, mode: number, offset: number, length: number): Promise<Commit<void>>
  copyFileRange(fhFrom: number, offsetFrom: number, fhTo: number, offsetTo: number, length: number): Promise<Commit<number>>
  /** SEEK_DATA (3) or SEEK_HOLE (4); -1 beyond the end of the data (the door answers ENXIO). */
  lseek(fh: number, offset: number, whence: number): Maybe<number>

  opendir(node: number): Maybe<number>
  releasedir(node: number): void
  /** Entries with offset > `offset`, '.' and '..' included. The same order and offsets for every reader and every successor process. */
  readdir(node: number, offset: number, emit: EmitEntry): Maybe<void>
  fsyncdir(node: number, signal: AbortSignal): Promise<void>
  statfs(): FilesystemStats
  /** fsync of everything (FUSE_SYNCFS). */
  syncfs(signal: AbortSignal): Promise<void>

  /** Throws `unsupported` where the mount has no xattrs: the door then answers ENOSYS, once for all. */
  getxattr(node: number, name: Buffer): Maybe<Buffer>
  listxattr(node: number): Maybe<Buffer>
  /** flags: XATTR_CREATE (1), XATTR_REPLACE (2). */
  setxattr(node: number, name: Buffer, value: Buffer, flags: number): Maybe<Commit<void>>
  removexattr(node: number, name: Buffer): Maybe<Commit<void>>

  /** How long the kernel may keep entries and attributes, milliseconds. */
  readonly entryTtlMs: number
}

/** Builds a handle from a node id. Handles stay below 2^53. */
export function handleOf(node: number, writable: boolean): number {
  return node * 2 + (writable ? 1 : 0)
}

export function nodeOfHandle(fh: number): number {
  return Math.floor(fh / 2)
}

export function isWritableHandle(fh: number): boolean {
  return fh % 2 === 1
}
