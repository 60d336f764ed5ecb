import { constants, openSync, writeSync } from 'node:fs'

/** Makes a file for reading and writing, on the calling thread; its descriptor, or -1. For `PromptDisk` alone. */
export function makeNow(path: string): number {
  return orLess(() => openSync(path, constants.O_RDWR | constants.O_CREAT, 0o600))
}

/** Writes on the calling thread; the bytes written, or -1. For `PromptDisk` alone. */
export function writeNow(fd: number, data: Uint8Array, offset: number, length: number, position: number): number {
  return orLess(() => writeSync(fd, data, offset, length, position))
}

/** Whoever asks for something at once asks again in the usual way, and is told there what is wrong. */
function orLess(work: () => number): number {
  try {
    return work()
  } catch {
    return -1
  }
}
