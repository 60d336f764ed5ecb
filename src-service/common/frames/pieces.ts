import { CloudError } from '../errors.ts'

/**
 * A datagram is at most 192 KiB. A message that is longer travels in pieces: each begins with `+` (more follows) or
 * `.` (the last). A whole message is JSON and begins with `{`.
 */
const pieceSize = 128 * 1024
/** Nobody may make the other side collect more than this. */
export const messageLimit = 8 * 1024 * 1024

const more = 0x2b
const last = 0x2e

export function toPieces(message: unknown): Buffer[] {
  const bytes = Buffer.from(JSON.stringify(message))
  if (bytes.length > messageLimit) throw new CloudError('too-large', `a message of ${bytes.length} bytes between service and worker`)
  if (bytes.length <= pieceSize) return [bytes]
  const pieces: Buffer[] = []
  for (let start = 0; start < bytes.length; start += pieceSize) {
    const end = Math.min(start + pieceSize, bytes.length)
    pieces.push(Buffer.concat([Buffer.from([end === bytes.length ? last : more]), bytes.subarray(start, end)]))
  }
  return pieces
}

/** Puts the pieces of one direction of a channel together again. */
export class PieceJoiner {
  #pieces: Buffer[] = []
  #size = 0

  /** The message, or undefined while pieces are missing. Throws `garbage` for what is not ours. */
  take(datagram: Buffer): unknown {
    const mark = datagram[0]
    if (mark !== more && mark !== last) return parse(datagram)
    this.#size += datagram.length
    if (this.#size > messageLimit + pieceSize) throw new CloudError('garbage', 'an endless message between service and worker')
    // The datagram's memory may be reused by the channel once we return.
    this.#pieces.push(Buffer.from(datagram.subarray(1)))
    if (mark === more) return undefined
    const bytes = Buffer.concat(this.#pieces)
    this.#pieces = []
    this.#size = 0
    return parse(bytes)
  }
}

function parse(bytes: Buffer): unknown {
  try {
    return JSON.parse(bytes.toString('utf8'))
  } catch (caught) {
    throw new CloudError('garbage', 'a message between service and worker that is not JSON', { cause: caught })
  }
}
