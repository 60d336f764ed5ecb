import { homedir } from 'node:os'
import { join } from 'node:path'
import { systemClock } from './common/clock.ts'
import { CloudError } from './common/errors.ts'
import { newId } from './common/ids.ts'
import { loadNative } from './common/native/load-native.ts'
import { findPlaces, preparePlaces } from './common/paths.ts'
import { openLog } from './common/telemetry/log.ts'
import { version } from './common/version.ts'
import { openApi } from './control/api/open-api.ts'
import { readWebSettings } from './control/api/open-web.ts'
import { createBackups } from './control/backup/backups.ts'
import { restoreAtStart } from './control/backup/restore-at-start.ts'
import { convergeTo } from './control/config/config-files.ts'
import { createConfiguration } from './control/config/configuration.ts'
import { createAccountProber } from './control/mounts/account-prober.ts'
import { createMountManager } from './control/mounts/mount-manager.ts'
import { MountRecords } from './control/mounts/mount-records.ts'
import { scriptArguments } from './control/mounts/script.ts'
import { WorkerPool } from './control/mounts/worker-pool.ts'
import { createProviders } from './control/providers/providers.ts'
import { auditedAccounts } from './control/service/audited-accounts.ts'
import { groupIdOf } from './control/service/group-of.ts'
import { readServiceFlags, usage } from './control/service/service-flags.ts'
import { openServiceAlerts, tellOfAudit } from './control/service/service-alerts.ts'
import { ServiceLife } from './control/service/service-life.ts'
import { watchHealth } from './control/service/watch-health.ts'
import { openStore } from './control/store/open-store.ts'
import { readSetting, readSettings } from './control/store/settings.ts'
import type { SettingTable } from './control/store/store.ts'
import { createAccess } from './control/users/access.ts'
import { loginCost } from './control/users/password.ts'
import { isRole } from './control/users/principal.ts'
import type { Role } from './control/users/principal.ts'
import { openAudit } from './control/users/audit.ts'
import { createKeyFile, readKeyFile } from './control/vault/key-file.ts'
import { createVault } from './control/vault/create-vault.ts'
import { createKeychain } from './control/vault/keychain.ts'
import { descriptors } from './drive/connectors/manifest.ts'

