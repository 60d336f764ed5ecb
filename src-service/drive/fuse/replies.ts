import { CloudError } from '../../common/errors.ts'
import type { Attributes, FilesystemStats, Opened } from '../vfs/filesystem.ts'
import { nameMax, openFlag, sizes, targetMax } from './protocol.ts'

const twoTo32 = 0x1_0000_0000
/** Told as st_blksize: programs that buffer by it write in pieces of this size. The cache keeps blocks of it. */
const blockSize = 64 * 1024
const statfsBlock = 4096

function setU64(view: DataView, at: number, value: number): void {
  view.setUint32(at, value >>> 0, true)
  view.setUint32(at + 4, Math.floor(value / twoTo32), true)
}

/** Negative values (times before 1970) come out in two's complement. */
const setI64 = setU64

/** struct fuse_attr. */
function writeAttributes(view: DataView, at: number, a: Attributes): void {
  setU64(view, at, a.ino)
  setU64(view, at + 8, a.size)
  setU64(view, at + 16, a.blocks)
  setI64(view, at + 24, a.atimeSec)
  setI64(view, at + 32, a.mtimeSec)
  setI64(view, at + 40, a.ctimeSec)
  view.setUint32(at + 48, a.atimeNsec, true)
  view.setUint32(at + 52, a.mtimeNsec, true)
  view.setUint32(at + 56, a.ctimeNsec, true)
  view.setUint32(at + 60, a.mode, true)
  view.setUint32(at + 64, a.nlink, true)
  view.setUint32(at + 68, a.uid, true)
  view.setUint32(at + 72, a.gid, true)
  view.setUint32(at + 76, a.rdev, true)
  view.setUint32(at + 80, blockSize, true)
  view.setUint32(at + 84, 0, true)
}

/** How long the kernel may keep what an answer says. */
export interface Lifetime {
  readonly seconds: number
  readonly nanoseconds: number
}

export function lifetimeOf(milliseconds: number): Lifetime {
  const whole = Math.max(0, Math.floor(milliseconds))
  return { seconds: Math.floor(whole / 1000), nanoseconds: (whole % 1000) * 1_000_000 }
}

/** struct fuse_entry_out; null is a name that is surely absent (node 0, remembered like any other). */
export function writeEntry(view: DataView, at: number, attributes: Attributes | null, life: Lifetime): void {
  setU64(view, at, attributes?.id ?? 0)
  setU64(view, at + 8, 0) // generation: node ids are never reused
  setU64(view, at + 16, life.seconds)
  setU64(view, at + 24, life.seconds)
  view.setUint32(at + 32, life.nanoseconds, true)
  view.setUint32(at + 36, life.nanoseconds, true)
  if (attributes === null) for (let i = 40; i < sizes.entryOut; i += 4) view.setUint32(at + i, 0, true)
  else writeAttributes(view, at + 40, attributes)
}

/**
 * Writes the payloads of answers, one at a time, into one buffer. Each method gives the payload's length.
 * An answer is sent before the next one is begun, so nothing is ever waiting in the buffer.
 */
export class ReplyWriter {
  readonly bytes: Buffer
  readonly #view: DataView
  life: Lifetime
  /** True where FUSE_PASSTHROUGH was negotiated. */
  passthrough = false

  /** @param capacity bytes of the largest payload (max_read). */
  constructor(capacity: number, life: Lifetime) {
    this.bytes = Buffer.alloc(Math.max(capacity, 4096))
    this.#view = new DataView(this.bytes.buffer, this.bytes.byteOffset, this.bytes.byteLength)
    this.life = life
  }

  nothing(): number {
    return 0
  }

  entry(attributes: Attributes | null): number {
    writeEntry(this.#view, 0, attributes, this.life)
    return sizes.entryOut
  }

  attributes(attributes: Attributes): number {
    setU64(this.#view, 0, this.life.seconds)
    this.#view.setUint32(8, this.life.nanoseconds, true)
    this.#view.setUint32(12, 0, true)
    writeAttributes(this.#view, 16, attributes)
    return sizes.attributesOut
  }

  opened(opened: Opened): number {
    this.#openOut(0, opened)
    return sizes.openOut
  }

  created(created: { readonly attributes: Attributes; readonly opened: Opened }): number {
    this.entry(created.attributes)
    this.#openOut(sizes.entryOut, created.opened)
    return sizes.entryOut + sizes.openOut
  }

  /**
   * A folder's handle. FOPEN_CACHE_DIR is not given: a listing in the page cache would outlive changes made at the provider,
   * and repeated listings would no longer bring the attributes with them.
   */
  openedFolder(fh: number): number {
    setU64(this.#view, 0, fh)
    setU64(this.#view, 8, 0)
    return sizes.openOut
  }

  /** Answer of WRITE and COPY_FILE_RANGE: bytes done. */
  count(bytes: number): number {
    this.#view.setUint32(0, bytes, true)
    this.#view.setUint32(4, 0, true)
    return 8
  }

  /** Answer of LSEEK and COPY_FILE_RANGE_64. */
  position(value: number): number {
    setU64(this.#view, 0, value)
    return 8
  }

  target(target: Buffer): number {
    if (target.length > targetMax) throw new CloudError('name-too-long', 'symlink target too long')
    return target.copy(this.bytes)
  }

  /** Answer of GETXATTR and LISTXATTR. @param room bytes the caller has; 0 asks for the size alone. */
  attributeValue(value: Buffer, room: number): number {
    if (room === 0) return this.count(value.length)
    if (value.length > room || value.length > this.bytes.length) throw new CloudError('range', 'buffer too small')
    return value.copy(this.bytes)
  }

  statistics(stats: FilesystemStats): number {
    const view = this.#view
    const free = Math.floor(stats.free / statfsBlock)
    setU64(view, 0, Math.floor(stats.total / statfsBlock))
    setU64(view, 8, free)
    setU64(view, 16, free)
    setU64(view, 24, stats.files)
    setU64(view, 32, stats.freeFiles)
    view.setUint32(40, statfsBlock, true)
    view.setUint32(44, nameMax, true)
    view.setUint32(48, statfsBlock, true)
    for (let at = 52; at < sizes.statfsOut; at += 4) view.setUint32(at, 0, true)
    return sizes.statfsOut
  }

  #openOut(at: number, { fh, keepCache, backingId, noFlush }: Opened): void {
    const passed = backingId > 0 && this.passthrough
    // Beside PASSTHROUGH the kernel refuses KEEP_CACHE.
    const flags = (noFlush ? openFlag.noFlush : 0) | (passed ? openFlag.passthrough : keepCache ? openFlag.keepCache : 0)
    setU64(this.#view, at, fh)
    this.#view.setUint32(at + 8, flags, true)
    this.#view.setInt32(at + 12, passed ? backingId : 0, true)
  }
}
