import { createHash, randomBytes } from 'node:crypto'
import { Secret } from '../../common/secret.ts'
import type { SecretMetadata, SecretRecord } from '../store/records.ts'
import { frame } from './canonical.ts'
import { keyBytes, open, seal } from './sealed-box.ts'
import type { Context } from './sealed-box.ts'

/** Seals a value under a key of its own, and that key under the owner's. */
export function sealSecret(ownerKey: Buffer, vaultId: string, place: SecretMetadata, value: Buffer): SecretRecord {
  const dataKey = randomBytes(keyBytes)
  try {
    return {
      ...place,
      dataKey: seal(ownerKey, contextOf('data key', vaultId, place), dataKey),
      sealed: seal(dataKey, contextOf('secret', vaultId, place), value),
    }
  } finally {
    dataKey.fill(0)
  }
}

/** The value's bytes, for the caller to wipe. Throws `damaged`. */
export function openSecret(ownerKey: Buffer, vaultId: string, row: SecretRecord): Buffer {
  const dataKey = open(ownerKey, contextOf('data key', vaultId, row), row.dataKey)
  try {
    return open(dataKey, contextOf('secret', vaultId, row), row.sealed)
  } finally {
    dataKey.fill(0)
  }
}

function contextOf(what: string, vaultId: string, { id, owner, name, version, createdAt }: SecretMetadata): Context {
  return [what, vaultId, id, owner, name, version, createdAt]
}

/** Says exactly which row it is, as it is. */
export function digestOfSecret({ id, owner, name, version, createdAt, dataKey, sealed }: SecretRecord): Buffer {
  return createHash('sha256')
    .update(frame(['secret', id, owner, name, version, createdAt, dataKey, sealed]))
    .digest()
}

/** Bytes of a value; wipe them after use. */
export function bytesOf(value: Secret): Buffer {
  const text = value.reveal()
  const bytes = Buffer.allocUnsafeSlow(Buffer.byteLength(text))
  bytes.write(text)
  return bytes
}

/** Takes the bytes over: they are wiped. */
export function secretOf(bytes: Buffer): Secret {
  const secret = new Secret(bytes.toString('utf8'))
  bytes.fill(0)
  return secret
}
