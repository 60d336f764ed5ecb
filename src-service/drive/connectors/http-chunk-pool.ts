/** Bytes that are read from a socket at once, at most. */
export const chunkSize = 256 * 1024
/** Idle chunks that are kept: 4 MiB. */
const keptAtMost = 16

/**
 * Memory that bodies arrive in, used again and again: fresh memory for each read of a socket would have the collector
 * walk through everything that lives for every 64 MiB that arrive.
 */
const idle: Buffer[] = []

export function takeChunk(): Buffer {
  return idle.pop() ?? Buffer.allocUnsafeSlow(chunkSize)
}

/** Nobody looks at it any more, and no socket writes into it. */
export function giveChunk(chunk: Buffer): void {
  if (chunk.length === chunkSize && idle.length < keptAtMost) idle.push(chunk)
}
