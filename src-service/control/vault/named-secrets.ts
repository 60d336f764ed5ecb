import { CloudError } from '../../common/errors.ts'
import type { Secret } from '../../common/secret.ts'
import { namedOwner } from './secret-store.ts'
import type { SecretStore, StoredSecret } from './secret-store.ts'

const mostCharacters = 64 * 1024

/** True if the secret belongs to its name alone. */
export function isNamed({ owner }: StoredSecret): boolean {
  return owner === namedOwner
}

/** Stores a value under a name, in the place of what was there. Throws `invalid`. */
export async function putNamed(store: SecretStore, name: string, value: Secret): Promise<StoredSecret> {
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(name)) {
    throw new CloudError('invalid', 'a secret’s name has 1 to 64 characters out of a-z A-Z 0-9 . _ -')
  }
  if (value.reveal() === '') throw new CloudError('invalid', `the secret '${name}' is empty`)
  if (value.reveal().length > mostCharacters)
    throw new CloudError('too-large', `the secret '${name}' is longer than ${mostCharacters} characters`)
  const reference = await store.put(namedOwner, name, value)
  const stored = await named(store, name)
  await store.remove(stored.filter(({ id }) => id !== reference).map(({ id }) => id))
  const found = stored.find(({ id }) => id === reference)
  if (found === undefined) throw new CloudError('conflict', `the secret '${name}' was removed in the meantime`)
  return found
}

/** Throws `not-found`, `sign-in` (VAULT_LOCKED). */
export async function getNamed(store: SecretStore, name: string): Promise<Secret> {
  const newest = (await named(store, name)).sort((a, b) => a.version - b.version).at(-1)
  if (newest === undefined) throw new CloudError('not-found', `there is no secret '${name}' in the vault`)
  return store.get(newest.id)
}

/** Throws `not-found`. */
export async function deleteNamed(store: SecretStore, name: string): Promise<void> {
  const stored = await named(store, name)
  if (stored.length === 0) throw new CloudError('not-found', 'there is no secret of this name')
  await store.remove(stored.map(({ id }) => id))
}

async function named(store: SecretStore, name: string): Promise<StoredSecret[]> {
  return (await store.list()).filter((secret) => isNamed(secret) && secret.name === name)
}
