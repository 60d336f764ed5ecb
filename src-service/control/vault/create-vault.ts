import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import type { WriteLog } from '../../common/telemetry/log.ts'
import type { SlotRecord } from '../store/records.ts'
import type { VaultTable } from '../store/store.ts'
import { isMachineKind, MachineKeys } from './machine-keys.ts'
import type { MachinePlaces } from './machine-keys.ts'
import { leastCost } from './passphrase.ts'
import type { KdfCost } from './passphrase.ts'
import { SlotChanges } from './slot-changes.ts'
import { SlotMaker } from './slot-maker.ts'
import { openSlot } from './slot-rows.ts'
import { viewSlot } from './slot-views.ts'
import { Unlocker } from './unlocker.ts'
import type { Vault, VaultProblem, VaultReport, VaultStatus } from './vault.ts'
import { VaultState } from './vault-state.ts'

export interface VaultParts {
  readonly table: VaultTable
  readonly clock: Clock
  readonly log: WriteLog
  readonly kind: 'user' | 'system'
  readonly machine: MachinePlaces
  /** Least cost of a passphrase. Default: as RFC 9106 recommends. */
  readonly cost?: KdfCost
}

/** A vault as main.ts sees it. */
export interface ServiceVault extends Vault {
  /**
   * Opens the vault with what the machine has. Waits for files, not for a keychain: if that is what it takes, the vault is
   * locked until the keychain has answered. What keeps it locked is said once, in the log.
   */
  begin(): Promise<void>
}

export function createVault(parts: VaultParts): ServiceVault {
  const { table, log } = parts
  const cost = parts.cost ?? leastCost
  const machine = new MachineKeys(parts.machine)
  const slots = new SlotMaker(machine, parts.clock, cost)
  const state = new VaultState({ ...parts, machine, slots, keyFile: parts.machine.keyFile })
  const unlocker = new Unlocker({ table, state, machine, slots, leastCost: cost })
  const changes = new SlotChanges({ table, log, state, slots })
  const view = (slot: SlotRecord) => viewSlot(slot, machine)

  return {
    secrets: state.storeOf(false),
    serving: state.storeOf(true),
    begin: () => beginVault(parts, state, unlocker),
    status: () => statusOf(table, state, machine),
    test: () => testVault(table, state, machine),
    unlock: async (by) => view(await unlocker.unlock(by)),
    lock: (keep) => state.lock(keep),
    rotate: () => changes.rotate(),
    addSlot: async (spec, replace) => {
      const id = await changes.add(spec, replace)
      const added = (await table.read())?.slots.find((slot) => slot.id === id)
      if (added === undefined) throw new CloudError('conflict', 'the new slot was removed in the meantime')
      return view(added)
    },
    removeSlot: (id) => changes.remove(id),
    makeRecoveryKey: () => changes.makeRecoveryKey(),
    onUnlock: (listener) => state.onUnlock(listener),
  }
}

async function beginVault({ table, log }: VaultParts, state: VaultState, unlocker: Unlocker): Promise<void> {
  const stored = await table.read()
  if (stored === null) {
    await state
      .inTurn(() => state.opened())
      .catch((caught: unknown) => log('error', 'the stored secrets do not open', { error: CloudError.from(caught) }))
    return
  }
  state.foundLocked()
  const found = await unlocker.byMachine(['credential', 'key-file'])
  if ('id' in found) return
  const sayLocked = (reasons: readonly string[]) =>
    log('warn', 'the vault is locked: mounts serve from their cache until it is unlocked', {
      ...{ reason: reasons.join('; '), hint: 'cloudmoor config vault unlock' },
    })
  if (!stored.slots.some((slot) => slot.kind === 'keychain')) {
    sayLocked(found)
    return
  }
  void unlocker.byMachine(['keychain']).then(
    (answer) => ('id' in answer ? undefined : sayLocked([...found, ...answer])),
    (caught: unknown) => sayLocked([...found, CloudError.from(caught).message]),
  )
}

async function statusOf(table: VaultTable, state: VaultState, machine: MachineKeys): Promise<VaultStatus> {
  const stored = await table.read()
  const secrets = (await table.secrets()).length
  if (stored === null) return { state: 'none', slots: [], secrets, createdAt: null, rotatedAt: null, openedBy: null }
  const { createdAt, rotatedAt } = stored.vault
  const views = stored.slots.map((slot) => viewSlot(slot, machine))
  return { state: state.kind === 'open' ? 'unlocked' : 'locked', slots: views, secrets, createdAt, rotatedAt, openedBy: state.openedBy }
}

/** Every record against the catalogue, and every key that the machine keeps against its slot. */
async function testVault(table: VaultTable, state: VaultState, machine: MachineKeys): Promise<VaultReport> {
  const { id, slots, report } = await state.inTurn(async () => {
    const vault = await state.existing()
    return { id: vault.id, slots: await vault.slots(), report: await vault.check() }
  })
  const rows = new Map((await table.secrets()).map((row) => [row.id, row.name]))
  const kinds = new Map((await table.read())?.slots.map((slot) => [slot.id, slot.kind]))
  const detail = 'is not as it was saved'
  const problems: VaultProblem[] = [
    ...report.secrets.map((secret) => ({ what: 'secret' as const, id: secret, name: rows.get(secret) ?? '', detail })),
    ...report.slots.map((slot) => ({ what: 'slot' as const, id: slot, name: kinds.get(slot) ?? '', detail })),
  ]
  for (const slot of slots) {
    const wrong = isMachineKind(slot.kind) ? await whyNotOpen(machine, id, slot) : null
    if (wrong !== null) problems.push({ what: 'slot', id: slot.id, name: slot.kind, detail: wrong })
  }
  return { secrets: rows.size, problems }
}

async function whyNotOpen(machine: MachineKeys, vaultId: string, slot: SlotRecord): Promise<string | null> {
  try {
    const root = openSlot(vaultId, slot, await machine.fetch(slot))
    root?.fill(0)
    return root === null ? 'the key that the machine has is not the one of this slot' : null
  } catch (caught) {
    return CloudError.from(caught).message
  }
}
