import { deriveKey } from './sealed-box.ts'
import { locked } from './vault-errors.ts'

/**
 * The keys a vault is worked with, all derived from its root key: one for the catalogue and one for each owner of secrets.
 * A share of them goes without the root key: enough for some owners' secrets, and for nothing else.
 */
export class VaultKeys {
  readonly catalogue: Buffer
  readonly #vaultId: string
  readonly #root: Buffer | null
  readonly #owners: ReadonlyMap<string, Buffer>

  private constructor(vaultId: string, root: Buffer | null, catalogue: Buffer, owners: ReadonlyMap<string, Buffer>) {
    this.#vaultId = vaultId
    this.#root = root
    this.catalogue = catalogue
    this.#owners = owners
  }

  /** Takes the root key over: `wipe` clears it. */
  static of(vaultId: string, root: Buffer): VaultKeys {
    return new VaultKeys(vaultId, root, deriveKey(root, ['catalogue', vaultId]), new Map())
  }

  /** Throws `sign-in` (VAULT_LOCKED) in a share. */
  get root(): Buffer {
    if (this.#root === null) throw locked()
    return this.#root
  }

  /** Lends the key of an owner for the time of the call. Throws `sign-in` (VAULT_LOCKED) if the share is without it. */
  withOwner<T>(owner: string, use: (key: Buffer) => T): T {
    const kept = this.#owners.get(owner)
    if (kept !== undefined) return use(kept)
    const key = this.#derive(owner)
    try {
      return use(key)
    } finally {
      key.fill(0)
    }
  }

  #derive(owner: string): Buffer {
    return deriveKey(this.root, ['owner', this.#vaultId, owner])
  }

  shareOf(owners: readonly string[]): VaultKeys {
    const kept = new Map(owners.map((owner) => [owner, this.#derive(owner)]))
    return new VaultKeys(this.#vaultId, null, Buffer.from(this.catalogue), kept)
  }

  wipe(): void {
    this.#root?.fill(0)
    this.catalogue.fill(0)
    for (const key of this.#owners.values()) key.fill(0)
  }
}
