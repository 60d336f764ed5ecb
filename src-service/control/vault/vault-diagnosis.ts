import type { SlotView, VaultStatus } from './vault.ts'

/** What `doctor` says of the vault. */
export interface VaultDiagnosis {
  readonly name: 'vault'
  readonly result: 'ok' | 'warning'
  readonly detail: string
  readonly hint: string
}

const strengths: Readonly<Record<SlotView['kind'], string>> = {
  keychain: 'the keychain of the user',
  passphrase: 'a passphrase',
  credential: 'a systemd credential',
  'key-file': 'a key file (protects copies of the database; not against who can read the files of this user)',
  'recovery-key': 'a recovery key',
  unknown: 'an unknown slot',
}

export function diagnoseVault({ state, slots }: VaultStatus): VaultDiagnosis {
  const name = 'vault'
  const ways = slots.map((slot) => strengths[slot.kind]).join(', ')
  switch (state) {
    case 'none':
      return { name, result: 'ok', detail: 'no secrets are stored yet', hint: '' }
    case 'locked':
      return {
        ...{ name, result: 'warning', detail: `locked: mounts serve from their cache; it is opened by ${ways}` },
        hint: 'cloudmoor config vault unlock',
      }
    case 'unlocked': {
      const recoverable = slots.some(({ kind }) => kind === 'recovery-key' || kind === 'passphrase')
      const hint = recoverable ? '' : 'If its key is lost, so are the secrets: cloudmoor config vault recovery-key makes one to write down'
      return { name, result: 'ok', detail: `unlocked; it is opened by ${ways}`, hint }
    }
  }
}
