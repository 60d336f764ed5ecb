import { access } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import type { Places } from '../../common/paths.ts'
import type { LogLevel } from '../../common/telemetry/log.ts'
import { accountRate } from '../../drive/connectors/manifest.ts'
import type { Account } from '../providers/account.ts'
import type { MountRecord, Options } from '../store/records.ts'
import { findRclone } from './drivers/rclone.ts'
import { type MountOptions, readMountOptions } from './mount-options.ts'
import type { MountPlan } from './supervisor-host.ts'

/** Where accounts come from. */
export interface AccountSource {
  /** With its secrets, for a worker of this mount. */
  account(providerId: string, mountId: string): Promise<Account>
  /** Without them, for a time when they cannot be had. */
  bareAccount(providerId: string): Promise<{ readonly name: string; readonly type: string; readonly options: Options }>
}

export interface PlanParts {
  readonly accounts: AccountSource
  readonly places: Pick<Places, 'kind' | 'mounts' | 'logs' | 'run'>
  readonly logLevel: LogLevel
}

/** See docs/semantics.md: nothing on the mount waits longer than this for the cloud. */
const deadlines = { metadataMs: 15_000, readMs: 60_000, writeMs: 60_000 }

/** Where rclone keeps what is written until it hands it over. */
export function rcloneCache(folder: string): string {
  return join(folder, 'rclone')
}

/** Folder of a mount's database and blobs, named by the id that never changes. */
export function driveFolder(record: Pick<MountRecord, 'id' | 'cacheDir'>, places: Pick<Places, 'mounts'>): string {
  return join(record.cacheDir === '' ? places.mounts : record.cacheDir, record.id)
}

/** Everything a mount needs to come up. `secretsMissing`: it serves from its cache until they can be had. */
export async function planMount(
  record: MountRecord,
  parts: PlanParts,
): Promise<MountPlan & { readonly secretsMissing: CloudError | null }> {
  const { accounts, places } = parts
  let secretsMissing: CloudError | null = null
  const account = await accounts.account(record.providerId, record.id).catch(async (caught: unknown) => {
    secretsMissing = CloudError.from(caught)
    return { ...(await accounts.bareAccount(record.providerId)), secrets: {} }
  })
  const secrets = Object.fromEntries(Object.entries(account.secrets).map(([name, secret]) => [name, secret.reveal()]))
  const { id, name, remoteRoot, cacheSize, readOnly, uid, gid, umask, access, revision } = record
  // A system service mounts for others: who may enter is decided by modes then, and an owner's mount shows a root folder of 0700.
  const othersEnter = access === 'all' || places.kind === 'system'
  const { driver, ...options } = readMountOptions(record.options)
  const folder = driveFolder(record, places)
  const source = `cloudmoor:${name}`
  return {
    secretsMissing,
    rclone: (await isByRclone(driver))
      ? {
          ...{ path: record.path, source, allowOther: othersEnter, readOnly, uid, gid, umask },
          ...{ cacheFolder: rcloneCache(folder), runFolder: places.run },
        }
      : null,
    revision,
    kernel: { path: record.path, source, allowOther: othersEnter, readOnly },
    open: {
      mountId: id,
      name,
      folder,
      connector: { type: account.type, options: account.options, remoteRoot },
      secrets,
      cacheSize,
      readOnly,
      held: false,
      uid,
      gid,
      umask: access === 'owner' && othersEnter ? umask | 0o077 : umask,
      requestsPerSecond: accountRate(account.type, account.options),
      ...options,
      deadlines,
      logFile: join(places.logs, `mount-${id}.log`),
      logLevel: parts.logLevel,
    },
  }
}

/** Ourselves, unless there is no FUSE device but an rclone: where neither is, what is missing first is the device. */
async function isByRclone(driver: MountOptions['driver']): Promise<boolean> {
  if (driver !== 'auto') return driver === 'rclone'
  const isThere = (path: Promise<unknown>) =>
    path.then(
      () => true,
      () => false,
    )
  return !(await isThere(access('/dev/fuse'))) && isThere(findRclone())
}
