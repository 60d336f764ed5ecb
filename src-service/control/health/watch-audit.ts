import { type Clock, pause } from '../../common/clock.ts'
import type { AlertBook } from './watch-mounts.ts'

export interface AuditWatchParts {
  readonly audit: { verify(): Promise<{ readonly brokenAt: number }> }
  readonly alerts: AlertBook
  readonly clock: Clock
}

const dayMs = 24 * 3_600_000

/** Checks the chain of the audit log now and once a day, and raises an alert where it is broken. The result ends it. */
export function watchAudit({ audit, alerts, clock }: AuditWatchParts): () => void {
  const ended = new AbortController()

  async function run(): Promise<void> {
    while (!ended.signal.aborted) {
      const brokenAt = await audit.verify().then(
        (found) => found.brokenAt,
        () => 0,
      )
      if (brokenAt > 0) {
        const message = `somebody changed the audit log: line ${brokenAt} does not fit the one before (cloudmoor audit verify)`
        alerts.raise({ severity: 'error', mountId: '', reason: 'audit-changed', message })
      }
      await pause(clock, dayMs, ended.signal)
    }
  }

  void run()
  return () => ended.abort()
}
