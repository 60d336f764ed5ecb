import { randomBytes } from 'node:crypto'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../../src-service/common/clock.ts'
import { findPlaces, preparePlaces } from '../../src-service/common/paths.ts'
import type { Places } from '../../src-service/common/paths.ts'
import { openLog } from '../../src-service/common/telemetry/log.ts'
import type { Log } from '../../src-service/common/telemetry/log.ts'
import { openAlerts } from '../../src-service/control/alerts/alerts.ts'
import type { Alerts } from '../../src-service/control/alerts/alerts.ts'
import { openApi } from '../../src-service/control/api/open-api.ts'
import type { Api, ApiParts } from '../../src-service/control/api/open-api.ts'
import { createBackups } from '../../src-service/control/backup/backups.ts'
import { createConfiguration } from '../../src-service/control/config/configuration.ts'
import type { Configuration } from '../../src-service/control/config/configuration.ts'
import { createProviders } from '../../src-service/control/providers/providers.ts'
import { readSettings } from '../../src-service/control/store/settings.ts'
import { openStore } from '../../src-service/control/store/open-store.ts'
import type { Store } from '../../src-service/control/store/store.ts'
import { createAccess } from '../../src-service/control/users/access.ts'
import type { Access } from '../../src-service/control/users/access.ts'
import { openAudit } from '../../src-service/control/users/audit.ts'
import { createVault } from '../../src-service/control/vault/create-vault.ts'
import type { ServiceVault } from '../../src-service/control/vault/create-vault.ts'
import { createKeychain } from '../../src-service/control/vault/keychain.ts'
import { descriptors } from '../../src-service/drive/connectors/manifest.ts'
import { createFakeMountManager } from './fake-mount-manager.ts'
import type { FakeMountManager } from './fake-mount-manager.ts'

/** The control plane of a service on a throw-away home, with a fake mount manager. */
export interface TestService {
  readonly places: Places
  readonly log: Log
  readonly store: Store
  readonly mounts: FakeMountManager
  readonly vault: ServiceVault
  readonly access: Access
  readonly configuration: Configuration
  readonly api: Api
  readonly shutdowns: (number | null)[]
  /** Something needs a person. */
  readonly alerts: Alerts
  stop(): Promise<void>
}

export async function startTestService(parts: Partial<ApiParts> = {}): Promise<TestService> {
  const home = await mkdtemp(join(tmpdir(), 'cm-'))
  const places = findPlaces({ env: { CLOUDMOOR_HOME: home }, home, system: false })
  await preparePlaces(places)
  const log = await openLog({ file: join(places.logs, 'service.log'), program: 'service', level: 'debug' })
  const store = await openStore({ database: places.database, backups: places.backups, lock: places.lock, lockWaitMs: 0 })
  const mounts = createFakeMountManager(store.mounts)
  const vault = createVault({
    ...{ table: store.vault, clock: systemClock, log: log.write, kind: places.kind },
    machine: { keyFile: places.keyFile, keychain: createKeychain({ program: [], env: {} }), credentials: undefined },
    cost: { memoryKiB: 64, passes: 1, lanes: 1 },
  })
  await vault.begin()
  const providers = createProviders({ table: store.providers, secrets: vault.secrets, serving: vault.serving, prober: mounts, descriptors })
  const alerts = await openAlerts({ table: store.alerts, clock: systemClock, log: log.write, lastLines: () => Promise.resolve(['a line']) })
  const audit = await openAudit({ table: store.audit, key: randomBytes(32), clock: systemClock, log: log.write, keptDays: 400 })
  const access = createAccess(store, systemClock, { memoryKiB: 64, passes: 1 })
  const configuration = createConfiguration({
    ...{ store, providers, secrets: vault.secrets, descriptors },
    mounts: { reconfigure: (_, save) => save() },
    around: { places, hints: { env: { CLOUDMOOR_HOME: home }, home } },
  })
  const shutdowns: (number | null)[] = []
  const api = await openApi({
    places,
    version: '1.2.3',
    startedAt: 1_700_000_000_000,
    log,
    requests: store.requests,
    settings: store.settings,
    startedSettings: await readSettings(store.settings),
    providers,
    mounts,
    vault,
    access,
    audit,
    instance: 'test',
    web: null,
    group: null,
    configuration,
    backups: createBackups({ copies: store.copies, mounts, places, version: '1.2.3', now: Date.now }),
    service: {
      shutdown: (timeout) => {
        shutdowns.push(timeout)
        return Promise.resolve([{ mountId: 'm1', name: 'drive', queue: { files: 1, bytes: 2, parked: 0, uploading: 0 } }])
      },
      restart: () => {},
      replace: () => Promise.resolve([]),
    },
    alerts,
    peerCredentials: () => ({ uid: process.getuid?.() ?? -1, gid: process.getgid?.() ?? -1 }),
    ...parts,
  })
  return {
    places,
    log,
    store,
    mounts,
    vault,
    access,
    configuration,
    api,
    shutdowns,
    alerts,
    stop: async () => {
      await api.close(200)
      await alerts.settled()
      await store.close()
      await log.close()
      await rm(home, { recursive: true })
    },
  }
}
