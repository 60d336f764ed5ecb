import type { Clock } from '../../common/clock.ts'
import { newId } from '../../common/ids.ts'
import type { Secret } from '../../common/secret.ts'
import type { SlotRecord } from '../store/records.ts'
import type { MachineKeys, MachineKind } from './machine-keys.ts'
import { checkPassphrase, chooseCost, newPassphraseParams, passphraseKey } from './passphrase.ts'
import type { KdfCost } from './passphrase.ts'
import { recoverySlotKey } from './recovery-key.ts'
import { makeSlot } from './slot-rows.ts'
import type { SlotKind } from './slot-rows.ts'

/** A slot whose key is there, but which is not yet part of the vault. */
export interface PreparedSlot {
  readonly vaultId: string
  readonly id: string
  readonly kind: SlotKind
  /** Puts the root key in. Once: the slot's key is wiped. */
  readonly fill: (root: Buffer) => SlotRecord
}

/** Prepares slots of every kind. */
export class SlotMaker {
  readonly #machine: MachineKeys
  readonly #clock: Clock
  readonly #leastCost: KdfCost

  constructor(machine: MachineKeys, clock: Clock, leastCost: KdfCost) {
    this.#machine = machine
    this.#clock = clock
    this.#leastCost = leastCost
  }

  /** Rejects if the machine has no place of that kind. */
  async byMachine(kind: MachineKind, vaultId: string): Promise<PreparedSlot> {
    const id = newId()
    const { key, params } = await this.#machine.make(kind, vaultId, id)
    return this.#prepare(kind, vaultId, id, params, key)
  }

  /** A slot around the key file of the time before the vault. */
  byFirstFile(vaultId: string, key: Buffer): PreparedSlot {
    return this.#prepare('key-file', vaultId, newId(), this.#machine.firstFile, key)
  }

  /** @param id of a slot that it replaces; default a new one. Rejects with `invalid` if the passphrase is too short. */
  async byPassphrase(passphrase: Secret, vaultId: string, id = newId()): Promise<PreparedSlot> {
    checkPassphrase(passphrase)
    const params = newPassphraseParams(await chooseCost(this.#leastCost))
    return this.#prepare('passphrase', vaultId, id, params, await passphraseKey(passphrase, params))
  }

  byRecoveryKey(recoveryKey: Secret, vaultId: string): PreparedSlot {
    return this.#prepare('recovery-key', vaultId, newId(), {}, recoverySlotKey(recoveryKey))
  }

  #prepare(kind: SlotKind, vaultId: string, id: string, params: object, key: Buffer): PreparedSlot {
    const place = { id, kind, params: JSON.stringify(params), createdAt: this.#clock.now() }
    const fill = (root: Buffer) => {
      const slot = makeSlot(vaultId, place, key, root)
      key.fill(0)
      return slot
    }
    return { vaultId, id, kind, fill }
  }
}
