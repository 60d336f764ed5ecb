import { CloudError } from '../../common/errors.ts'
import type { AttributeChange, Caller } from '../vfs/filesystem.ts'
import { nameMax, requestHeader, setattrField } from './protocol.ts'

const twoTo32 = 0x1_0000_0000
const slash = 0x2f
const nanosecondsPerSecond = 1_000_000_000

function malformed(what: string): CloudError {
  return new CloudError('invalid', `malformed request: ${what}`)
}

/**
 * A window on one request in the shared memory; one object serves all requests, so its fields are valid only while a request
 * is being dispatched. Positions given to its methods count from the end of the header. Every read is checked against the
 * request's length; a wrong one throws `invalid`. Names and values are copies: they stay true after the place is reused.
 */
export class RequestReader {
  readonly memory: Buffer
  readonly #view: DataView
  #body = 0
  #end = 0

  offset = 0
  opcode = 0
  unique = 0
  node = 0

  constructor(memory: Buffer) {
    this.memory = memory
    this.#view = new DataView(memory.buffer, memory.byteOffset, memory.byteLength)
  }

  /**
   * Points at the request at `offset`.
   * @returns false if there is not even a header there: such a thing cannot be answered.
   */
  open(offset: number, length: number): boolean {
    if (length < requestHeader.size || offset + length > this.memory.length) return false
    const view = this.#view
    this.offset = offset
    this.opcode = view.getUint32(offset + requestHeader.opcode, true)
    this.unique = view.getUint32(offset + requestHeader.unique, true) + view.getUint32(offset + requestHeader.unique + 4, true) * twoTo32
    this.node = view.getUint32(offset + requestHeader.node, true) + view.getUint32(offset + requestHeader.node + 4, true) * twoTo32
    this.#body = offset + requestHeader.size
    const extensions = view.getUint16(offset + requestHeader.extensionWords, true) * 8
    const told = view.getUint32(offset + requestHeader.length, true)
    // A length that contradicts itself leaves an empty body: operations that need one refuse.
    this.#end = told === length ? Math.max(this.#body, offset + length - extensions) : this.#body
    return true
  }

  /** Bytes after the header. */
  get bodyLength(): number {
    return this.#end - this.#body
  }

  caller(): Caller {
    const at = this.offset
    return {
      uid: this.#view.getUint32(at + requestHeader.uid, true),
      gid: this.#view.getUint32(at + requestHeader.gid, true),
      pid: this.#view.getUint32(at + requestHeader.pid, true),
    }
  }

  u32(at: number): number {
    return this.#view.getUint32(this.#place(at, 4), true)
  }

  /** @throws invalid if the number is 2^53 or more. */
  u64(at: number): number {
    return this.#exact(this.#place(at, 8), 'invalid')
  }

  /** A file handle. @throws bad-handle for one we cannot have given. */
  handle(at: number): number {
    return this.#exact(this.#place(at, 8), 'bad-handle')
  }

  /** A position or length in a file, bytes. @throws too-large beyond 2^53. */
  position(at: number): number {
    return this.#exact(this.#place(at, 8), 'too-large')
  }

  /** Seconds, signed. */
  seconds(at: number): number {
    const place = this.#place(at, 8)
    const value = this.#view.getUint32(place, true) + this.#view.getInt32(place + 4, true) * twoTo32
    if (!Number.isSafeInteger(value)) throw malformed('time out of range')
    return value
  }

  /** The file or folder name that runs from `at` to the NUL at the end of the request. */
  name(at: number): Buffer {
    const start = this.#body + at
    return this.#component(start, this.#terminated(start))
  }

  /** Two names one after the other, as RENAME sends them. */
  names(at: number): readonly [Buffer, Buffer] {
    const start = this.#body + at
    const end = this.#terminated(start)
    const middle = this.memory.indexOf(0, start)
    return [this.#component(start, middle), this.#component(middle + 1, end)]
  }

  /** A name and the text after it, as SYMLINK sends them. */
  nameAndTarget(at: number): readonly [Buffer, Buffer] {
    const start = this.#body + at
    const end = this.#terminated(start)
    const middle = this.memory.indexOf(0, start)
    if (middle + 1 >= end) throw malformed('empty target')
    return [this.#component(start, middle), this.#copy(middle + 1, end)]
  }

  /** Name of an extended attribute (may contain '/') and the position after its NUL. */
  attributeName(at: number): { readonly name: Buffer; readonly next: number } {
    const start = this.#body + at
    const end = start <= this.#end ? this.memory.indexOf(0, start) : -1
    if (end < 0 || end >= this.#end || end === start) throw malformed('attribute name')
    if (end - start > nameMax) throw new CloudError('range', 'attribute name too long')
    return { name: this.#copy(start, end), next: end + 1 - this.#body }
  }

  /** A copy of `length` bytes. */
  bytes(at: number, length: number): Buffer {
    const start = this.#place(at, length)
    return this.#copy(start, start + length)
  }

  /** Where in `memory` the `length` bytes of a WRITE lie. */
  dataPlace(at: number, length: number): number {
    return this.#place(at, length)
  }

  /** What a SETATTR wants changed. */
  attributeChange(): AttributeChange {
    const valid = this.u32(0)
    const has = (field: number): boolean => (valid & field) !== 0
    return {
      ...(has(setattrField.mode) && { mode: this.u32(68) & 0o7777 }),
      ...(has(setattrField.uid) && { uid: this.u32(76) }),
      ...(has(setattrField.gid) && { gid: this.u32(80) }),
      ...(has(setattrField.size) && { size: this.position(16) }),
      ...(has(setattrField.atime) && { atime: has(setattrField.atimeNow) ? 'now' : this.#time(32, 56) }),
      ...(has(setattrField.mtime) && { mtime: has(setattrField.mtimeNow) ? 'now' : this.#time(40, 60) }),
      killPrivileges: has(setattrField.killPrivileges),
    }
  }

  #time(secondsAt: number, nanosecondsAt: number): { readonly sec: number; readonly nsec: number } {
    const nsec = this.u32(nanosecondsAt)
    if (nsec >= nanosecondsPerSecond) throw malformed('nanoseconds')
    return { sec: this.seconds(secondsAt), nsec }
  }

  #place(at: number, length: number): number {
    const start = this.#body + at
    if (start + length > this.#end) throw malformed('too short')
    return start
  }

  #exact(place: number, kind: 'invalid' | 'bad-handle' | 'too-large'): number {
    const high = this.#view.getUint32(place + 4, true)
    if (high >= 0x20_0000) throw new CloudError(kind, 'number out of range')
    return this.#view.getUint32(place, true) + high * twoTo32
  }

  /** End of the text that begins at `start`: the request's last byte, which must be NUL. */
  #terminated(start: number): number {
    if (start >= this.#end || this.memory[this.#end - 1] !== 0) throw malformed('text without end')
    return this.#end - 1
  }

  #component(start: number, end: number): Buffer {
    const length = end - start
    if (length <= 0) throw malformed('empty name')
    if (length > nameMax) throw new CloudError('name-too-long', 'name too long')
    const memory = this.memory
    const name = Buffer.allocUnsafe(length)
    for (let i = 0; i < length; i++) {
      const byte = memory[start + i] ?? 0
      if (byte === 0 || byte === slash) throw malformed('name')
      name[i] = byte
    }
    if (name[0] === 0x2e && (length === 1 || (length === 2 && name[1] === 0x2e))) throw malformed('name')
    return name
  }

  #copy(start: number, end: number): Buffer {
    const copy = Buffer.allocUnsafe(end - start)
    this.memory.copy(copy, 0, start, end)
    return copy
  }
}
