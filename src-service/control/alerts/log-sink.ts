import { withCorrelation } from '../../common/telemetry/correlation.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { AlertNews } from './alerts.ts'

/** Writes to the log what alerts tell, under the id that the alert names. Repetitions are not told again. */
export function logSink(log: Log): (news: AlertNews) => void {
  return ({ what, alert: { mountId, severity, reason, message, correlationId, resolvedBy } }) => {
    const { write } = mountId === '' ? log : log.forMount(mountId)
    withCorrelation(correlationId, () => {
      if (what === 'raised') write(severity === 'error' ? 'error' : 'warn', message, { reason })
      if (what === 'resolved') write('info', `over: ${message}`, { reason, ...(resolvedBy === '' ? {} : { principal: resolvedBy }) })
    })
  }
}
