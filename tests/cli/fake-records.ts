import type { ServiceImpl } from '@connectrpc/connect'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import type { AlertService } from '../../proto/gen/cloudmoor/v1/alert_pb.js'
import { AlertSeverity } from '../../proto/gen/cloudmoor/v1/alert_pb.js'
import type { AuditService } from '../../proto/gen/cloudmoor/v1/audit_pb.js'

const at = timestampFromDate(new Date('2026-11-23T08:00:00Z'))

const line = {
  ...{ sequence: 7n, time: at, principal: 'user:ada', origin: '10.0.0.7', action: 'cloudmoor.v1.MountService.StartMount' },
  ...{ class: 'runtime', result: 'ok', mountId: 'm-1', target: 'a "b", c', correlationId: 'c-9', times: 1, mac: 'ff' },
}

/** Audit log of the fake service. */
export const auditMethods: Partial<ServiceImpl<typeof AuditService>> = {
  tailAudit: async function* () {
    yield { entries: [line] }
    yield await Promise.resolve({ entries: [{ ...line, sequence: 8n, target: '=1+1', result: 'PERMISSION', times: 12 }] })
  },
}

const cut = {
  ...{
    id: '0123456789abcdef',
    severity: AlertSeverity.WARNING,
    mountId: 'm-1',
    reason: 'disconnected',
    correlationId: 'c-9',
    times: 2,
  },
  message: 'the provider of photos cannot be reached: connection refused\u001b[2J',
  lines: ['2026-11-23T08:00:00.000Z warn the provider: connection refused'],
  ...{ raiseTime: at, lastTime: at },
}

/** Alerts of the fake service. */
export const alertMethods: Partial<ServiceImpl<typeof AlertService>> = {
  listAlerts: ({ all }) => {
    return {
      alerts: [cut, ...(all ? [{ ...cut, mountId: '', acknowledgeTime: at, acknowledgedBy: 'user:ada', resolveTime: at }] : [])],
    }
  },
  acknowledgeAlert: () => ({ alert: cut }),
  resolveAlert: () => ({ alert: cut }),
}
