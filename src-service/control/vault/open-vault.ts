import { randomBytes } from 'node:crypto'
import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import type { Secret } from '../../common/secret.ts'
import type { SecretMetadata, SecretRecord, SlotRecord, VaultChange, VaultRecord } from '../store/records.ts'
import type { VaultTable } from '../store/store.ts'
import { openCatalogue, sealCatalogue } from './catalogue.ts'
import type { Catalogue, CatalogueEntry } from './catalogue.ts'
import { keyBytes } from './sealed-box.ts'
import { bytesOf, digestOfSecret, openSecret, sealSecret, secretOf } from './secret-rows.ts'
import { digestOfSlot, fillSlot, openSlot } from './slot-rows.ts'
import { notAsSaved } from './vault-errors.ts'
import { VaultKeys } from './vault-keys.ts'

const mostSecrets = 10_000
const mostValueBytes = 256 * 1024
/** A rotation holds all of it in memory. */
const mostBytes = 32 * 1024 * 1024

export interface VaultHost {
  readonly table: VaultTable
  readonly clock: Clock
}

type Head = Omit<VaultRecord, 'catalogue'>
type Rows = Partial<Pick<VaultChange, 'slots' | 'secrets' | 'removeSlots' | 'removeSecrets'>>

/**
 * A vault and the keys to it. Each change is one transaction. Calls come one after the other: whoever owns it sees to that.
 * What the table gives is checked against the catalogue, which is in memory since it was unlocked.
 */
export class OpenVault {
  readonly #host: VaultHost
  readonly #keys: VaultKeys
  #head: Head
  #catalogue: Catalogue

  private constructor(host: VaultHost, keys: VaultKeys, head: Head, catalogue: Catalogue) {
    this.#host = host
    this.#keys = keys
    this.#head = head
    this.#catalogue = catalogue
  }

