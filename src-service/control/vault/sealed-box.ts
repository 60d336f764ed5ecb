import { createCipheriv, createDecipheriv, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { frame } from './canonical.ts'
import { notAsSaved } from './vault-errors.ts'

const format = 2
const cipherName = 'aes-256-gcm'
export const keyBytes = 32
const saltBytes = 32
const commitmentBytes = 32
const nonceBytes = 12
const tagBytes = 16
const headBytes = 1 + saltBytes + commitmentBytes

/** What is sealed, and where it belongs. It opens only with the same parts in the same order. */
export type Context = readonly (string | number | Uint8Array)[]

/**
 * Seals bytes with AES-256-GCM: `format | salt | commitment | ciphertext | tag`. Key and nonce are derived for this one
 * message from 256 random bits, so that a key may seal any number of them. The commitment fixes the key: GCM alone would
 * let someone make bytes that open under two keys.
 */
export function seal(key: Uint8Array, context: Context, plain: Uint8Array): Buffer {
  const salt = randomBytes(saltBytes)
  const used = derive(key, salt)
  const cipher = createCipheriv(cipherName, used.key, used.nonce, { authTagLength: tagBytes })
  cipher.setAAD(frame([format, ...context]))
  const sealed = Buffer.concat([Buffer.of(format), salt, used.commitment, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  used.key.fill(0)
  return sealed
}

/** The bytes, in memory of their own that the caller may wipe. Throws `damaged`, with one text for every reason. */
export function open(key: Uint8Array, context: Context, sealed: Uint8Array): Buffer {
  if (sealed.length < headBytes + tagBytes || sealed[0] !== format) throw notAsSaved()
  const used = derive(key, sealed.subarray(1, 1 + saltBytes))
  try {
    if (!timingSafeEqual(used.commitment, sealed.subarray(1 + saltBytes, headBytes))) throw notAsSaved()
    const decipher = createDecipheriv(cipherName, used.key, used.nonce, { authTagLength: tagBytes })
    decipher.setAAD(frame([format, ...context]))
    decipher.setAuthTag(sealed.subarray(-tagBytes))
    const begun = decipher.update(sealed.subarray(headBytes, -tagBytes))
    return checked(begun, () => decipher.final())
  } finally {
    used.key.fill(0)
  }
}

function checked(plain: Buffer, check: () => unknown): Buffer {
  try {
    check()
    return plain
  } catch (caught) {
    plain.fill(0)
    throw notAsSaved(caught)
  }
}

function derive(key: Uint8Array, salt: Uint8Array) {
  const bytes = Buffer.from(hkdfSync('sha256', key, salt, 'cloudmoor vault: message', keyBytes + nonceBytes + commitmentBytes))
  return {
    key: bytes.subarray(0, keyBytes),
    nonce: bytes.subarray(keyBytes, keyBytes + nonceBytes),
    commitment: bytes.subarray(keyBytes + nonceBytes),
  }
}

/** A key for one use, from another. */
export function deriveKey(key: Uint8Array, use: Context): Buffer {
  return Buffer.from(hkdfSync('sha256', key, Buffer.alloc(0), frame(['cloudmoor vault', ...use]), keyBytes))
}
