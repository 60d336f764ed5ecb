/** Bytes of a list of parts, each with its length before it: no two lists give the same bytes. Numbers count as their decimal text. */
export function frame(parts: readonly (string | number | Uint8Array)[]): Buffer {
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = typeof part === 'object' ? part : Buffer.from(String(part), 'utf8')
      const length = Buffer.alloc(4)
      length.writeUInt32LE(bytes.length)
      return [length, bytes]
    }),
  )
}

/** The parts of `frame`; null if these are no such bytes. */
export function unframe(bytes: Buffer): Buffer[] | null {
  const parts: Buffer[] = []
  let at = 0
  while (at < bytes.length) {
    if (at + 4 > bytes.length) return null
    const end = at + 4 + bytes.readUInt32LE(at)
    if (end > bytes.length) return null
    parts.push(bytes.subarray(at + 4, end))
    at = end
  }
  return parts
}
