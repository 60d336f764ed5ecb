import type { MessageInitShape } from '@bufbuild/protobuf'
import type { HandlerContext, ServiceImpl } from '@connectrpc/connect'
import { AlertSeverity } from '../../../proto/gen/cloudmoor/v1/alert_pb.js'
import type { AlertSchema, AlertService } from '../../../proto/gen/cloudmoor/v1/alert_pb.js'
import { CloudError } from '../../common/errors.ts'
import type { Alerts } from '../alerts/alerts.ts'
import type { AlertRecord } from '../store/alert-records.ts'
import type { Sight } from '../users/grants.ts'
import { callerOf, sightOf } from './call.ts'
import { readLimit, writeTime } from './wire-values.ts'

/** AlertService in terms of `Alerts`. */
export function alertHandler(alerts: Alerts): ServiceImpl<typeof AlertService> {
  /** What the caller does not see does not exist. */
  async function seen(id: string, context: Pick<HandlerContext, 'values'>): Promise<string> {
    const alert = await alerts.get(id)
    if (!seesAlert(sightOf(context), alert)) throw new CloudError('not-found', 'there is no such alert')
    return alert.id
  }

  return {
    listAlerts: async ({ mountId, all, limit }, context) => {
      const sight = sightOf(context)
      const most = readLimit('limit', limit, 100, 1000)
      const found = (await alerts.list(all)).filter((alert) => (mountId === '' || alert.mountId === mountId) && seesAlert(sight, alert))
      return { alerts: found.slice(0, most).map(writeAlert) }
    },
    acknowledgeAlert: async ({ id }, context) => ({
      alert: writeAlert(await alerts.acknowledge(await seen(id, context), callerOf(context).name)),
    }),
    resolveAlert: async ({ id }, context) => ({ alert: writeAlert(await alerts.resolve(await seen(id, context), callerOf(context).name)) }),
  }
}

/** What is about no mount may be about any. */
function seesAlert(sight: Sight, { mountId }: Pick<AlertRecord, 'mountId'>): boolean {
  return mountId === '' ? sight.whole : sight.mount(mountId)
}

const severities = { warning: AlertSeverity.WARNING, error: AlertSeverity.ERROR } as const

export function writeAlert(alert: AlertRecord): MessageInitShape<typeof AlertSchema> {
  const { id, severity, mountId, reason, message, lines, correlationId, times, acknowledgedBy, resolvedBy } = alert
  return {
    ...{ id, mountId, reason, message, correlationId, times, acknowledgedBy, resolvedBy },
    severity: severities[severity],
    lines: [...lines],
    raiseTime: writeTime(alert.raisedAt),
    lastTime: writeTime(alert.lastAt),
    ...(alert.acknowledgedAt === 0 ? {} : { acknowledgeTime: writeTime(alert.acknowledgedAt) }),
    ...(alert.resolvedAt === 0 ? {} : { resolveTime: writeTime(alert.resolvedAt) }),
  }
}
