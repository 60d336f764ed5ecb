/** Longest name that Linux programs can handle, bytes. */
const nameMax = 255
/** A longer "extension" is part of the name. */
const longestExtension = 20

/** `name` with ` (word)` before its extension, cut so that it has at most `maxBytes` bytes and stays valid UTF-8. */
export function nameWithSuffix(name: Buffer, word: string, maxBytes: number): Buffer {
  const dot = name.lastIndexOf('.')
  const split = dot > 0 && name.length - dot <= longestExtension ? dot : name.length
  const suffix = Buffer.from(` (${word})`)
  const extension = name.subarray(split)
  const room = Math.max(1, Math.min(nameMax, maxBytes) - suffix.length - extension.length)
  return Buffer.concat([cutAtCharacter(name.subarray(0, split), room), suffix, extension])
}

/** The first of `name (word)`, `name (word 2)` … that is free. */
export function freeName(name: Buffer, word: string, maxBytes: number, isTaken: (candidate: Buffer) => boolean): Buffer {
  for (let number = 1; ; number++) {
    const candidate = nameWithSuffix(name, number === 1 ? word : `${word} ${number}`, maxBytes)
    if (!isTaken(candidate)) return candidate
  }
}

function cutAtCharacter(text: Buffer, bytes: number): Buffer {
  if (text.length <= bytes) return text
  let end = bytes
  // 10xxxxxx continues a character.
  while (end > 0 && end > bytes - 4 && ((text[end] ?? 0) & 0xc0) === 0x80) end--
  return text.subarray(0, end === 0 ? bytes : end)
}
