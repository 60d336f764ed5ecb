import { createHash, randomInt } from 'node:crypto'
import { crc32 } from 'node:zlib'

const alphabet = '0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz'
const prefix = 'cmt_'
const secretLength = 30
const checkLength = 6

/** A new API token: `cmt_`, 30 random characters (178 bit) and a checksum of 6, so that a typo, or a find in a text, is known as one. */
export function newToken(): string {
  const secret = newCode(secretLength)
  return prefix + secret + checksum(secret)
}

/** True for what was made by `newToken` somewhere: says nothing of whether it is valid here. */
export function isToken(text: string): boolean {
  if (!/^cmt_[0-9A-Za-z]{36}$/.test(text)) return false
  const secret = text.slice(prefix.length, -checkLength)
  return checksum(secret) === text.slice(-checkLength)
}

/** A random text out of A-Z a-z 0-9; 22 characters hold 131 bit. */
export function newCode(length: number): string {
  return Array.from({ length }, () => alphabet.charAt(randomInt(alphabet.length))).join('')
}

/** What is stored of a random text. A slow hash would add nothing: it cannot be guessed. */
export function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex')
}

function checksum(secret: string): string {
  let rest = crc32(secret)
  let text = ''
  for (let at = 0; at < checkLength; at++) {
    text = alphabet.charAt(rest % alphabet.length) + text
    rest = Math.floor(rest / alphabet.length)
  }
  return text
}
