import { randomBytes } from 'node:crypto'
import { basename, dirname, join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import { serialise } from '../../common/serialise.ts'
import type { SlotRecord } from '../store/records.ts'
import { readCredential } from './credential.ts'
import { createKeyFile, readKeyFile, removeKeyFile } from './key-file.ts'
import type { Keychain } from './keychain.ts'
import { keyBytes } from './sealed-box.ts'
import type { SlotKind } from './slot-rows.ts'
import { notAsSaved } from './vault-errors.ts'

/** Slots whose keys the machine has, so that nobody must be asked. */
export type MachineKind = Extract<SlotKind, 'keychain' | 'credential' | 'key-file'>

export const machineKinds: readonly MachineKind[] = ['credential', 'key-file', 'keychain']

export function isMachineKind(kind: string): kind is MachineKind {
  return machineKinds.some((known) => known === kind)
}

/** A key and what the slot has to say of where it is. */
export interface MadeKey {
  readonly key: Buffer
  readonly params: Readonly<Record<string, unknown>>
}

export interface MachinePlaces {
  /** The first key file; others lie beside it. */
  readonly keyFile: string
  readonly keychain: Keychain
  /** $CREDENTIALS_DIRECTORY */
  readonly credentials: string | undefined
}

/** Where the machine keeps the keys of slots. */
export class MachineKeys {
  readonly #places: MachinePlaces
  readonly #filesInTurn = serialise()

  constructor(places: MachinePlaces) {
    this.#places = places
  }

  /** Makes a key that is there to stay before it is given (the credential is found, not made). Rejects if that kind is not to be had. */
  async make(kind: MachineKind, vaultId: string, slotId: string): Promise<MadeKey> {
    switch (kind) {
      case 'credential':
        return { key: await readCredential(this.#places.credentials), params: {} }
      case 'key-file':
        return this.#filesInTurn(() => this.#makeFile(slotId))
      case 'keychain':
        return this.#makeItem(`${vaultId}/${slotId}`)
    }
  }

  /** The key of a slot. Rejects with why it is not to be had. */
  async fetch(slot: SlotRecord): Promise<Buffer> {
    switch (slot.kind) {
      case 'credential':
        return readCredential(this.#places.credentials)
      case 'key-file': {
        const path = this.fileOf(slot)
        const key = await readKeyFile(path)
        if (key !== null) return key
        throw new CloudError('not-found', `the key file ${path} is gone`, {
          hint: 'Put it back from a backup, or unlock the vault by another slot.',
        })
      }
      case 'keychain': {
        const value = await this.#places.keychain.get(accountOf(slot))
        if (value !== null) return Buffer.from(value, 'base64url')
        throw new CloudError('not-found', 'the keychain of this user does not have the key of the vault')
      }
      default:
        throw new CloudError('internal', `the machine has no key for a slot of kind ${slot.kind}`)
    }
  }

  /** Takes the key of a slot away that is no more; what systemd keeps is left alone. */
  async forget(slot: Pick<SlotRecord, 'kind' | 'params'>): Promise<void> {
    if (slot.kind === 'key-file') await removeKeyFile(this.fileOf(slot))
    if (slot.kind === 'keychain') await this.#places.keychain.remove(accountOf(slot))
  }

  /** What a service of this kind should use when nobody has chosen. A keychain is asked; it may turn out not to answer. */
  async preference(kind: 'user' | 'system'): Promise<readonly MachineKind[]> {
    const credential = await readCredential(this.#places.credentials).then(
      () => true,
      () => false,
    )
    const keychain = kind === 'user' && (await this.#places.keychain.isLikely())
    return [...(credential ? (['credential'] as const) : []), ...(keychain ? (['keychain'] as const) : []), 'key-file']
  }

  /** Path of a slot's key file. Throws `damaged` for a name that would lead elsewhere. */
  fileOf(slot: Pick<SlotRecord, 'params'>): string {
    const file = textOf(slot.params, 'file')
    if (!/^[a-z0-9-]+\.key$/.test(file)) throw notAsSaved()
    return join(dirname(this.#places.keyFile), file)
  }

  /** Params of a slot on the first key file. */
  get firstFile(): Readonly<Record<string, unknown>> {
    return { file: basename(this.#places.keyFile) }
  }

  async #makeFile(slotId: string): Promise<MadeKey> {
    const first = this.#places.keyFile
    const taken = (await readKeyFile(first).catch(() => 'unreadable')) !== null
    const path = taken ? join(dirname(first), `${basename(first, '.key')}-${slotId}.key`) : first
    return { key: await createKeyFile(path), params: { file: basename(path) } }
  }

  async #makeItem(account: string): Promise<MadeKey> {
    const { keychain } = this.#places
    const key = randomBytes(keyBytes)
    const value = key.toString('base64url')
    await keychain.set(account, value)
    // A keychain that takes it and does not have it would lock everything in at the next start.
    if ((await keychain.get(account)) === value) return { key, params: { account } }
    throw new CloudError('unavailable', 'the keychain does not give back what it was given', { code: 'NO_KEYCHAIN' })
  }
}

function accountOf(slot: Pick<SlotRecord, 'params'>): string {
  return textOf(slot.params, 'account')
}

/** A text out of a slot's params. Throws `damaged`. */
function textOf(params: string, name: string): string {
  const value = new Map<string, unknown>(Object.entries(paramsOf(params))).get(name)
  if (typeof value !== 'string') throw notAsSaved()
  return value
}

/** Throws `damaged`. */
export function paramsOf(params: string): object {
  try {
    const parsed: unknown = JSON.parse(params)
    if (typeof parsed === 'object' && parsed !== null) return parsed
  } catch (caught) {
    throw notAsSaved(caught)
  }
  throw notAsSaved()
}
