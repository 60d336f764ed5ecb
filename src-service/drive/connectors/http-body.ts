import { CloudError } from '../../common/errors.ts'
import { chunkSize, giveChunk, takeChunk } from './http-chunk-pool.ts'

/** Bytes held for a slow reader before the socket is paused. */
const highWater = 512 * 1024
/** Less room than this is not worth a read of the socket, unless it is all that is wanted. */
const leastRoom = 32 * 1024

/** What a body needs of the connection that it comes from. */
export interface BodySource {
  resume(): void
  /** The rest is not wanted: nothing more may be put into the body. */
  abandon(error: CloudError): void
}

interface Piece {
  readonly memory: Buffer
  /** The bytes before this were given away, those up to `filled` have arrived. */
  taken: number
  filled: number
}

/** The body of an answer. One reader. The connection puts bytes in, the reader takes them out. */
export class Body implements AsyncIterable<Buffer> {
  readonly #source: BodySource
  readonly #pieces: Piece[] = []
  #held = 0
  #ended = false
  #error: CloudError | null = null
  #wake: (() => void) | null = null

  constructor(source: BodySource) {
    this.#source = source
  }

  /** The bytes of a chunk are the reader's until it asks for the next one. */
  async *[Symbol.asyncIterator](): AsyncIterator<Buffer> {
    let finished = false
    try {
      for (;;) {
        const chunk = await this.#next()
        if (chunk === null) break
        yield chunk
      }
      finished = true
    } finally {
      if (!finished) this.cancel()
    }
  }

  /** The whole body. @throws CloudError `garbage` beyond `limit` bytes */
  async bytes(limit: number): Promise<Buffer> {
    const chunks: Buffer[] = []
    let length = 0
    for await (const chunk of this) {
      length += chunk.length
      if (length > limit) throw new CloudError('garbage', `an answer of more than ${limit} bytes`)
      chunks.push(Buffer.from(chunk))
    }
    return Buffer.concat(chunks)
  }

  async text(limit: number): Promise<string> {
    return (await this.bytes(limit)).toString()
  }

  /** Reads a short rest away, so that the connection can be used again. */
  async drain(): Promise<void> {
    await this.bytes(2 ** 16).catch(() => undefined)
  }

  cancel(): void {
    if (!this.#ended) this.#source.abandon(new CloudError('cancelled', 'the rest of the answer is not wanted'))
  }

  // ---- the connection's side ----

  /** The reader is so far behind that no more should be read. */
  get full(): boolean {
    return this.#held > highWater
  }

  /** Where the next bytes go, at most `wanted`; `filled` says how many came. */
  room(wanted: number): Buffer {
    const last = this.#pieces.at(-1)
    const left = last === undefined ? 0 : last.memory.length - last.filled
    const piece = last !== undefined && left >= Math.min(wanted, leastRoom) ? last : this.#begin(wanted)
    return piece.memory.subarray(piece.filled, Math.min(piece.memory.length, piece.filled + wanted))
  }

  filled(bytes: number): void {
    const last = this.#pieces.at(-1)
    if (last !== undefined) last.filled += bytes
    this.#held += bytes
    this.#wake?.()
  }

  put(bytes: Buffer): void {
    for (let at = 0; at < bytes.length; ) {
      const room = this.room(bytes.length - at)
      const some = bytes.copy(room, 0, at)
      this.filled(some)
      at += some
    }
  }

  end(): void {
    this.#ended = true
    this.#wake?.()
  }

  /** Bytes that were not taken yet are of no use any more. */
  fail(error: CloudError): void {
    if (this.#ended || this.#error !== null) return
    this.#error = error
    // Not to be used again: the reader may still look at one of them.
    this.#pieces.length = 0
    this.#wake?.()
  }

  #begin(wanted: number): Piece {
    const memory = wanted >= chunkSize ? takeChunk() : Buffer.allocUnsafe(wanted)
    const piece = { memory, taken: 0, filled: 0 }
    this.#pieces.push(piece)
    return piece
  }

  /** The next chunk, null at the end. */
  async #next(): Promise<Buffer | null> {
    for (;;) {
      const chunk = this.#take()
      if (chunk !== null) {
        this.#held -= chunk.length
        if (!this.#ended && this.#held <= highWater / 2) this.#source.resume()
        return chunk
      }
      if (this.#error !== null) throw this.#error
      if (this.#ended) return null
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = null
    }
  }

  #take(): Buffer | null {
    for (;;) {
      const [first] = this.#pieces
      if (first === undefined) return null
      if (first.filled > first.taken) {
        const chunk = first.memory.subarray(first.taken, first.filled)
        first.taken = first.filled
        return chunk
      }
      // The last one still gets bytes, while any come.
      if (this.#pieces.length === 1 && !this.#ended) return null
      this.#pieces.shift()
      giveChunk(first.memory)
    }
  }
}
