import { systemClock } from '../../common/clock.ts'
import type { Alerts } from '../alerts/alerts.ts'
import { probeMounts } from '../health/probe-mounts.ts'
import { watchAudit } from '../health/watch-audit.ts'
import { watchDisks } from '../health/watch-disks.ts'
import { watchMounts } from '../health/watch-mounts.ts'
import type { ServiceMounts } from '../mounts/service-mounts.ts'
import { readSetting } from '../store/settings.ts'
import type { SettingTable } from '../store/store.ts'
import type { Audit } from '../users/audit.ts'
import type { Vault } from '../vault/vault.ts'

export interface HealthParts {
  readonly mounts: ServiceMounts
  readonly alerts: Alerts
  readonly audit: Audit
  readonly vault: Vault
  readonly settings: Pick<SettingTable, 'get'>
  /** Folder of the service's state. */
  readonly state: string
}

/** Looks after mounts, disks and the audit log until the result is called. */
export function watchHealth({ mounts, alerts, audit, vault, settings, state }: HealthParts): () => void {
  const clock = systemClock
  const ends = [
    watchMounts({ mounts, alerts, clock, isVaultLocked: async () => (await vault.status()).state === 'locked' }),
    probeMounts({ mounts, clock, everyMs: async () => Number(await readSetting(settings, 'probeSeconds')) * 1000 }),
    watchDisks({ mounts, alerts, clock, state }),
    watchAudit({ audit, alerts, clock }),
  ]
  return () => ends.forEach((end) => end())
}
