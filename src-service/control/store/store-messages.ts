import type { ErrorKind } from '../../common/errors.ts'

/** What the service and the store's thread say to each other. */
export interface StoreOptions {
  /** Absolute paths, see `Places`. */
  readonly database: string
  readonly backups: string
  readonly lock: string
  /** Where key files belong that a restore may bring, by their names in it. */
  readonly keys?: Readonly<Record<string, string>>
  /** Milliseconds to wait for a predecessor on this home to go. */
  readonly lockWaitMs: number
}

export interface StoreCall {
  readonly id: number
  /** A table of `Store`, or `close`. */
  readonly group: string
  readonly method: string
  readonly args: readonly unknown[]
}

export interface StoreError {
  readonly kind: ErrorKind
  readonly message: string
  readonly code?: string
  readonly hint?: string
}

/** Id 0 tells that the database is open, or why not. */
export type StoreReply = { readonly id: number; readonly value: unknown } | { readonly id: number; readonly error: StoreError }
