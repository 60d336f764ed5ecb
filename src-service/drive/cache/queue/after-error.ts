import { type Backoff, backoffDelay } from '../../../common/backoff.ts'
import { type CloudError, type ErrorKind, unreachable } from '../../../common/errors.ts'
import type { QueueRow } from './queue-rows.ts'

/** What an error means for the item that it ended. Its data stay where they are, whatever happens. */
export type AfterError =
  /** Not the item's fault: it is tried again when the way is open. */
  | { readonly kind: 'later'; readonly notBefore: number }
  /** Tried again after a while. */
  | { readonly kind: 'retry'; readonly notBefore: number; readonly tries: number; readonly reason: string }
  /** It would fail the same way each time: after `mostRefusals` of them it is parked, and the others go on. */
  | { readonly kind: 'refused'; readonly notBefore: number; readonly refusals: number; readonly parked: boolean; readonly reason: string }

export const mostRefusals = 5
const waits: Backoff = { base: 1000, cap: 300_000 }
/** Other files that are uploaded make room soon. */
const roomWaits: Backoff = { base: 1000, cap: 10_000 }
/** A full provider does not become empty within seconds. */
const quotaWait = 30_000
const longestRetryAfter = 3_600_000
const afterOffline = 1000

/** @param now milliseconds since 1970. */
export function afterError(row: Pick<QueueRow, 'tries' | 'refusals'>, error: CloudError, now: number, random: () => number): AfterError {
  switch (meaning(error.kind)) {
    case 'no-way':
      return { kind: 'later', notBefore: now + Math.round(afterOffline * (0.5 + random() / 2)) }
    case 'stopped':
      return { kind: 'later', notBefore: now }
    case 'no-room': {
      const tries = row.tries + 1
      return { kind: 'retry', notBefore: now + backoffDelay(roomWaits, tries, random), tries, reason: error.message }
    }
    case 'passing': {
      const tries = row.tries + 1
      return { kind: 'retry', notBefore: now + waitOf(error, tries, random), tries, reason: error.message }
    }
    case 'full': {
      const tries = row.tries + 1
      return { kind: 'retry', notBefore: now + Math.max(quotaWait, waitOf(error, tries, random)), tries, reason: error.message }
    }
    case 'refusal': {
      const refusals = row.refusals + 1
      const parked = refusals >= mostRefusals
      return { kind: 'refused', notBefore: now + waitOf(error, refusals, random), refusals, parked, reason: error.message }
    }
  }
}

function waitOf(error: CloudError, attempt: number, random: () => number): number {
  if (error.retryAfterMs !== undefined) return Math.min(error.retryAfterMs, longestRetryAfter)
  return backoffDelay(waits, attempt, random)
}

function meaning(kind: ErrorKind): 'no-way' | 'stopped' | 'no-room' | 'passing' | 'full' | 'refusal' {
  switch (kind) {
    case 'offline':
    case 'sign-in':
      return 'no-way'
    case 'cancelled':
      return 'stopped'
    case 'timeout':
    case 'throttled':
    case 'unavailable':
    case 'garbage':
    case 'conflict':
    case 'exists':
    case 'not-found':
    case 'not-empty':
    case 'stale':
    case 'busy':
    case 'io':
      return 'passing'
    case 'no-space':
      return 'no-room'
    case 'quota':
      return 'full'
    case 'not-a-folder':
    case 'is-a-folder':
    case 'name-invalid':
    case 'name-too-long':
    case 'too-many-links':
    case 'cross-device':
    case 'permission':
    case 'access':
    case 'read-only':
    case 'too-large':
    case 'damaged':
    case 'invalid':
    case 'unsupported':
    case 'bad-handle':
    case 'no-attribute':
    case 'range':
    case 'internal':
      return 'refusal'
    default:
      return unreachable(kind)
  }
}
