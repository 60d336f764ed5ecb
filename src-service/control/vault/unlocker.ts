import { CloudError } from '../../common/errors.ts'
import type { Secret } from '../../common/secret.ts'
import { serialise } from '../../common/serialise.ts'
import type { SlotRecord } from '../store/records.ts'
import type { VaultTable } from '../store/store.ts'
import { machineKinds, paramsOf } from './machine-keys.ts'
import type { MachineKeys, MachineKind } from './machine-keys.ts'
import { isWeaker, passphraseKey } from './passphrase.ts'
import type { KdfCost } from './passphrase.ts'
import { recoverySlotKey } from './recovery-key.ts'
import type { SlotMaker } from './slot-maker.ts'
import type { UnlockBy } from './vault.ts'
import { noVault, wrongKey } from './vault-errors.ts'
import type { VaultState } from './vault-state.ts'

/** Attempts that may wait for each other: each may cost memory and time. */
const mostAttempts = 3

export interface UnlockerParts {
  readonly table: VaultTable
  readonly state: VaultState
  readonly machine: MachineKeys
  readonly slots: SlotMaker
  readonly leastCost: KdfCost
}

/** Finds the slot that opens the vault. */
export class Unlocker {
  readonly #parts: UnlockerParts
  readonly #inTurn = serialise()
  #attempts = 0

  constructor(parts: UnlockerParts) {
    this.#parts = parts
  }

  /** @returns the slot. Errors: as `Vault.unlock`. */
  unlock(by: UnlockBy): Promise<SlotRecord> {
    if (this.#attempts >= mostAttempts) {
      return Promise.reject(new CloudError('throttled', 'too many attempts to unlock the vault wait already', { retryAfterMs: 1000 }))
    }
    this.#attempts++
    return this.#inTurn(() => this.#unlock(by)).finally(() => this.#attempts--)
  }

  /** Tries the slots that need nobody. @returns the slot, or why none opened it, one text each */
  async byMachine(kinds: readonly MachineKind[]): Promise<SlotRecord | readonly string[]> {
    const failures: string[] = []
    for (const kind of kinds) {
      for (const slot of await this.#slotsOf(kind)) {
        try {
          if (await this.#try(slot, () => this.#parts.machine.fetch(slot))) return slot
          failures.push(`${kind}: this is not the key of the slot`)
        } catch (caught) {
          failures.push(`${kind}: ${CloudError.from(caught).message}`)
        }
      }
    }
    return failures
  }

  async #unlock(by: UnlockBy): Promise<SlotRecord> {
    // What was sealed before there was a vault is taken over now, if its key is there again.
    if (this.#parts.state.kind === 'none') await this.#parts.state.inTurn(() => this.#parts.state.existing())
    switch (by.kind) {
      case 'machine': {
        const found = await this.byMachine(machineKinds)
        if ('id' in found) return found
        throw needsKey(found)
      }
      case 'passphrase':
        return this.#byPassphrase(by.passphrase)
      case 'recovery-key': {
        const key = recoverySlotKey(by.recoveryKey)
        return this.#first('recovery-key', () => Promise.resolve(Buffer.from(key)))
      }
    }
  }

  async #byPassphrase(passphrase: Secret): Promise<SlotRecord> {
    const slot = await this.#first('passphrase', (candidate) => passphraseKey(passphrase, paramsOf(candidate.params)))
    if (isWeaker(paramsOf(slot.params), this.#parts.leastCost)) await this.#strengthen(slot.id, passphrase)
    return slot
  }

  /** The passphrase is at hand: its slot gets what new ones get. */
  async #strengthen(slotId: string, passphrase: Secret): Promise<void> {
    const { state, slots } = this.#parts
    const vault = await state.inTurn(() => state.existing())
    const prepared = await slots.byPassphrase(passphrase, vault.id, slotId)
    await state.inTurn(async () => (await state.existing()).addSlot(prepared.fill))
  }

  async #first(kind: string, keyOf: (slot: SlotRecord) => Promise<Buffer>): Promise<SlotRecord> {
    let damage: CloudError | null = null
    for (const slot of await this.#slotsOf(kind)) {
      try {
        if (await this.#try(slot, () => keyOf(slot))) return slot
      } catch (caught) {
        damage = CloudError.from(caught)
      }
    }
    throw damage ?? wrongKey()
  }

  async #try(slot: SlotRecord, keyOf: () => Promise<Buffer>): Promise<boolean> {
    const key = await keyOf()
    try {
      return await this.#parts.state.unlock(slot.id, key)
    } finally {
      key.fill(0)
    }
  }

  async #slotsOf(kind: string): Promise<readonly SlotRecord[]> {
    const stored = await this.#parts.table.read()
    if (stored === null) noVault()
    return stored.slots.filter((slot) => slot.kind === kind)
  }
}

function needsKey(failures: readonly string[]): CloudError {
  const why = failures.length === 0 ? 'it has no slot of this machine' : failures.join('; ')
  return new CloudError('access', `the vault does not open by itself: ${why}`, {
    code: 'VAULT_KEY',
    hint: 'Give the passphrase or the recovery key: cloudmoor config vault unlock --passphrase -, or --recovery-key -',
  })
}
