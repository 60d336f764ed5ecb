/**
 * Numbers of the FUSE protocol, major 7, up to minor 45. Source: Linux `include/uapi/linux/fuse.h`.
 * Offsets count from the beginning of the structure they belong to; integers have the machine's byte order (little-endian).
 */

export const protocolMajor = 7
/** The newest minor this door speaks. */
export const protocolMinor = 45
/** The oldest minor it serves (Linux 5.4). */
export const oldestMinor = 31

/** struct fuse_in_header: what every request begins with. */
export const requestHeader = {
  length: 0,
  opcode: 4,
  unique: 8,
  node: 16,
  uid: 24,
  gid: 28,
  pid: 32,
  extensionWords: 36,
  padding: 38,
  size: 40,
} as const
/** struct fuse_out_header: what every answer and notification begins with. */
export const replyHeader = { length: 0, error: 4, unique: 8, size: 16 } as const

export const opcodes = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  setxattr: 21,
  getxattr: 22,
  listxattr: 23,
  removexattr: 24,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  getlk: 31,
  setlk: 32,
  setlkw: 33,
  access: 34,
  create: 35,
  interrupt: 36,
  bmap: 37,
  destroy: 38,
  ioctl: 39,
  poll: 40,
  notifyReply: 41,
  batchForget: 42,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
  lseek: 46,
  copyFileRange: 47,
  setupMapping: 48,
  removeMapping: 49,
  syncfs: 50,
  tmpfile: 51,
  statx: 52,
  copyFileRange64: 53,
  cuseInit: 4096,
} as const

/** `flags` of FUSE_INIT (bits 0–31). */
export const initFlag = {
  asyncRead: 2 ** 0,
  posixLocks: 2 ** 1,
  atomicTruncate: 2 ** 3,
  exportSupport: 2 ** 4,
  bigWrites: 2 ** 5,
  flockLocks: 2 ** 10,
  autoInvalidateData: 2 ** 12,
  readdirplus: 2 ** 13,
  readdirplusAuto: 2 ** 14,
  asyncDirectIo: 2 ** 15,
  writebackCache: 2 ** 16,
  parallelDirectories: 2 ** 18,
  posixAcl: 2 ** 20,
  maxPages: 2 ** 22,
  cacheSymlinks: 2 ** 23,
  explicitInvalidateData: 2 ** 25,
  handleKillPrivilegesV2: 2 ** 28,
  setxattrExtended: 2 ** 29,
  extended: 2 ** 30,
} as const

/** `flags2` of FUSE_INIT (bits 32–63 of the whole). */
export const initFlag2 = {
  hasExpireOnly: 2 ** 3,
  passthrough: 2 ** 5,
} as const

/** `open_flags` of an answer to OPEN or CREATE. */
export const openFlag = { keepCache: 1 << 1, noFlush: 1 << 5, passthrough: 1 << 7 } as const
/** `open_flags` of an OPEN or CREATE request. */
export const openRequestFlag = { killPrivileges: 1 << 0 } as const
export const writeFlag = { cached: 1 << 0, killPrivileges: 1 << 2 } as const
export const fsyncFlag = { dataOnly: 1 << 0 } as const

/** `valid` of SETATTR. */
export const setattrField = {
  mode: 1 << 0,
  uid: 1 << 1,
  gid: 1 << 2,
  size: 1 << 3,
  atime: 1 << 4,
  mtime: 1 << 5,
  atimeNow: 1 << 7,
  mtimeNow: 1 << 8,
  killPrivileges: 1 << 11,
} as const

/** Codes of notifications, in the error field of their header. */
export const notifyCode = { invalidateInode: 2, invalidateEntry: 3, incrementEpoch: 8 } as const
/** `flags` of INVAL_ENTRY: the entry expires; nothing mounted or opened below it is torn off. */
export const expireOnly = 1

/** INC_EPOCH exists from this minor on. */
export const epochMinor = 44

export const sizes = {
  attributes: 88,
  attributesOut: 104,
  entryOut: 128,
  openOut: 16,
  statfsOut: 80,
  initOut: 64,
  directoryEntry: 24,
} as const

/** Longest name the mount carries, in bytes; told by STATFS. */
export const nameMax = 255
/** Longest symlink target, without its NUL. */
export const targetMax = 4095

export const seekData = 3
export const seekHole = 4
