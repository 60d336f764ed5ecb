/** At most `limit` buffers of `size` bytes, made when first needed; who finds none waits its turn. */
export class BufferPool {
  readonly #size: number
  readonly #limit: number
  readonly #free: Buffer[] = []
  readonly #queue: ((buffer: Buffer) => void)[] = []
  #made = 0

  constructor(size: number, limit: number) {
    this.#size = size
    this.#limit = limit
  }

  /** Calls `use` with a buffer, at once or in order of arrival. Callers are bounded by the places of the request memory. */
  take(use: (buffer: Buffer) => void): void {
    const buffer = this.#free.pop() ?? this.#make()
    if (buffer === null) this.#queue.push(use)
    else use(buffer)
  }

  /** Gives a buffer back; only when nothing can write into it any more. */
  give(buffer: Buffer): void {
    const next = this.#queue.shift()
    if (next === undefined) this.#free.push(buffer)
    else next(buffer)
  }

  #make(): Buffer | null {
    if (this.#made === this.#limit) return null
    this.#made++
    return Buffer.alloc(this.#size)
  }
}
