/**
 * The small C addon: what Node itself cannot do. Typed here once; built by `scripts/build-addon`
 * into `build/cloudmoor.node`. Linux only: elsewhere `loadNative()` throws `unsupported` with a hint.
 *
 * Conventions: a call that may wait for a disk, a mount or a peer returns a Promise and runs on the thread pool;
 * a synchronous call never waits. Failures throw (or reject with) an Error whose `code` is the errno name, except
 * where a negative errno is returned so that the hot path allocates nothing.
 */

/** Sizes and places inside the shared request memory (a memfd that the supervisor creates and every worker maps). */
export interface SlabGeometry {
  /** Big buffers; each holds one request of up to `slabSize` bytes (max_write + 4 KiB). */
  readonly slabCount: number
  readonly slabSize: number
  /** Small buffers of 4 KiB for every waiting request that is not a WRITE. */
  readonly slotCount: number
  readonly slotSize: number
}

/**
 * Byte offsets in the header page of the request memory. All fields little-endian. The layout outlives processes
 * and versions: change `layoutVersion` when you change anything here.
 */
export const header = {
  magic: 0, // u32 'CMSL' = 0x4c534d43
  layoutVersion: 4, // u32 = 1
  slabCount: 8, // u32
  slabSize: 12, // u32
  slotCount: 16, // u32
  slotSize: 20, // u32
  slabsOffset: 24, // u32 = 4096
  slotsOffset: 28, // u32
  /** u64: unique of the request being dispatched right now, 0 when none. Written before and after each dispatch. */
  dispatching: 64,
  /** u64: replies the kernel accepted on this connection. */
  answered: 72,
  /** u64 + u32: the request named at the last death, and at how many deaths in a row. */
  blamedUnique: 80,
  blamedDeaths: 88,
  /** u32: deaths in a row with no request answered in between, and `answered` as it was at the last one. */
  fruitlessDeaths: 92,
  answeredAtLastDeath: 96, // u64
  /** The result of FUSE_INIT, written before its reply: the successor of a dead worker starts from it. */
  initDone: 128, // u32: 0 or 1
  initMajor: 132,
  initMinor: 136,
  initFlags: 140,
  initFlags2: 144,
  initMaxReadahead: 148,
  initMaxWrite: 152,
  initMaxPages: 156,
} as const

export const headerSize = 4096
export const layoutMagic = 0x4c534d43
export const layoutVersion = 1

/**
 * One FUSE connection. Requests are read straight into shared memory, so that a request survives the death of
 * the process that read it. See design.md §4 "Slabs".
 */
export interface Door {
  /** The whole request memory. A request's bytes begin (with fuse_in_header) at the offset that `onRequests` gives. */
  readonly memory: Buffer
  /**
   * Offset/length pairs of the requests of this wake-up; valid only during `onRequests`.
   */
  readonly batch: Uint32Array
  /** Begins to read requests. Before this, leftovers are found by `leftovers()` and answered. */
  start(): void
  /**
   * Stops reading and lets go of the connection; unanswered requests stay in memory for a successor. No callback follows.
   * The process does not end by itself between start() and stop() or onClosed.
   */
  stop(): void
  /**
   * Requests left by a dead predecessor, [offset, length] pairs; slots first; a slab whose unique is also in a slot is dropped.
   * Each is given once. Until asked for they keep their places, also after start().
   */
  leftovers(): Uint32Array
  /**
   * Answers the request at `offset` and frees its place (unique = 0, release store).
   * @param errno 0, or a positive errno (then no payload).
   * @param payload bytes [payloadOffset, payloadOffset + payloadLength) follow the out header; may lie in `memory`.
   * @returns 0, or a negative errno from writev (-ENOENT: the kernel no longer waits; the place is freed all the same);
   * -EINVAL: no request begins at `offset`; -EBADF: stopped, the request stays in memory.
   */
  reply(offset: number, errno: number, payload: Buffer | null, payloadOffset: number, payloadLength: number): number
  /** Frees the place of a request that has no answer (FORGET, INTERRUPT, BATCH_FORGET). */
  release(offset: number): void
  /**
   * Writes a notification that never blocks (INVAL_INODE with off = -1, INC_EPOCH) from this thread.
   * @param message whole message with fuse_out_header (unique 0, error = code).
   * @returns 0 or a negative errno; -EINVAL also for a notification that may block.
   */
  notify(message: Buffer): number
  /**
   * Queues a notification that may block (INVAL_ENTRY, DELETE, ranged INVAL_INODE) for the addon's own thread; false when its
   * queue (1,024) is full.
   */
  notifyLater(message: Buffer): boolean
  /** Counters for metrics and the bench. */
  counters(): {
    readonly wakeups: number
    readonly requests: number
    readonly pollHits: number
    readonly pollMicroseconds: number
    readonly noSlab: number
  }
}

