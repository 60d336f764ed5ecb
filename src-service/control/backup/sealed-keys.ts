import { CloudError } from '../../common/errors.ts'
import type { Secret } from '../../common/secret.ts'
import { checkPassphrase, leastCost, newPassphraseParams, passphraseKey } from '../vault/passphrase.ts'
import { open, seal } from '../vault/sealed-box.ts'
import type { SealedKeys } from './backup-file.ts'

const context = (name: string) => ['cloudmoor backup', 1, name] as const

/** Seals key files for a backup. Throws `invalid` for a passphrase that is too short. */
export async function sealKeys(passphrase: Secret, keys: ReadonlyMap<string, Buffer>): Promise<SealedKeys> {
  checkPassphrase(passphrase)
  const sealing = newPassphraseParams(leastCost)
  const key = await passphraseKey(passphrase, sealing)
  const sealed: Record<string, string> = {}
  for (const [name, bytes] of keys) sealed[name] = seal(key, context(name), bytes).toString('base64')
  return { sealing, sealed }
}

/** Throws `sign-in` if the passphrase is another one. */
export async function openKeys(passphrase: Secret, { sealing, sealed }: SealedKeys): Promise<ReadonlyMap<string, Buffer>> {
  const key = await passphraseKey(passphrase, sealing)
  try {
    return new Map(Object.entries(sealed).map(([name, text]) => [name, open(key, context(name), Buffer.from(text, 'base64'))]))
  } catch (caught) {
    throw new CloudError('sign-in', 'the backup does not open with this passphrase', { cause: caught })
  }
}
