/** Unit of presence and of accounting, bytes. Part of the format of the blobs. */
export const blockSize = 64 * 1024

/** Blocks that `bytes` bytes reach into. */
export function blocksOf(bytes: number): number {
  return Math.ceil(bytes / blockSize)
}

/** A set of blocks as a bitmap that grows by itself and knows how many it holds. */
export class BlockMap {
  #bits: Uint8Array = new Uint8Array(0)
  #count = 0

  /** Every block below `blocks`. */
  static full(blocks: number): BlockMap {
    const map = new BlockMap()
    map.addRange(0, blocks)
    return map
  }

  /** What `encode` gave; bits at and above `blocks` are dropped. */
  static decode(bits: Uint8Array, blocks: number): BlockMap {
    const map = new BlockMap()
    map.#bits = Uint8Array.from(bits)
    map.#count = map.#bits.reduce((sum, byte) => sum + ones(byte), 0)
    map.truncate(blocks)
    return map
  }

  get count(): number {
    return this.#count
  }

  has(block: number): boolean {
    return ((this.#bits[block >>> 3] ?? 0) & (1 << (block & 7))) !== 0
  }

  /** True if it was not there before. */
  add(block: number): boolean {
    const at = block >>> 3
    const bit = 1 << (block & 7)
    if (at >= this.#bits.length) this.#grow(at + 1)
    const byte = this.#bits[at] ?? 0
    if ((byte & bit) !== 0) return false
    this.#bits[at] = byte | bit
    this.#count += 1
    return true
  }

  addRange(start: number, end: number): void {
    for (let block = start; block < end; block += 1) {
      if ((block & 7) !== 0 || block + 8 > end) {
        this.add(block)
        continue
      }
      const at = block >>> 3
      if (at >= this.#bits.length) this.#grow(Math.ceil(end / 8))
      this.#count += 8 - ones(this.#bits[at] ?? 0)
      this.#bits[at] = 0xff
      block += 7
    }
  }

  delete(block: number): boolean {
    if (!this.has(block)) return false
    const at = block >>> 3
    this.#bits[at] = (this.#bits[at] ?? 0) & ~(1 << (block & 7))
    this.#count -= 1
    return true
  }

  /** Drops every block at and above `blocks`. */
  truncate(blocks: number): void {
    const bytes = Math.ceil(blocks / 8)
    for (let at = bytes; at < this.#bits.length; at += 1) this.#count -= ones(this.#bits[at] ?? 0)
    if (bytes < this.#bits.length) this.#bits = this.#bits.slice(0, bytes)
    if ((blocks & 7) !== 0) for (let block = blocks; block < bytes * 8; block += 1) this.delete(block)
  }

  /** Drops every block that `other` does not have. */
  keepOnly(other: BlockMap): void {
    for (let at = 0; at < this.#bits.length; at += 1) {
      const byte = this.#bits[at] ?? 0
      const kept = byte & (other.#bits[at] ?? 0)
      this.#count -= ones(byte) - ones(kept)
      this.#bits[at] = kept
    }
  }

  /** First block in [start, end) that is not in the set; -1 if all are. */
  firstMissing(start: number, end: number): number {
    for (let block = start; block < end; block += 1) {
      if ((block & 7) === 0 && this.#bits[block >>> 3] === 0xff) {
        block += 7
        continue
      }
      if (!this.has(block)) return block
    }
    return -1
  }

  clone(): BlockMap {
    const map = new BlockMap()
    map.#bits = this.#bits.slice()
    map.#count = this.#count
    return map
  }

  /** Bytes for the database: bit n of byte n / 8. */
  encode(): Buffer {
    return Buffer.from(this.#bits)
  }

  #grow(bytes: number): void {
    const bits = new Uint8Array(Math.max(bytes, this.#bits.length * 2))
    bits.set(this.#bits)
    this.#bits = bits
  }
}

function ones(byte: number): number {
  let left = byte
  let count = 0
  while (left !== 0) {
    left &= left - 1
    count += 1
  }
  return count
}
