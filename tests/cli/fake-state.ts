/** Settings, backups and orphans of the service that answers from data. */
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { Code, ConnectError } from '@connectrpc/connect'
import type { ConnectRouter } from '@connectrpc/connect'
import { BackupService } from '../../proto/gen/cloudmoor/v1/backup_pb.js'
import { OrphanService } from '../../proto/gen/cloudmoor/v1/orphan_pb.js'
import { SettingsService } from '../../proto/gen/cloudmoor/v1/settings_pb.js'
import { ErrorInfoSchema, RequestInfoSchema } from '../../proto/gen/google/rpc/error_details_pb.js'

const auditDays = {
  ...{ name: 'auditDays', value: '400', defaultValue: '400', unit: 'days' },
  description: 'Days for which the audit log is kept.',
}
const mountRoots = { name: 'mountRoots', value: '', atOnce: true, description: 'Folders in which others may choose mount points.' }

const backup = {
  program: '0.1.0',
  createTime: timestampFromDate(new Date('2026-11-23T08:00:00Z')),
  bytes: 40960n,
  sha256: 'ab'.repeat(32),
  withKeys: true,
  unsent: [{ name: 'photos', files: 2n, bytes: 3000n }],
}

const orphan = {
  id: '0123456789abcdef',
  name: 'old',
  folder: '/home/ada/.local/state/cloudmoor/mounts/0123456789abcdef',
  path: '/home/ada/old',
  accountId: 'p-1',
  accountName: 'photos',
  remoteRoot: 'a/b',
  queue: { files: 3n, bytes: 7000n },
  conflicts: 1n,
}

export function refusal(code: Code, reason: string, message: string, hint = ''): ConnectError {
  const info = { desc: ErrorInfoSchema, value: { reason, domain: 'cloudmoor', metadata: hint === '' ? {} : { hint } } }
  return new ConnectError(message, code, undefined, [info, { desc: RequestInfoSchema, value: { requestId: 'c-7' } }])
}

export function addStateServices(service: ConnectRouter['service']): void {
  service(SettingsService, {
    listSettings: () => ({ settings: [{ ...auditDays, isSet: true, value: '30', restartNeeded: true }, mountRoots] }),
    updateSetting: ({ name, value }) => {
      if (name !== 'auditDays') throw refusal(Code.NotFound, 'NOT_FOUND', `there is no setting '${name}'`)
      return { setting: { ...auditDays, isSet: true, value, restartNeeded: true } }
    },
    resetSetting: () => ({ setting: mountRoots }),
  })
  service(BackupService, {
    createBackup: () => ({ backup }),
    verifyBackup: ({ path }) => {
      if (path.endsWith('.bad')) throw refusal(Code.DataLoss, 'DAMAGED', 'the backup is not as it was written')
      return path.endsWith('.db') ? { backup: {} } : { backup: { ...backup, withKeys: false, unsent: [] } }
    },
  })
  service(OrphanService, {
    listOrphans: () => ({ orphans: [orphan] }),
    adoptOrphan: ({ name, path }) => ({ mount: { id: orphan.id, name: name || 'old', path: path || orphan.path, providerId: 'p-1' } }),
    exportOrphan: () => ({ files: 2n, bytes: 5000n, failures: 1n, failed: [{ path: 'a/b', reason: 'its base is gone' }] }),
    discardOrphan: ({ files }) => {
      if (files !== 3n) throw refusal(Code.Aborted, 'CONFLICT', `3 files are not uploaded, not ${files}`)
      return {}
    },
  })
}
