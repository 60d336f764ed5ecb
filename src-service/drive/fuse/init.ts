import { header } from '../../common/native/native.ts'
import { epochMinor, initFlag, initFlag2, oldestMinor, protocolMajor, protocolMinor, sizes } from './protocol.ts'
import type { RequestReader } from './requests.ts'

/** What kernel and door agreed on; kept in the header page of the request memory for a successor. */
export interface Negotiated {
  readonly major: number
  readonly minor: number
  readonly flags: number
  readonly flags2: number
  /** Bytes. */
  readonly maxReadahead: number
  readonly maxWrite: number
  readonly maxPages: number
}

export interface InitLimits {
  /** Bytes; a slab holds this and 4 KiB more. */
  readonly maxWrite: number
  /** Read-only mount in a process that may register backing files. */
  readonly passthrough: boolean
}

const pageSize = 4096
const maxBackground = 64
const congestionThreshold = 48
/** Backing files lie on a real file system, and others may stack on this mount. */
const passthroughDepth = 1
/** Times are kept to the nanosecond. */
const timeGranularity = 1
/** Without INC_EPOCH the kernel cannot be told that everything changed: then nothing may be kept for longer than this. */
const oldKernelLifeMs = 10_000

/**
 * Flags of ours; each is asked for only where the kernel offers it. Not among them, and why:
 * WRITEBACK_CACHE hides remote changes of size and time and switches passthrough off; POSIX_LOCKS and FLOCK_LOCKS would move locks
 * into a process that may die; AUTO_INVAL_DATA would drop pages at each change of a time, where EXPLICIT_INVAL_DATA keeps what
 * only we change; READDIRPLUS_AUTO would leave the second half of a big folder without attributes, so that `ls -l`, `du`, `rm -r`
 * and `git status` ask for each name, and a plain `ls` gains next to nothing, because the tree has them at hand; POSIX_ACL needs
 * xattrs; NO_OPEN would leave unlinked but open files unknown.
 */
const wanted =
  initFlag.asyncRead +
  initFlag.atomicTruncate +
  initFlag.bigWrites +
  initFlag.readdirplus +
  initFlag.asyncDirectIo +
  initFlag.parallelDirectories +
  initFlag.maxPages +
  initFlag.cacheSymlinks +
  initFlag.explicitInvalidateData +
  initFlag.handleKillPrivilegesV2 +
  initFlag.setxattrExtended +
  initFlag.extended

/** Answer to a kernel with a newer major: it asks again with ours. */
export const askAgain: Negotiated = {
  major: protocolMajor,
  minor: protocolMinor,
  flags: 0,
  flags2: 0,
  maxReadahead: 0,
  maxWrite: 0,
  maxPages: 0,
}

/**
 * Reads a FUSE_INIT request.
 * @returns what is agreed, or null when the kernel's protocol is not one we speak.
 */
export function negotiate(request: RequestReader, limits: InitLimits): Negotiated | null {
  const major = request.u32(0)
  const minor = request.u32(4)
  if (major > protocolMajor) return askAgain
  if (major < protocolMajor || minor < oldestMinor) return null
  const offered = request.u32(12)
  const extended = (offered & initFlag.extended) !== 0 && request.bodyLength >= 20
  const flags = (offered & wanted) >>> 0
  const wanted2 = initFlag2.hasExpireOnly + (limits.passthrough ? initFlag2.passthrough : 0)
  const maxPages = (flags & initFlag.maxPages) === 0 ? 32 : Math.floor(limits.maxWrite / pageSize)
  return {
    major,
    minor: Math.min(minor, protocolMinor),
    flags,
    flags2: extended ? request.u32(16) & wanted2 : 0,
    maxReadahead: request.u32(8),
    maxWrite: Math.min(limits.maxWrite, maxPages * pageSize),
    maxPages,
  }
}

/** Writes struct fuse_init_out. @returns its length. */
export function writeInitReply(target: Buffer, agreed: Negotiated): number {
  target.fill(0, 0, sizes.initOut)
  target.writeUInt32LE(agreed.major, 0)
  target.writeUInt32LE(agreed.minor, 4)
  target.writeUInt32LE(agreed.maxReadahead, 8)
  target.writeUInt32LE(agreed.flags, 12)
  target.writeUInt16LE(maxBackground, 16)
  target.writeUInt16LE(congestionThreshold, 18)
  target.writeUInt32LE(agreed.maxWrite, 20)
  target.writeUInt32LE(timeGranularity, 24)
  target.writeUInt16LE(agreed.maxPages, 28)
  target.writeUInt32LE(agreed.flags2, 32)
  target.writeUInt32LE(hasPassthrough(agreed) ? passthroughDepth : 0, 36)
  return sizes.initOut
}

/** Keeps the agreement in the request memory, whose first page is the header. */
export function storeNegotiated(memory: Buffer, agreed: Negotiated): void {
  memory.writeUInt32LE(agreed.major, header.initMajor)
  memory.writeUInt32LE(agreed.minor, header.initMinor)
  memory.writeUInt32LE(agreed.flags, header.initFlags)
  memory.writeUInt32LE(agreed.flags2, header.initFlags2)
  memory.writeUInt32LE(agreed.maxReadahead, header.initMaxReadahead)
  memory.writeUInt32LE(agreed.maxWrite, header.initMaxWrite)
  memory.writeUInt32LE(agreed.maxPages, header.initMaxPages)
  memory.writeUInt32LE(1, header.initDone)
}

/** The agreement that a predecessor made, or null if the connection is fresh. */
export function loadNegotiated(memory: Buffer): Negotiated | null {
  if (memory.readUInt32LE(header.initDone) !== 1) return null
  return {
    major: memory.readUInt32LE(header.initMajor),
    minor: memory.readUInt32LE(header.initMinor),
    flags: memory.readUInt32LE(header.initFlags),
    flags2: memory.readUInt32LE(header.initFlags2),
    maxReadahead: memory.readUInt32LE(header.initMaxReadahead),
    maxWrite: memory.readUInt32LE(header.initMaxWrite),
    maxPages: memory.readUInt32LE(header.initMaxPages),
  }
}

export function hasPassthrough(agreed: Negotiated): boolean {
  return (agreed.flags2 & initFlag2.passthrough) !== 0
}

export function hasExpireOnly(agreed: Negotiated): boolean {
  return (agreed.flags2 & initFlag2.hasExpireOnly) !== 0
}

export function hasEpoch(agreed: Negotiated): boolean {
  return agreed.minor >= epochMinor
}

/** Bytes of struct fuse_setxattr_in. */
export function setxattrSize(agreed: Negotiated): number {
  return (agreed.flags & initFlag.setxattrExtended) === 0 ? 8 : 16
}

/** How long the kernel may keep entries and attributes, milliseconds. */
export function allowedLifeMs(agreed: Negotiated, entryTtlMs: number): number {
  return hasEpoch(agreed) ? entryTtlMs : Math.min(entryTtlMs, oldKernelLifeMs)
}
