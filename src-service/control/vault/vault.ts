import type { Secret } from '../../common/secret.ts'
import type { SecretStore } from './secret-store.ts'
import type { SlotKind } from './slot-rows.ts'

/** Where secrets are, and who may have them. */
export interface Vault {
  /** For people and programs: nothing is given or changed while the vault is locked. */
  readonly secrets: SecretStore
  /** For what already runs: goes on for the owners that `lock` was told to keep. */
  readonly serving: SecretStore
  status(): Promise<VaultStatus>
  /** Looks at every record. `sign-in` (VAULT_LOCKED). */
  test(): Promise<VaultReport>
  /**
   * @returns the slot that opened it. Errors: `access` (VAULT_KEY), `damaged`, `throttled`, `not-found` (no vault yet), NO_KEYCHAIN.
   */
  unlock(by: UnlockBy): Promise<SlotView>
  /** @param keep owners whose secrets running mounts need. `not-found` (no vault yet). */
  lock(keep: readonly string[]): Promise<void>
  /** New root key, new keys for the slots that the machine keeps, everything sealed anew. */
  rotate(): Promise<void>
  /** @param replace id of a slot that goes in the same step; null = none. Makes the vault if there is none. */
  addSlot(spec: SlotSpec, replace: string | null): Promise<SlotView>
  /** `busy` (LAST_SLOT), `not-found`. Everything is sealed anew: the removed key opens nothing that is stored from now on. */
  removeSlot(id: string): Promise<void>
  /** Takes the place of the one before. It is shown once and kept nowhere. */
  makeRecoveryKey(): Promise<Secret>
  /** Calls the listener each time the vault was unlocked. */
  onUnlock(listener: () => void): void
}

export type UnlockBy =
  | { readonly kind: 'machine' }
  | { readonly kind: 'passphrase'; readonly passphrase: Secret }
  | { readonly kind: 'recovery-key'; readonly recoveryKey: Secret }

export type SlotSpec =
  | { readonly kind: 'keychain' | 'credential' | 'key-file' }
  | { readonly kind: 'passphrase'; readonly passphrase: Secret }

export interface SlotView {
  readonly id: string
  readonly kind: SlotKind | 'unknown'
  /** Where its key is, or what it costs to try one; for people. */
  readonly detail: string
  readonly createdAt: number
}

export interface VaultStatus {
  /** `none`: made with the first secret. */
  readonly state: 'none' | 'locked' | 'unlocked'
  readonly slots: readonly SlotView[]
  readonly secrets: number
  /** Milliseconds since 1970; null = no vault yet. */
  readonly createdAt: number | null
  readonly rotatedAt: number | null
  /** Id of the slot that opened it. */
  readonly openedBy: string | null
}

export interface VaultReport {
  readonly secrets: number
  readonly problems: readonly VaultProblem[]
}

export interface VaultProblem {
  readonly what: 'secret' | 'slot'
  readonly id: string
  /** Owner and name of a secret, kind of a slot, as far as they can be told. */
  readonly name: string
  readonly detail: string
}
