/** Byte ranges [start, end), sorted, disjoint, merged where they touch. */
export class Extents {
  /** start0, end0, start1, end1 … strictly growing. */
  #edges: number[] = []

  static decode(bytes: Uint8Array): Extents {
    const extents = new Extents()
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
    for (let at = 0; at + 16 <= view.byteLength; at += 16) {
      extents.add(Number(view.getBigUint64(at, true)), Number(view.getBigUint64(at + 8, true)))
    }
    return extents
  }

  /** Pairs of u64 LE. */
  encode(): Buffer {
    const bytes = Buffer.alloc(this.#edges.length * 8)
    this.#edges.forEach((edge, index) => {
      bytes.writeUInt32LE(edge % 2 ** 32, index * 8)
      bytes.writeUInt32LE(Math.floor(edge / 2 ** 32), index * 8 + 4)
    })
    return bytes
  }

  /** Number of ranges. */
  get count(): number {
    return this.#edges.length / 2
  }

  add(start: number, end: number): void {
    if (end <= start) return
    const from = this.#firstEdge(start)
    const to = this.#firstEdgeAbove(end)
    const edges: number[] = []
    if (from % 2 === 0) edges.push(start)
    if (to % 2 === 0) edges.push(end)
    this.#edges.splice(from, to - from, ...edges)
  }

  remove(start: number, end: number): void {
    if (end <= start) return
    const from = this.#firstEdge(start)
    const to = this.#firstEdgeAbove(end)
    const edges: number[] = []
    if (from % 2 === 1) edges.push(start)
    if (to % 2 === 1) edges.push(end)
    this.#edges.splice(from, to - from, ...edges)
  }

  covers(start: number, end: number): boolean {
    if (end <= start) return true
    const above = this.#firstEdgeAbove(start)
    return above % 2 === 1 && (this.#edges[above] ?? 0) >= end
  }

  overlaps(start: number, end: number): boolean {
    if (end <= start) return false
    const above = this.#firstEdgeAbove(start)
    return above % 2 === 1 || (this.#edges[above] ?? Infinity) < end
  }

  /** Ranges of [start, end) that are not in the set. */
  gaps(start: number, end: number): [number, number][] {
    const gaps: [number, number][] = []
    let at = start
    for (let index = this.#firstEdgeAbove(start) & ~1; index < this.#edges.length && at < end; index += 2) {
      const from = this.#edges[index] ?? end
      const to = this.#edges[index + 1] ?? end
      if (from > at) gaps.push([at, Math.min(from, end)])
      at = Math.max(at, to)
    }
    if (at < end) gaps.push([at, end])
    return gaps
  }

  /** Every range, in order. */
  *[Symbol.iterator](): IterableIterator<[number, number]> {
    for (let index = 0; index < this.#edges.length; index += 2) yield [this.#edges[index] ?? 0, this.#edges[index + 1] ?? 0]
  }

  /** Index of the first edge >= position. */
  #firstEdge(position: number): number {
    let low = 0
    let high = this.#edges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#edges[middle] ?? 0) < position) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Index of the first edge > position. */
  #firstEdgeAbove(position: number): number {
    let low = 0
    let high = this.#edges.length
    while (low < high) {
      const middle = (low + high) >>> 1
      if ((this.#edges[middle] ?? 0) <= position) low = middle + 1
      else high = middle
    }
    return low
  }
}
