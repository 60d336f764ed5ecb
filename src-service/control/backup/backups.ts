import { open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import type { Places } from '../../common/paths.ts'
import type { Secret } from '../../common/secret.ts'
import { serialise } from '../../common/serialise.ts'
import type { MountManager } from '../mounts/mount-manager-contract.ts'
import type { Store } from '../store/store.ts'
import { type BackupHead, copyDatabase, readHead, type UnsentFiles, writeBackup } from './backup-file.ts'
import { openKeys, sealKeys } from './sealed-keys.ts'
import { readKey, type RestoreFrom, type StagedRestore, stageRestore } from './stage-restore.ts'

/** The service's database (accounts, mounts, users, settings, audit log, sealed secrets) as one file. Paths are absolute. */
export interface Backups {
  /** @param passphrase with it the key files go along, sealed. Throws `exists` if the file is there. */
  create(path: string, passphrase: Secret | null, signal: AbortSignal): Promise<BackupHead>
  /** Reads all of it. Null: a plain copy of the database, which only the database itself can vouch for. */
  verify(path: string, passphrase: Secret | null): Promise<BackupHead | null>
  /** Everything up to the moment when nothing but a new start is missing. */
  stage(from: RestoreFrom): Promise<StagedRestore>
}

export interface BackupParts {
  readonly copies: Store['copies']
  readonly mounts: Pick<MountManager, 'list' | 'orphans'>
  readonly places: Pick<Places, 'database' | 'backups' | 'keyFile' | 'auditKey'>
  readonly version: string
  readonly now: () => number
}

export function createBackups({ copies, mounts, places, version, now }: BackupParts): Backups {
  const inTurn = serialise()

  async function unsent(signal: AbortSignal): Promise<UnsentFiles[]> {
    const known = (await mounts.list(signal)).map(({ record, status }) => ({ id: record.id, name: record.name, queue: status.queue }))
    return [...known, ...(await mounts.orphans.list(signal))].flatMap(({ id, name, queue }) =>
      queue?.files === 0 ? [] : [{ name, mountId: id, files: queue?.files ?? null, bytes: queue?.bytes ?? 0 }],
    )
  }

  async function keys(passphrase: Secret) {
    const found = new Map<string, Buffer>()
    for (const [name, path] of [
      ['secrets.key', places.keyFile],
      ['audit.key', places.auditKey],
    ] as const) {
      const key = await readKey(path)
      if (key !== null) found.set(name, key)
    }
    return sealKeys(passphrase, found)
  }

  /** Works on a copy of the database that is gone afterwards. */
  async function withCopy<T>(work: (copy: string) => Promise<T>): Promise<T> {
    const copy = join(places.backups, `copy-${newId(8)}.unfinished`)
    try {
      return await work(copy)
    } finally {
      await rm(copy, { force: true })
    }
  }

  return {
    create: (path, passphrase, signal) =>
      inTurn(() =>
        withCopy(async (copy) => {
          const sealed = passphrase === null ? null : await keys(passphrase)
          const { schema } = await copies.make(copy)
          const head = { version: 1, program: version, schema, createdAt: now(), keys: sealed, unsent: await unsent(signal) } as const
          return writeBackup(path, head, copy)
        }),
      ),

    verify: (path, passphrase) =>
      inTurn(() =>
        withCopy(async (copy) => {
          const file = await openBackup(path)
          const target = await open(copy, 'wx', 0o600)
          try {
            const opened = await readHead(file)
            await copyDatabase(file, opened, target)
            if (opened.head?.keys != null && passphrase !== null) await openKeys(passphrase, opened.head.keys)
            await copies.check(copy)
            return opened.head
          } finally {
            await Promise.all([file.close(), target.close()])
          }
        }),
      ),

    stage: (from) => inTurn(() => stageRestore(from, places.database, (copy) => copies.check(copy))),
  }
}

async function openBackup(path: string) {
  const found = await stat(path).catch((caught: unknown) => {
    throw new CloudError(CloudError.from(caught).kind, `the backup ${path} cannot be read`, { cause: caught })
  })
  if (!found.isFile()) throw new CloudError('invalid', `${path} is no file`)
  return open(path, 'r')
}
