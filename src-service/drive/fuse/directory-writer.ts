import type { Attributes } from '../vfs/filesystem.ts'
import { sizes } from './protocol.ts'
import { writeEntry } from './replies.ts'
import type { Lifetime } from './replies.ts'

const dot = 0x2e

function isDots(name: Buffer): boolean {
  return name[0] === dot && (name.length === 1 || (name.length === 2 && name[1] === dot))
}

/** Fills the answer of one READDIR or READDIRPLUS. It has a buffer of its own, because entries may come after waits. */
export class DirectoryWriter {
  readonly buffer: Buffer
  readonly #view: DataView
  readonly #room: number
  readonly #plus: boolean
  readonly #life: Lifetime
  readonly #request: { readonly open: boolean }
  /** Bytes written. */
  length = 0

  /**
   * @param room bytes that the caller has.
   * @param request entries that come after it was closed are refused.
   */
  constructor(buffer: Buffer, room: number, plus: boolean, life: Lifetime, request: { readonly open: boolean }) {
    this.buffer = buffer
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
    this.#room = Math.min(room, buffer.length)
    this.#plus = plus
    this.#life = life
    this.#request = request
  }

  readonly emit = (name: Buffer, nextOffset: number, attributes: Attributes): boolean => {
    const before = this.#plus ? sizes.entryOut : 0
    const size = before + sizes.directoryEntry + name.length
    const padded = (size + 7) & ~7
    if (!this.#request.open || this.length + padded > this.#room) return false
    const at = this.length + before
    // The kernel learns nothing from '.' and '..': node 0 tells it so.
    if (this.#plus) writeEntry(this.#view, this.length, isDots(name) ? null : attributes, this.#life)
    const view = this.#view
    view.setUint32(at, attributes.ino >>> 0, true)
    view.setUint32(at + 4, Math.floor(attributes.ino / 0x1_0000_0000), true)
    view.setUint32(at + 8, nextOffset >>> 0, true)
    view.setUint32(at + 12, Math.floor(nextOffset / 0x1_0000_0000), true)
    view.setUint32(at + 16, name.length, true)
    view.setUint32(at + 20, (attributes.mode >>> 12) & 0xf, true)
    name.copy(this.buffer, at + sizes.directoryEntry)
    this.buffer.fill(0, this.length + size, this.length + padded)
    this.length += padded
    return true
  }
}