export interface DoorOptions {
  /** Both are duplicated or mapped: the caller keeps and closes its own. */
  readonly fuseFd: number
  readonly memoryFd: number
  /** Called once per wake-up with the number of requests in `batch`. Must not throw. */
  readonly onRequests: (count: number) => void
  /** The connection is over (ENODEV after unmount, ECONNABORTED after abort), errno positive. Called once, never after stop(). */
  readonly onClosed: (errno: number) => void
  /** Longest time to poll /dev/fuse after a reply before going back to epoll, microseconds; 0 = never. Default 80. */
  readonly pollMicroseconds?: number
}

export interface MountOptions {
  /** First field of /proc/mounts, `cloudmoor:NAME`. */
  readonly source: string
  readonly allowOther: boolean
  readonly readOnly: boolean
  /** Largest READ in bytes, max_read. */
  readonly maxRead: number
}

/** One message of a `Channel`: at most 192 KiB, with at most 8 file descriptors. */
export interface ChannelMessage {
  readonly data: Buffer
  readonly fds: readonly number[]
}

/** A connected SOCK_SEQPACKET unix socket: message boundaries are kept, descriptors can ride along (SCM_RIGHTS). */
export interface Channel {
  /** uid, gid and pid of the peer when it connected (SO_PEERCRED). */
  readonly peer: { readonly uid: number; readonly gid: number; readonly pid: number }
  /**
   * Takes the message; false when 1,024 messages wait already or the channel is closed (nothing was taken). Descriptors are
   * duplicated: the caller keeps its own.
   * @throws EMSGSIZE over 192 KiB, EINVAL when empty, EBADF for a descriptor that is not open.
   */
  send(data: Buffer, fds: readonly number[]): boolean
  /** Closes after what was sent has gone out, at the latest after 5 s. onClose follows. */
  close(): void
}

export interface ChannelEvents {
  /** Received descriptors belong to the receiver and are close-on-exec. */
  readonly onMessage: (message: ChannelMessage) => void
  /** errno name, or undefined at an orderly end (by either side). Called once. */
  readonly onClose: (code: string | undefined) => void
}

export interface ChannelServer {
  /** Stops listening and removes the socket file, if it is still the one made here. Open channels stay. */
  close(): void
}

export interface FileTimes {
  readonly atimeSec: number
  readonly atimeNsec: number
  readonly mtimeSec: number
  readonly mtimeNsec: number
}

export interface Native {
  // door.c
  /** memfd with the header page written. Slabs get their pages when they are first used. */
  createRequestMemory(geometry: SlabGeometry): number
  /** Maps the header page only (supervisor): death counts, INIT result. */
  mapHeader(memoryFd: number): Buffer
  openDoor(options: DoorOptions): Door

