import { CloudError } from '../../common/errors.ts'

/** `CloudError.code` of what goes wrong with the vault; each is an ErrorReason of the contract. */
export type VaultReason = 'VAULT_LOCKED' | 'VAULT_KEY' | 'LAST_SLOT' | 'NO_KEYCHAIN'

/** The one text for everything that does not open: it does not tell which of the reasons it was. */
const text = 'the vault does not open this: the key is not the right one, or a record is not as it was saved'

/** A record that was changed, moved, replaced by an older one, or taken away. */
export function notAsSaved(cause?: unknown): CloudError {
  return new CloudError('damaged', text, {
    cause,
    hint: 'cloudmoor config vault test names what is damaged. Give those secrets again, or put the database back from a backup.',
  })
}

export function wrongKey(hint = 'Try again. Slots and their kinds are shown by: cloudmoor config vault slots list'): CloudError {
  return new CloudError('access', text, { code: 'VAULT_KEY', hint })
}

export function locked(): CloudError {
  return new CloudError('sign-in', 'the vault is locked', { code: 'VAULT_LOCKED', hint: 'cloudmoor config vault unlock' })
}

export function noVault(): never {
  throw new CloudError('not-found', 'there is no vault yet: it is made with the first secret, or with its first slot')
}
