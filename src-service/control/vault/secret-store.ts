import type { Secret } from '../../common/secret.ts'

/**
 * Keeps secrets. Nothing else may: rows elsewhere hold references. A reference always means the same value; a new
 * value gets a new one, so that whoever changes a row switches to it in one step. Errors: `not-found`, `damaged`, `io`,
 * `sign-in` (VAULT_LOCKED).
 */
export interface SecretStore {
  /** Rejects with why nothing can be fetched or changed now. */
  ready(): Promise<void>
  /** @returns the reference. @param owner id of what it belongs to. @param name option name. */
  put(owner: string, name: string, value: Secret): Promise<string>
  get(reference: string): Promise<Secret>
  /** Forgets them; unknown ones do not matter. */
  remove(references: readonly string[]): Promise<void>
  /** Also while the rest is locked. */
  list(): Promise<readonly StoredSecret[]>
}

/** Owner of secrets that belong to nothing but their name. */
export const namedOwner = 'named'

/** That a secret is stored, without it. */
export interface StoredSecret {
  readonly id: string
  readonly owner: string
  readonly name: string
  /** Grows with each value that owner and name get. */
  readonly version: number
  /** Milliseconds since 1970. */
  readonly createdAt: number
}
