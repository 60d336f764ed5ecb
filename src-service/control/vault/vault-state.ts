import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import type { Secret } from '../../common/secret.ts'
import { serialise } from '../../common/serialise.ts'
import type { WriteLog } from '../../common/telemetry/log.ts'
import type { SlotRecord } from '../store/records.ts'
import type { VaultTable } from '../store/store.ts'
import { readKeyFile } from './key-file.ts'
import { openLegacy } from './legacy-rows.ts'
import type { MachineKeys } from './machine-keys.ts'
import { OpenVault } from './open-vault.ts'
import type { SecretStore } from './secret-store.ts'
import type { PreparedSlot, SlotMaker } from './slot-maker.ts'
import { locked, noVault } from './vault-errors.ts'

export interface VaultStateParts {
  readonly table: VaultTable
  readonly clock: Clock
  readonly log: WriteLog
  readonly kind: 'user' | 'system'
  readonly machine: MachineKeys
  readonly slots: SlotMaker
  readonly keyFile: string
}

type State =
  | { readonly kind: 'none' }
  /** `serving`: keys of some owners only. */
  | { readonly kind: 'locked'; readonly serving: OpenVault | null }
  | { readonly kind: 'open'; readonly vault: OpenVault; readonly by: string }

/** Whether there is a vault, and whether it is open. Everything that reads or changes it is done in turn. */
export class VaultState {
  readonly inTurn = serialise()
  readonly #parts: VaultStateParts
  readonly #listeners: (() => void)[] = []
  #state: State = { kind: 'none' }

  constructor(parts: VaultStateParts) {
    this.#parts = parts
  }

  get kind(): State['kind'] {
    return this.#state.kind
  }

  /** Id of the slot that opened it. */
  get openedBy(): string | null {
    return this.#state.kind === 'open' ? this.#state.by : null
  }

  /** What callers of the vault use. @param serving goes on for the owners that `lock` kept */
  storeOf(serving: boolean): SecretStore {
    const usable = async (): Promise<OpenVault | null> => {
      const state = this.#state
      return serving && state.kind === 'locked' && state.serving !== null ? state.serving : this.opened()
    }
    return {
      ready: () =>
        this.inTurn(async () => {
          await usable()
        }),
      put: (owner, name, value) => this.inTurn(async () => ((await usable()) ?? (await this.#create())).put(owner, name, value)),
      get: (reference) =>
        this.inTurn(async () => {
          const vault = await usable()
          if (vault === null) throw new CloudError('not-found', 'there is no such secret')
          return vault.get(reference)
        }),
      remove: async (references) => {
        if (references.length > 0) await this.inTurn(async () => (await usable())?.remove(references))
      },
      list: () => this.#parts.table.secrets(),
    }
  }

  /** In turn. Null if there is no vault yet. Throws `sign-in` (VAULT_LOCKED). */
  async opened(): Promise<OpenVault | null> {
    const state = this.#state
    switch (state.kind) {
      case 'open':
        return state.vault
      case 'locked':
        throw locked()
      case 'none':
        return this.#convert()
    }
  }

  /** In turn. Makes the vault if there is none. */
  async openedOrMade(): Promise<OpenVault> {
    return (await this.opened()) ?? (await this.#create())
  }

  /** In turn. Throws `not-found` if there is no vault yet. */
  async existing(): Promise<OpenVault> {
    return (await this.opened()) ?? noVault()
  }

  /** There is a vault, and its key is to be found. */
  foundLocked(): void {
    this.#state = { kind: 'locked', serving: null }
  }

  /** @returns false if the key is not this slot's. Throws `damaged`. */
  unlock(slotId: string, slotKey: Buffer): Promise<boolean> {
    return this.inTurn(async () => {
      const stored = await this.#parts.table.read()
      const slot = stored?.slots.find(({ id }) => id === slotId)
      if (stored === null || slot === undefined) return false
      const vault = OpenVault.unlock(this.#parts, stored.vault, slot, slotKey)
      if (vault === null) return false
      const before = this.#state
      if (before.kind === 'open') vault.wipe()
      else {
        if (before.kind === 'locked') before.serving?.wipe()
        this.#state = { kind: 'open', vault, by: slotId }
        this.#parts.log('info', 'the vault is unlocked', { kind: slot.kind })
        for (const listener of this.#listeners) listener()
      }
      return true
    })
  }

  lock(keep: readonly string[]): Promise<void> {
    return this.inTurn(async () => {
      const state = this.#state
      if (state.kind === 'none') noVault()
      if (state.kind !== 'open') return
      this.#state = { kind: 'locked', serving: state.vault.narrow(keep) }
      this.#parts.log('info', 'the vault is locked', { kept: keep.length })
    })
  }

  onUnlock(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** In turn. Makes the vault around its first slot. */
  async begin(slot: PreparedSlot): Promise<OpenVault> {
    return this.#become(await OpenVault.create(this.#parts, slot.vaultId, slot.fill, []), slot.id)
  }

  /** In turn. Everything is sealed anew, without the old slots and with the new ones; then the keys of the old are taken away. */
  async rekey(vault: OpenVault, old: readonly SlotRecord[], made: readonly PreparedSlot[]): Promise<void> {
    const ids = old.map((slot) => slot.id)
    const next = await vault.rekey(
      ids,
      made.map((slot) => slot.fill),
    )
    const by = this.openedBy ?? ''
    this.#become(next, ids.includes(by) ? (made[0]?.id ?? '') : by)
    for (const slot of old) {
      await this.#parts.machine.forget(slot).catch((caught: unknown) => {
        const error = CloudError.from(caught)
        this.#parts.log('warn', `the key of a slot that is gone could not be taken away: ${error.message}`, { kind: slot.kind })
      })
    }
  }

  #become(vault: OpenVault, by: string): OpenVault {
    this.#state = { kind: 'open', vault, by }
    return vault
  }

  /** With the best slot that this machine gives. */
  async #create(): Promise<OpenVault> {
    const { machine, slots, log, kind } = this.#parts
    const vaultId = newId()
    for (const preferred of await machine.preference(kind)) {
      try {
        const vault = await this.begin(await slots.byMachine(preferred, vaultId))
        log('info', 'the vault is made', { kind: preferred })
        return vault
      } catch (caught) {
        if (preferred === 'key-file') throw caught
        log('warn', `the vault cannot be opened by ${preferred}: ${CloudError.from(caught).message}`)
      }
    }
    throw new CloudError('internal', 'no kind of slot was left to try')
  }

  /** Takes over what was sealed under the key file before there was a vault. Null if there is nothing. */
  async #convert(): Promise<OpenVault | null> {
    const { table, slots, log, keyFile } = this.#parts
    const rows = await table.secrets()
    if (rows.length === 0) return null
    const key = await readKeyFile(keyFile)
    if (key === null) throw keyFileGone(keyFile)
    const values: { readonly row: (typeof rows)[number]; readonly value: Secret }[] = []
    for (const row of rows) {
      const sealed = await table.secret(row.id)
      if (sealed !== null) values.push({ row, value: openLegacy(key, sealed) })
    }
    const slot = slots.byFirstFile(newId(), key)
    const vault = this.#become(await OpenVault.create(this.#parts, slot.vaultId, slot.fill, values), slot.id)
    log('info', 'the stored secrets are in the vault now', { secrets: values.length })
    return vault
  }
}

function keyFileGone(path: string): CloudError {
  return new CloudError('damaged', `the key file ${path} is gone, and with it the stored secrets`, {
    hint: 'Put it back from a backup. If it is lost, remove the accounts and create them again.',
  })
}