  // mount.c
  /** open("/dev/fuse") + mount(2); O_NONBLOCK | O_CLOEXEC. Needs CAP_SYS_ADMIN. */
  mountDirect(path: string, options: MountOptions): Promise<number>
  /** A connected pair of stream sockets for `fusermount3` (_FUSE_COMMFD); both close-on-exec. */
  socketPair(): readonly [number, number]
  /** Waits (thread pool, 10 s) for one descriptor on a stream socket; set O_NONBLOCK | O_CLOEXEC on it. */
  receiveFd(socketFd: number): Promise<number>
  /** umount2(path, flags) with UMOUNT_NOFOLLOW added; MNT_DETACH = 2. */
  unmount(path: string, flags: number): Promise<void>
  /** FUSE_DEV_IOC_BACKING_OPEN; the id, or a negative errno. */
  backingOpen(fuseFd: number, fileFd: number): number
  backingClose(fuseFd: number, backingId: number): number

  // fs.c
  /** preadv2(RWF_NOWAIT): bytes read, or a negative errno (-EAGAIN: not in the page cache). Short reads possible. */
  readNow(fd: number, target: Buffer, targetOffset: number, length: number, position: number): number
  /** The page cache lets go of what is clean in this range, thread pool. */
  dropPages(fd: number, offset: number, length: number): Promise<void>
  /** fallocate(2), thread pool. */
  fallocate(fd: number, mode: number, offset: number, length: number): Promise<void>
  /** lseek(2) with SEEK_DATA (3) or SEEK_HOLE (4): offset, or -ENXIO. */
  seek(fd: number, offset: number, whence: number): number
  /** FICLONE, thread pool: rejects with EOPNOTSUPP or EXDEV where there are no reflinks. */
  cloneFile(fromFd: number, toFd: number): Promise<void>
  /** copy_file_range(2) in a loop, thread pool; bytes copied. */
  copyRange(fromFd: number, fromOffset: number, toFd: number, toOffset: number, length: number): Promise<number>
  /** utimensat(2), AT_SYMLINK_NOFOLLOW, nanoseconds, thread pool. */
  setTimes(path: string | Buffer, times: FileTimes): Promise<void>
  /** renameat2(2) with RENAME_NOREPLACE, thread pool: rejects with EEXIST if `to` is there, with EINVAL where the file system cannot tell. */
  renameNew(from: string | Buffer, to: string | Buffer): Promise<void>
  mknod(path: string | Buffer, mode: number, major: number, minor: number): Promise<void>
  /** l*xattr(2), thread pool. `getAttribute` gives null when absent. */
  getAttribute(path: string | Buffer, name: string): Promise<Buffer | null>
  setAttribute(path: string | Buffer, name: string, value: Buffer): Promise<void>
  removeAttribute(path: string | Buffer, name: string): Promise<void>
  listAttributes(path: string | Buffer): Promise<string[]>
  closeFd(fd: number): void
  /** dup(2) with close-on-exec. */
  dupFd(fd: number): number

  // process.c
  /**
   * Listens on a SOCK_SEQPACKET unix socket, mode 0600. Throws EADDRINUSE if the path exists. `channel` makes the connection a
   * Channel; it must be called during `onConnection`, else the connection is closed.
   */
  listenChannel(path: string, onConnection: (channel: (events: ChannelEvents) => Channel) => void): ChannelServer
  connectChannel(path: string, events: ChannelEvents): Channel
  /** SO_PEERCRED of any connected unix socket. */
  peerCredentials(socketFd: number): { readonly uid: number; readonly gid: number; readonly pid: number }
  /** Drops every capability (effective, permitted, inheritable, ambient) and sets no_new_privs, in all threads. */
  dropCapabilities(): void
  /** True if this process has CAP_SYS_ADMIN effective. */
  canMount(): boolean
  /** prctl(PR_SET_DUMPABLE, 0) and RLIMIT_CORE 0: no core file with secrets. */
  forbidCore(): void
  /** prctl(PR_SET_NAME). */
  setProcessName(name: string): void
  /** sd_notify(3) protocol on $NOTIFY_SOCKET; false when not set. */
  notifySystemd(message: string): boolean
  /** Have all threads of this process ended (reaped or not)? For a child as for an adopted process; takes no exit status away. */
  isGone(pid: number): boolean
}
