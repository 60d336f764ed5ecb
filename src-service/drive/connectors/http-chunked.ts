import { CloudError } from '../../common/errors.ts'

/** Longest line with a size, and all trailers together, bytes. */
const longestLine = 1024
const longestTrailers = 16 * 1024
const carriageReturn = 0x0d
const lineFeed = 0x0a

/** Takes the chunked transfer coding away (RFC 9112, section 7.1). Extensions and trailers are read and dropped. */
export class ChunkedDecoder {
  #state: 'size' | 'data' | 'after-data' | 'trailers' | 'done' = 'size'
  #line = ''
  /** Of the chunk at hand, bytes. */
  #left = 0
  #trailers = 0

  get done(): boolean {
    return this.#state === 'done'
  }

  /**
   * @param give called with each piece of the body, which is a view into `bytes`
   * @returns bytes taken; fewer than there are only when the body has ended
   * @throws CloudError `garbage`
   */
  take(bytes: Buffer, give: (piece: Buffer) => void): number {
    let at = 0
    while (at < bytes.length && this.#state !== 'done') {
      if (this.#state === 'data') {
        const piece = bytes.subarray(at, at + this.#left)
        at += piece.length
        this.#left -= piece.length
        if (this.#left === 0) this.#state = 'after-data'
        give(piece)
      } else {
        at = this.#takeLine(bytes, at)
      }
    }
    return at
  }

  /** Returns where the next line begins. */
  #takeLine(bytes: Buffer, from: number): number {
    const end = bytes.indexOf(lineFeed, from)
    const stop = end < 0 ? bytes.length : end + 1
    this.#line += bytes.toString('latin1', from, stop)
    if (this.#line.length > longestLine) throw malformed()
    if (end < 0) return stop
    if (this.#line.charCodeAt(this.#line.length - 2) !== carriageReturn) throw malformed()
    const line = this.#line.slice(0, -2)
    this.#line = ''
    this.#lineEnds(line)
    return stop
  }

  #lineEnds(line: string): void {
    if (this.#state === 'after-data') {
      if (line !== '') throw malformed()
      this.#state = 'size'
    } else if (this.#state === 'size') {
      const match = /^([0-9a-f]{1,12})[ \t]*(?:;[\t\x20-\x7e]*)?$/i.exec(line)
      if (match === null) throw malformed()
      this.#left = Number.parseInt(match[1] ?? '', 16)
      this.#state = this.#left === 0 ? 'trailers' : 'data'
    } else {
      this.#trailers += line.length
      if (this.#trailers > longestTrailers) throw malformed()
      if (line === '') this.#state = 'done'
    }
  }
}

function malformed(): CloudError {
  return new CloudError('garbage', 'not HTTP: a chunk of the answer is malformed')
}
