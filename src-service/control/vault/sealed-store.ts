import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto'
import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import { Secret } from '../../common/secret.ts'
import { createKeyFile, readKeyFile } from './key-file.ts'
import type { SecretStore } from './secret-store.ts'

/** Where sealed secrets lie: the store's table of secrets fits. */
export interface SealedRows {
  insert(row: SealedRow): Promise<void>
  get(id: string): Promise<SealedRow>
  remove(ids: readonly string[]): Promise<void>
  list(): Promise<readonly Omit<SealedRow, 'sealed'>[]>
}

export interface SealedRow {
  readonly id: string
  readonly owner: string
  readonly name: string
  readonly version: number
  readonly sealed: Uint8Array
  readonly createdAt: number
}

const format = 1
const nonceBytes = 12
const tagBytes = 16

/**
 * Secrets sealed with AES-256-GCM under the key in a 0600 file, made with the first secret. Protects copies of the
 * database, not against whoever can read the key file. A row that was changed or put in another's place does not open.
 */
export function createSealedStore(rows: SealedRows, keyFile: string, clock: Clock): SecretStore {
  let key: Promise<Buffer> | null = null

  /** A failure is not kept: the file may be put right while the service runs. */
  function theKey(): Promise<Buffer> {
    key ??= loadKey(rows, keyFile).catch((caught: unknown) => {
      key = null
      throw caught
    })
    return key
  }

  return {
    put: async (owner, name, value) => {
      const usedKey = await theKey()
      const versions = (await rows.list()).filter((row) => row.owner === owner && row.name === name).map((row) => row.version)
      const place = { id: newId(), owner, name, version: Math.max(0, ...versions) + 1 }
      await rows.insert({ ...place, sealed: seal(usedKey, place, value), createdAt: clock.now() })
      return place.id
    },
    get: async (reference) => unseal(await theKey(), await rows.get(reference)),
    remove: (references) => rows.remove(references),
    list: async () => (await rows.list()).map(({ id, owner, name, createdAt }) => ({ id, owner, name, createdAt })),
  }
}

async function loadKey(rows: SealedRows, path: string): Promise<Buffer> {
  const found = await readKeyFile(path)
  if (found !== null) return found
  if ((await rows.list()).length === 0) return createKeyFile(path)
  throw new CloudError('damaged', `the key file ${path} is gone, and with it the stored secrets`, {
    hint: 'Put it back from a backup. If it is lost, remove the accounts and create them again.',
  })
}

type Place = Pick<SealedRow, 'id' | 'owner' | 'name' | 'version'>

function seal(key: Buffer, place: Place, value: Secret): Buffer {
  const nonce = randomBytes(nonceBytes)
  const cipher = createCipheriv('aes-256-gcm', key, nonce, { authTagLength: tagBytes })
  cipher.setAAD(describePlace(place))
  const plain = Buffer.from(value.reveal(), 'utf8')
  const sealed = Buffer.concat([Buffer.of(format), nonce, cipher.update(plain), cipher.final(), cipher.getAuthTag()])
  plain.fill(0)
  return sealed
}

function unseal(key: Buffer, row: SealedRow): Secret {
  const sealed = Buffer.from(row.sealed)
  if (sealed.length < 1 + nonceBytes + tagBytes || sealed[0] !== format) throw broken(row)
  const decipher = createDecipheriv('aes-256-gcm', key, sealed.subarray(1, 1 + nonceBytes), { authTagLength: tagBytes })
  decipher.setAAD(describePlace(row))
  decipher.setAuthTag(sealed.subarray(-tagBytes))
  try {
    const plain = Buffer.concat([decipher.update(sealed.subarray(1 + nonceBytes, -tagBytes)), decipher.final()])
    const secret = new Secret(plain.toString('utf8'))
    plain.fill(0)
    return secret
  } catch {
    throw broken(row)
  }
}

function broken(row: SealedRow): CloudError {
  return new CloudError('damaged', `the stored secret '${row.name}' does not open: it, or the key file, is not the one that belongs here`, {
    hint: 'Give the secret again, or put database and key file back from one backup.',
  })
}

/** Bound to each sealed value: every part with its length, so that no two places give the same bytes. */
function describePlace(place: Place): Buffer {
  const parts = ['cloudmoor secret', String(format), place.id, place.owner, place.name, String(place.version)]
  return Buffer.concat(
    parts.flatMap((part) => {
      const bytes = Buffer.from(part, 'utf8')
      const length = Buffer.alloc(4)
      length.writeUInt32LE(bytes.length)
      return [length, bytes]
    }),
  )
}
