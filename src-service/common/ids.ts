import { randomBytes } from 'node:crypto'

const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'

/**
 * A random id in lower-case base 32, fit for file names. 16 characters hold 80 bits; short ones (worker sockets,
 * whose whole path must stay below 108 bytes) are unique only among a handful.
 */
export function newId(length = 16): string {
  let id = ''
  for (const byte of randomBytes(length)) id += alphabet.charAt(byte & 31)
  return id
}
