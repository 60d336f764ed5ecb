import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import type { Secret } from '../../common/secret.ts'
import type { WriteLog } from '../../common/telemetry/log.ts'
import type { SlotRecord } from '../store/records.ts'
import type { VaultTable } from '../store/store.ts'
import type { OpenVault } from './open-vault.ts'
import { newRecoveryKey } from './recovery-key.ts'
import type { PreparedSlot, SlotMaker } from './slot-maker.ts'
import type { SlotSpec } from './vault.ts'
import type { VaultState } from './vault-state.ts'

const mostSlots = 16

export interface SlotChangesParts {
  readonly table: VaultTable
  readonly log: WriteLog
  readonly state: VaultState
  readonly slots: SlotMaker
}

/** Adds, removes and renews the ways to open the vault. A key is in its place before the vault counts on it, and leaves it after. */
export class SlotChanges {
  readonly #parts: SlotChangesParts

  constructor(parts: SlotChangesParts) {
    this.#parts = parts
  }

  async rotate(): Promise<void> {
    const { state, slots, log } = this.#parts
    const vault = await state.inTurn(() => state.existing())
    const old = await vault.slots()
    const made: PreparedSlot[] = []
    for (const { kind } of old) if (kind === 'key-file' || kind === 'keychain') made.push(await slots.byMachine(kind, vault.id))
    await state.inTurn(async () => {
      await this.#refuseChanged(vault, old)
      await state.rekey(
        vault,
        old.filter(({ kind }) => kind === 'key-file' || kind === 'keychain'),
        made,
      )
    })
    log('info', 'the vault has a new root key')
  }

  /** @returns its id */
  async add(spec: SlotSpec, replace: string | null): Promise<string> {
    const { state, slots, log } = this.#parts
    const vault = await state.inTurn(() => state.opened())
    const old = vault === null ? [] : await vault.slots()
    const going = replace === null ? [] : [find(old, replace)]
    refuseMore(
      old.filter((slot) => slot.id !== replace),
      spec.kind,
    )
    const vaultId = vault?.id ?? newId()
    const made = spec.kind === 'passphrase' ? await slots.byPassphrase(spec.passphrase, vaultId) : await slots.byMachine(spec.kind, vaultId)
    await state.inTurn(async () => {
      await this.#refuseChanged(vault, old)
      if (vault === null) await state.begin(made)
      else if (going.length === 0) await vault.addSlot(made.fill)
      else await state.rekey(vault, going, [made])
    })
    log('info', 'the vault has a new slot', { kind: spec.kind, replaced: going.length })
    return made.id
  }

  remove(id: string): Promise<void> {
    const { state, table, log } = this.#parts
    return state.inTurn(async () => {
      const vault = await state.existing()
      // Also one that is not as it was saved.
      const slot = find((await table.read())?.slots ?? [], id)
      if ((await vault.slots()).every((other) => other.id === id)) throw lastSlot()
      await state.rekey(vault, [slot], [])
      log('info', 'a slot of the vault is gone', { kind: slot.kind })
    })
  }

  async makeRecoveryKey(): Promise<Secret> {
    const { state, slots, log } = this.#parts
    const key = newRecoveryKey()
    await state.inTurn(async () => {
      const vault = await state.openedOrMade()
      const old = (await vault.slots()).filter((slot) => slot.kind === 'recovery-key')
      const made = slots.byRecoveryKey(key, vault.id)
      if (old.length > 0) await state.rekey(vault, old, [made])
      else await vault.addSlot(made.fill)
    })
    log('info', 'the vault has a new recovery key')
    return key
  }

  /** In turn: what was decided before the new keys were made must still hold. */
  async #refuseChanged(vault: OpenVault | null, slots: readonly SlotRecord[]): Promise<void> {
    const now = await this.#parts.state.opened()
    const ids = now === null ? [] : (await now.slots()).map((slot) => slot.id)
    if (now === vault && ids.join() === slots.map((slot) => slot.id).join()) return
    throw new CloudError('conflict', 'the vault was changed in the meantime', { hint: 'Look at its slots, then repeat the change.' })
  }
}

function find(slots: readonly SlotRecord[], id: string): SlotRecord {
  const slot = slots.find((known) => known.id === id)
  if (slot === undefined) throw new CloudError('not-found', 'the vault has no such slot', { hint: 'cloudmoor config vault slots list' })
  return slot
}

/** Passphrases may be several; the machine keeps one key of a kind. */
function refuseMore(others: readonly SlotRecord[], kind: SlotSpec['kind']): void {
  if (others.length >= mostSlots) throw new CloudError('quota', `the vault has ${mostSlots} slots, and takes no more`)
  const same = others.find((slot) => slot.kind === kind)
  if (kind === 'passphrase' || same === undefined) return
  throw new CloudError('exists', `the vault has a slot of kind ${kind} already`, { hint: `To renew it: --replace ${same.id}` })
}

function lastSlot(): CloudError {
  return new CloudError('busy', 'this is the last slot: without it nothing opens the vault', {
    code: 'LAST_SLOT',
    hint: 'Add another first, or replace this one: cloudmoor config vault slots add KIND --replace ID',
  })
}
