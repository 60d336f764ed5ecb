import type { SlotRecord } from '../store/records.ts'
import { credentialName } from './credential.ts'
import { paramsOf } from './machine-keys.ts'
import type { MachineKeys } from './machine-keys.ts'
import { slotKinds } from './slot-rows.ts'
import type { SlotKind } from './slot-rows.ts'
import type { SlotView } from './vault.ts'

/** A slot for people. What is not as it was saved may say anything: it is shown, not trusted. */
export function viewSlot(slot: SlotRecord, machine: MachineKeys): SlotView {
  const { id, createdAt } = slot
  const kind = slotKinds.find((known) => known === slot.kind)
  if (kind === undefined) return { id, kind: 'unknown', detail: 'damaged', createdAt }
  try {
    return { id, kind, detail: detailOf(kind, slot, machine), createdAt }
  } catch {
    return { id, kind, detail: 'damaged', createdAt }
  }
}

function detailOf(kind: SlotKind, slot: SlotRecord, machine: MachineKeys): string {
  switch (kind) {
    case 'key-file':
      return machine.fileOf(slot)
    case 'credential':
      return `systemd credential ${credentialName}`
    case 'keychain':
      return 'keychain of the user'
    case 'recovery-key':
      return 'on paper'
    case 'passphrase': {
      const { memoryKiB, passes, lanes } = { memoryKiB: 0, passes: 0, lanes: 0, ...paramsOf(slot.params) }
      return `Argon2id, ${Math.round(memoryKiB / 1024)} MiB, ${passes} passes, ${lanes} lanes`
    }
  }
}