/** The service: accounts, mounts and their workers, and the door for programs. */
async function main(): Promise<void> {
  const flags = readServiceFlags(process.argv.slice(2))
  if (flags.print !== null) {
    process.stdout.write(flags.print === 'version' ? `cloudmoor-service ${version}\n` : usage)
    return
  }
  const startedAt = Date.now()
  process.umask(0o077)
  // Before the pool's first use: a look at a mount point that hangs must not stop the others.
  process.env['UV_THREADPOOL_SIZE'] ??= '16'
  const hints = { env: process.env, home: homedir(), system: flags.system }
  const found = findPlaces(hints)
  const places = { ...found, database: flags.database ?? found.database }
  await preparePlaces(places)
  process.chdir('/')
  const native = loadNative()
  native.forbidCore()
  native.setProcessName('cloudmoor-serv')
  const log = await openLog({ file: join(places.logs, 'service.log'), program: 'service', level: 'info' })

  const keys = { 'secrets.key': places.keyFile, 'audit.key': places.auditKey }
  const { database, backups: copies, lock } = places
  if (flags.restore !== null) await restoreAtStart(flags.restore, places)
  const store = await openStore({ database, backups: copies, lock, lockWaitMs: 10_000, keys })
  for (const [name, value] of flags.settings) await store.settings.set(name, value)
  const startedSettings = await readSettings(store.settings)
  const keychain = createKeychain({ program: scriptArguments('./control/vault/keychain-thread', import.meta.url), env: process.env })
  const vault = createVault({
    ...{ table: store.vault, clock: systemClock, log: log.write, kind: places.kind },
    machine: { keyFile: places.keyFile, keychain, credentials: process.env['CREDENTIALS_DIRECTORY'] },
  })

  const program = scriptArguments('./worker', import.meta.url)
  const worker = { native, clock: systemClock, places, log: log.write, program }
  const pool = new WorkerPool(worker)
  const accounts = createAccountProber(pool)
  const { secrets, serving } = vault
  const providers = createProviders({ table: store.providers, secrets, serving, prober: accounts, descriptors })

  const instance = await instanceOf(store.settings)
  const { alerts, end: endAlerts } = await openServiceAlerts({ store, secrets, log, logs: places.logs, instance, version })
  const audit = await openAudit({
    ...{ table: store.audit, clock: systemClock, log: log.write, keptDays: Number(await readSetting(store.settings, 'auditDays')) },
    key: (await readKeyFile(places.auditKey)) ?? (await createKeyFile(places.auditKey)),
    onWritable: (isWritable) => tellOfAudit(alerts, isWritable),
  })
  const mounts = createMountManager({
    host: {
      ...{ native, clock: systemClock, pool, log, records: new MountRecords(places.run) },
      plans: { places, logLevel: 'info', accounts: auditedAccounts(providers, audit) },
      stopTimeoutMs: await stopTimeoutMs(store.settings),
      onAlert: ({ id }, severity, reason, message) => alerts.raise({ severity, mountId: id, reason, message }),
    },
    ...{ worker, table: store.mounts, accounts, descriptors, places, hints, version },
  })
  providers.onChange((id) => mounts.accountChanged(id))
  const sweep = () =>
    providers
      .sweep()
      .catch((caught: unknown) => log.write('info', 'secrets without an account stay for now', { error: CloudError.from(caught) }))
  vault.onUnlock(() => {
    mounts.accountChanged(null)
    void sweep()
  })

  const access = createAccess(store, systemClock, loginCost)
  const configuration = createConfiguration({ store, providers, secrets, mounts, descriptors, around: { places, hints } })

  const backups = createBackups({ copies: store.copies, mounts, places, version, now: Date.now })

  const life = new ServiceLife(native)
  await vault.begin()
  const endHealth = watchHealth({ mounts, alerts, audit, vault, settings: store.settings, state: places.state })
  await mounts.begin()
  const api = await openApi({
    ...{
      places,
      version,
      startedAt,
      log,
      providers,
      mounts,
      vault,
      access,
      audit,
      alerts,
      configuration,
      backups,
      startedSettings,
      instance,
    },
    web: await readWebSettings(store.settings, places.state, Date.now()),
    group: flags.system ? await groupOf(store.settings) : null,
    requests: store.requests,
    settings: store.settings,
    service: life,
    peerCredentials: (descriptor) => native.peerCredentials(descriptor),
  })
  // From here on the order of the end is: door, mounts, store, log.
  const converge = () => convergeTo(flags.config, { configuration, log, alerts, audit })
  const door = {
    close: async (graceMs: number) => {
      endHealth()
      await api.close(graceMs)
      await endAlerts()
    },
  }
  life.begin({ api: door, mounts, store, log }, () => void converge())
  log.write('info', `service ${version} is ready`, { pid: process.pid })
  await converge()
  void sweep()
}

/** Whom the socket of a system service lets in besides. */
async function groupOf(settings: SettingTable): Promise<{ readonly id: number; readonly role: Role } | null> {
  const role = await readSetting(settings, 'groupRole')
  const id = await groupIdOf('cloudmoor')
  return id === null || !isRole(role) ? null : { id, role }
}

/** Made at the first start. */
async function instanceOf(settings: SettingTable): Promise<string> {
  const known = await settings.get('instance')
  if (known !== null) return known
  const made = newId(8)
  await settings.set('instance', made)
  return made
}

/** How long uploads and open files of a busy mount get when the service stops. */
async function stopTimeoutMs(settings: { get(name: string): Promise<string | null> }): Promise<number> {
  return Number(await readSetting(settings, 'stopTimeoutSeconds')) * 1000
}

main().catch((caught: unknown) => {
  const error = CloudError.from(caught)
  process.stderr.write(`cloudmoor-service: ${error.message}${error.hint === undefined ? '' : `\n  ${error.hint}`}\n`)
  process.exit(error.kind === 'invalid' ? 2 : 1)
})
