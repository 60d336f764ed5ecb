import type { ServiceImpl } from '@connectrpc/connect'
import type { BackupService } from '../../../proto/gen/cloudmoor/v1/backup_pb.js'
import { Secret } from '../../common/secret.ts'
import type { BackupHead } from '../backup/backup-file.ts'
import type { Backups } from '../backup/backups.ts'
import type { ServiceControl } from './service-control.ts'
import { readDuration, writeQueue, writeTime } from './wire-values.ts'

/** BackupService in terms of `Backups`. */
export function backupHandler(backups: Backups, service: Pick<ServiceControl, 'replace'>): ServiceImpl<typeof BackupService> {
  return {
    createBackup: async ({ path, passphrase }, { signal }) => ({
      backup: writeHead(await backups.create(path, secretOf(passphrase), signal)),
    }),

    verifyBackup: async ({ path, passphrase }) => ({ backup: writeHead(await backups.verify(path, secretOf(passphrase))) }),

    restoreBackup: async ({ path, passphrase, uploadTimeout }) => {
      const staged = await backups.stage({ path, passphrase: secretOf(passphrase) })
      const unsent = await service.replace(uploadTimeout === undefined ? null : readDuration(uploadTimeout), () => staged.commit())
      return { unsent: unsent.map(({ mountId, name, queue }) => ({ mountId, name, queue: writeQueue(queue) })) }
    },
  }
}

function secretOf(passphrase: string): Secret | null {
  return passphrase === '' ? null : new Secret(passphrase)
}

function writeHead(head: BackupHead | null) {
  if (head === null) return {}
  const { program, createdAt, database, keys, unsent } = head
  return {
    program,
    createTime: writeTime(createdAt),
    bytes: BigInt(database.bytes),
    sha256: database.sha256,
    withKeys: keys !== null,
    unsent: unsent.map(({ name, files, bytes }) => ({ name, files: BigInt(files ?? 0), bytes: BigInt(bytes) })),
  }
}
