import { createHash, randomBytes } from 'node:crypto'
import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'

/** Without the letters that look like others: l and i are 1, o is 0. */
const alphabet = '0123456789abcdefghjkmnpqrstvwxyz'
const letters = 32
const checkLetters = 4
const groupLetters = 4

/** A key to write down: 160 random bits and a checksum, `xxxx-xxxx-…` in nine groups. */
export function newRecoveryKey(): Secret {
  let text = ''
  for (const byte of randomBytes(letters)) text += alphabet.charAt(byte & 31)
  const whole = text + checksum(text)
  return new Secret(whole.match(new RegExp(`.{${groupLetters}}`, 'g'))?.join('-') ?? whole)
}

/** Bytes for a slot. Forgives case, spaces, dashes and look-alikes; throws `invalid` at a slip of the pen. */
export function recoverySlotKey(written: Secret): Buffer {
  const plain = written.reveal().toLowerCase().replace(/[\s-]/g, '').replace(/[il]/g, '1').replace(/o/g, '0')
  const text = plain.slice(0, letters)
  if (
    plain.length !== letters + checkLetters ||
    Array.from(plain).some((letter) => !alphabet.includes(letter)) ||
    plain.slice(letters) !== checksum(text)
  ) {
    throw new CloudError('invalid', 'this is no recovery key: a letter is missing or wrong', {
      hint: `It has ${(letters + checkLetters) / groupLetters} groups of ${groupLetters} letters and digits.`,
    })
  }
  return Buffer.from(text, 'latin1')
}

function checksum(text: string): string {
  const digest = createHash('sha256').update(`cloudmoor recovery key ${text}`).digest()
  return [...digest.subarray(0, checkLetters)].map((byte) => alphabet.charAt(byte & 31)).join('')
}