  /** Makes a vault, in one step with its first slot and with what is put into it. */
  static async create(
    host: VaultHost,
    vaultId: string,
    slotFor: (root: Buffer) => SlotRecord,
    values: readonly { readonly row: SecretMetadata; readonly value: Secret }[],
  ): Promise<OpenVault> {
    const root = randomBytes(keyBytes)
    const now = host.clock.now()
    const head = { id: vaultId, counter: 0, createdAt: now, rotatedAt: now }
    const vault = new OpenVault(host, VaultKeys.of(vaultId, root), head, { secrets: new Map(), slots: new Map() })
    const secrets = values.map(({ row, value }) => vault.#seal(row, bytesOf(value)))
    await vault.#commit({ slots: [slotFor(root)], secrets })
    return vault
  }

  /** Null if the key is not this slot's. Throws `damaged` if slot or catalogue are not as they were saved. */
  static unlock(host: VaultHost, record: VaultRecord, slot: SlotRecord, slotKey: Buffer): OpenVault | null {
    const root = openSlot(record.id, slot, slotKey)
    if (root === null) return null
    const keys = VaultKeys.of(record.id, root)
    try {
      const { id, counter, createdAt, rotatedAt } = record
      const vault = new OpenVault(host, keys, { id, counter, createdAt, rotatedAt }, openCatalogue(keys.catalogue, record))
      vault.#checkSlot(slot)
      return vault
    } catch (caught) {
      keys.wipe()
      throw caught
    }
  }

  get id(): string {
    return this.#head.id
  }

  /** The same vault with only the keys for some owners' secrets. This one is of no use any more. */
  narrow(owners: readonly string[]): OpenVault {
    const share = this.#keys.shareOf(owners)
    this.#keys.wipe()
    return new OpenVault(this.#host, share, this.#head, this.#catalogue)
  }

  wipe(): void {
    this.#keys.wipe()
  }

  async put(owner: string, name: string, value: Secret): Promise<string> {
    // Before anything is read: whether this may be done does not depend on it.
    this.#keys.withOwner(owner, () => {})
    const others = (await this.#host.table.secrets()).filter((row) => row.owner === owner && row.name === name)
    const version = Math.max(0, ...others.map((row) => row.version)) + 1
    const row = this.#seal({ id: newId(), owner, name, version, createdAt: this.#host.clock.now() }, bytesOf(value))
    this.#refuseTooMuch(row)
    await this.#commit({ secrets: [row] })
    return row.id
  }

  /** Throws `not-found`, `damaged`, `sign-in` (VAULT_LOCKED). */
  async get(reference: string): Promise<Secret> {
    const row = await this.#row(reference)
    if (row === null) throw new CloudError('not-found', 'there is no such secret')
    return secretOf(this.#open(row))
  }

  async remove(references: readonly string[]): Promise<void> {
    const found = references.filter((reference) => this.#catalogue.secrets.has(reference))
    if (found.length > 0) await this.#commit({ removeSecrets: found })
  }

  /** Slots as they are stored; those that are not as they were saved are left out. */
  async slots(): Promise<SlotRecord[]> {
    const stored = await this.#host.table.read()
    return (stored?.slots ?? []).filter((slot) => this.#isAsSaved(slot))
  }

  /** @param slotFor makes the slot around the root key. A slot of the same id is replaced. */
  async addSlot(slotFor: (root: Buffer) => SlotRecord): Promise<SlotRecord> {
    const slot = slotFor(this.#keys.root)
    await this.#commit({ slots: [slot] })
    return slot
  }

  /**
   * Makes a new root key and seals everything anew, in one step: whoever has the old root key, or the key of a slot that
   * is dropped, cannot open what is stored from now on. A slot that is not as it was saved is dropped as well.
   * @returns the vault under its new key; this one is of no use any more
   */
  async rekey(drop: readonly string[], add: readonly ((root: Buffer) => SlotRecord)[]): Promise<OpenVault> {
    const root = randomBytes(keyBytes)
    const next = new OpenVault(
      this.#host,
      VaultKeys.of(this.id, root),
      { ...this.#head, rotatedAt: this.#host.clock.now() },
      { secrets: new Map(), slots: new Map() },
    )
    try {
      const kept = (await this.slots()).filter((slot) => !drop.includes(slot.id)).map((slot) => fillSlot(this.id, slot, root))
      const secrets: SecretRecord[] = []
      for (const reference of this.#catalogue.secrets.keys()) secrets.push(await this.#reseal(reference, next))
      const removeSlots = ((await this.#host.table.read())?.slots ?? []).map((slot) => slot.id)
      await next.#commit({ secrets, removeSlots, slots: [...kept, ...add.map((slotFor) => slotFor(root))] })
    } catch (caught) {
      next.wipe()
      throw caught
    }
    this.wipe()
    return next
  }

  /** Ids of secrets and slots that are not as they were saved. */
  async check(): Promise<{ readonly secrets: readonly string[]; readonly slots: readonly string[] }> {
    const secrets: string[] = []
    for (const reference of this.#catalogue.secrets.keys()) if (!(await this.#opens(reference))) secrets.push(reference)
    for (const { id } of await this.#host.table.secrets()) if (!this.#catalogue.secrets.has(id)) secrets.push(id)
    const stored = (await this.#host.table.read())?.slots ?? []
    const gone = [...this.#catalogue.slots.keys()].filter((id) => !stored.some((slot) => slot.id === id))
    return { secrets, slots: [...stored.filter((slot) => !this.#isAsSaved(slot)).map((slot) => slot.id), ...gone] }
  }

  /** True if the row is in the catalogue as it is. */
  #isAsSaved(slot: SlotRecord): boolean {
    const digest = this.#catalogue.slots.get(slot.id)
    return digest !== undefined && digestOfSlot(slot).equals(digest)
  }

  #checkSlot(slot: SlotRecord): void {
    if (!this.#isAsSaved(slot)) throw notAsSaved()
  }

  /** Null if the vault never had it. Throws `damaged` if the row is not the one that the catalogue names. */
  async #row(reference: string): Promise<SecretRecord | null> {
    const entry = this.#catalogue.secrets.get(reference)
    const row = await this.#host.table.secret(reference)
    if (entry === undefined && row === null) return null
    if (entry === undefined || row === null || !digestOfSecret(row).equals(entry.digest)) throw notAsSaved()
    return row
  }

  async #opens(reference: string): Promise<boolean> {
    try {
      const row = await this.#row(reference)
      if (row === null) return false
      this.#open(row).fill(0)
      return true
    } catch (caught) {
      if (CloudError.from(caught).kind === 'damaged') return false
      throw caught
    }
  }

  async #reseal(reference: string, next: OpenVault): Promise<SecretRecord> {
    const row = await this.#row(reference)
    if (row === null) throw notAsSaved()
    return next.#seal(row, this.#open(row))
  }

  #open(row: SecretRecord): Buffer {
    return this.#keys.withOwner(row.owner, (key) => openSecret(key, this.id, row))
  }

  /** Takes the value over: it is wiped. */
  #seal(row: SecretMetadata, value: Buffer): SecretRecord {
    try {
      return this.#keys.withOwner(row.owner, (key) => sealSecret(key, this.id, row, value))
    } finally {
      value.fill(0)
    }
  }

  #refuseTooMuch({ name, sealed }: SecretRecord): void {
    if (sealed.length > mostValueBytes)
      throw new CloudError('too-large', `the secret '${name}' is longer than ${mostValueBytes / 1024} KiB`)
    let bytes = sealed.length
    for (const { size } of this.#catalogue.secrets.values()) bytes += size
    if (this.#catalogue.secrets.size < mostSecrets && bytes <= mostBytes) return
    throw new CloudError('no-space', `the vault is full: it takes ${mostSecrets} secrets, and ${mostBytes / 1024 ** 2} MiB in all`)
  }

  async #commit(rows: Rows): Promise<void> {
    const { slots = [], secrets = [], removeSlots = [], removeSecrets = [] } = rows
    const catalogue = {
      secrets: changed(this.#catalogue.secrets, removeSecrets, secrets, entryOf),
      slots: changed(this.#catalogue.slots, removeSlots, slots, digestOfSlot),
    }
    const head = { ...this.#head, counter: this.#head.counter + 1 }
    const vault = sealCatalogue(this.#keys.catalogue, head, catalogue)
    await this.#host.table.commit({ expected: this.#head.counter, vault, slots, secrets, removeSlots, removeSecrets })
    this.#head = head
    this.#catalogue = catalogue
  }
}

function entryOf(row: SecretRecord): CatalogueEntry {
  return { digest: digestOfSecret(row), size: row.sealed.length }
}

/** A copy without what goes and with what comes. */
function changed<Row extends { readonly id: string }, Entry>(
  before: ReadonlyMap<string, Entry>,
  goes: readonly string[],
  comes: readonly Row[],
  entry: (row: Row) => Entry,
): Map<string, Entry> {
  const after = new Map(before)
  for (const id of goes) after.delete(id)
  for (const row of comes) after.set(row.id, entry(row))
  return after
}
