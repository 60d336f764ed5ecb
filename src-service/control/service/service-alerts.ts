import { pause, systemClock } from '../../common/clock.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { Secret } from '../../common/secret.ts'
import { type Alerts, openAlerts } from '../alerts/alerts.ts'
import { logSink } from '../alerts/log-sink.ts'
import { openWebhook } from '../alerts/webhook.ts'
import { openLogReader } from '../api/log-reader.ts'
import { readReference, resolveReference } from '../providers/references.ts'
import { readSetting } from '../store/settings.ts'
import type { Store } from '../store/store.ts'
import { getNamed } from '../vault/named-secrets.ts'
import type { SecretStore } from '../vault/secret-store.ts'

export interface ServiceAlertParts {
  readonly store: Pick<Store, 'alerts' | 'settings' | 'mounts'>
  readonly secrets: SecretStore
  readonly log: Log
  /** Folder of the logs. */
  readonly logs: string
  readonly instance: string
  readonly version: string
}

/** What goes before an alert reaches the log file a moment later. */
const settleMs = 100
const lineCount = 5

/** Alerts with what they are told to: the log, and the webhook of the settings. `end` gives up what the webhook has not taken. */
export async function openServiceAlerts(parts: ServiceAlertParts): Promise<{ readonly alerts: Alerts; readonly end: () => Promise<void> }> {
  const { store, log, logs, instance, version, secrets } = parts
  const alerts = await openAlerts({
    ...{ table: store.alerts, clock: systemClock, log: log.write },
    lastLines: (mountId) => lastLines(logs, mountId),
  })
  const webhook = openWebhook({
    ...{ clock: systemClock, log: log.write, service: { instance, version } },
    settings: async () => ({
      url: await readSetting(store.settings, 'alertWebhook'),
      key: await readSetting(store.settings, 'alertWebhookKey'),
      plain: (await readSetting(store.settings, 'alertWebhookPlain')) === 'yes',
    }),
    secret: (reference) => secretOf(secrets, reference),
    mountName: async (id) => (await store.mounts.get(id)).name,
  })
  alerts.onNews(logSink(log))
  alerts.onNews(webhook.take)
  return {
    alerts,
    end: async () => {
      await alerts.settled()
      await webhook.close()
    },
  }
}

/** Whether the audit log can be written. */
export function tellOfAudit(alerts: Alerts, isWritable: boolean): void {
  const message = 'the audit log cannot be written: changes are refused, reads go on'
  if (isWritable) alerts.over('', 'audit-unwritable')
  else alerts.raise({ severity: 'error', mountId: '', reason: 'audit-unwritable', message })
}

/** @param reference `vault:NAME`, or as a configuration file writes where a secret is */
function secretOf(secrets: SecretStore, reference: string): Promise<Secret> {
  if (reference.startsWith('vault:')) return getNamed(secrets, reference.slice('vault:'.length))
  return resolveReference(readReference(reference), process.env)
}

async function lastLines(folder: string, mountId: string): Promise<readonly string[]> {
  await pause(systemClock, settleMs)
  const reader = openLogReader(folder)
  try {
    const lines = await reader.last(lineCount, (line) => line.mountId === mountId && (line.level === 'warn' || line.level === 'error'))
    return lines.map(({ time, level, message }) => `${new Date(time).toISOString()} ${level} ${message}`)
  } finally {
    await reader.close()
  }
}
