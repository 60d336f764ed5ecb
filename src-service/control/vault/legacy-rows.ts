import { createDecipheriv } from 'node:crypto'
import type { SecretRecord } from '../store/records.ts'
import { frame } from './canonical.ts'
import { secretOf } from './secret-rows.ts'
import type { Secret } from '../../common/secret.ts'
import { notAsSaved } from './vault-errors.ts'

const format = 1
const nonceBytes = 12
const tagBytes = 16

/** A value out of a row that is older than the vault: sealed under the key file itself. Throws `damaged`. */
export function openLegacy(key: Buffer, row: SecretRecord): Secret {
  const sealed = Buffer.from(row.sealed)
  if (sealed.length < 1 + nonceBytes + tagBytes || sealed[0] !== format) throw notAsSaved()
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + nonceBytes), { authTagLength: tagBytes })
  decipher.setAAD(frame(['cloudmoor secret', format, row.id, row.owner, row.name, row.version]))
  decipher.setAuthTag(sealed.subarray(-tagBytes))
  try {
    return secretOf(Buffer.concat([decipher.update(sealed.subarray(1 + nonceBytes, -tagBytes)), decipher.final()]))
  } catch (caught) {
    throw notAsSaved(caught)
  }
}
