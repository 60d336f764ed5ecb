import { Secret } from '../../src-service/common/secret.ts'
import type { ServiceVault } from '../../src-service/control/vault/create-vault.ts'

export const oldPassphrase = new Secret('the old passphrase')
export const newPassphrase = new Secret('the new passphrase')

const slotOf = async (vault: ServiceVault, kind: string) => (await vault.status()).slots.find((slot) => slot.kind === kind)?.id ?? ''

/** Changes of a vault that may be killed at any step. */
export const operations: readonly { readonly name: string; readonly run: (vault: ServiceVault) => Promise<unknown> }[] = [
  { name: 'rotate', run: (vault) => vault.rotate() },
  {
    name: 'change-passphrase',
    run: async (vault) => vault.addSlot({ kind: 'passphrase', passphrase: newPassphrase }, await slotOf(vault, 'passphrase')),
  },
  {
    name: 'key-file-to-passphrase',
    run: async (vault) => vault.addSlot({ kind: 'passphrase', passphrase: newPassphrase }, await slotOf(vault, 'key-file')),
  },
  { name: 'remove-slot', run: async (vault) => vault.removeSlot(await slotOf(vault, 'key-file')) },
  { name: 'first-secret', run: (vault) => vault.secrets.put('p1', 'first', new Secret('first')) },
  // The start alone does it.
  { name: 'take-over', run: () => Promise.resolve() },
]
