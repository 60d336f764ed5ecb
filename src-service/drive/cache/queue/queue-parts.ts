import type { TakeIn } from '../listings/take-in.ts'
import type { Listings } from '../sync.ts'
import type { SyncParts } from '../sync-parts.ts'
import type { Bursts } from './bursts.ts'
import type { LateChanges } from './late-changes.ts'
import type { Ledger } from './ledger.ts'
import type { QueueRows } from './queue-rows.ts'
import type { QuietTimes } from './quiet-times.ts'
import type { Situations } from './situation.ts'

/** What the steps of the queue share. */
export interface QueueParts extends SyncParts {
  readonly listings: Listings
  readonly rows: QueueRows
  readonly ledger: Ledger
  readonly takeIn: TakeIn
  readonly quiet: QuietTimes
  readonly situations: Situations
  readonly late: LateChanges
  readonly bursts: Bursts
}

/** Calls to the provider may use this, and report bytes. */
export interface StepContext {
  readonly signal: AbortSignal
  readonly progress: (bytes: number) => void
  /** The name went away meanwhile: what is not sent yet need not be sent. */
  readonly isUnwanted: () => boolean
  /** This row's object is about to be made or changed: no other step may touch it until this one ends. */
  readonly claim: (remote: number) => void
}

/** How a step ended that did not fail. */
export type StepResult =
  /** One step nearer: look again at once. */
  | { readonly kind: 'again' }
  /** Look again later. */
  | { readonly kind: 'wait'; readonly until: number; readonly reason: string }

export const again: StepResult = { kind: 'again' }

/** Why a row waits whose change is not there, and may still come. */
export const mayStillCome = 'waits for a change that was not answered'
