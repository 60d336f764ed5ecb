/** Names that the file system lets nobody give. */
const prefix = '.cloudmoor-swap-'

/** A name of our own that an object has while its place is needed by another. */
export function swapName(id: number, number: number): Buffer {
  return Buffer.from(`${prefix}${id}${number === 0 ? '' : `-${number}`}`)
}

export function isSwapName(name: Buffer): boolean {
  return name.toString('latin1').startsWith(prefix)
}
