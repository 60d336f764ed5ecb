/** A service that answers from data, behind the real client: what the command line prints depends on nothing else. */
import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampFromDate } from '@bufbuild/protobuf/wkt'
import { Code, createClient, createRouterTransport } from '@connectrpc/connect'
import type { ServiceConnection } from '../../proto/client/connect.ts'
import { BackupService } from '../../proto/gen/cloudmoor/v1/backup_pb.js'
import { BrowseService } from '../../proto/gen/cloudmoor/v1/browse_pb.js'
import { CacheService } from '../../proto/gen/cloudmoor/v1/cache_pb.js'
import type { ConflictSchema } from '../../proto/gen/cloudmoor/v1/conflict_pb.js'
import { ConflictKind, ConflictService } from '../../proto/gen/cloudmoor/v1/conflict_pb.js'
import type { FileSchema } from '../../proto/gen/cloudmoor/v1/file_pb.js'
import { FileService, FileState, FileType } from '../../proto/gen/cloudmoor/v1/file_pb.js'
import { LogLevel, LogService } from '../../proto/gen/cloudmoor/v1/log_pb.js'
import type { MountSchema, StopMountRequest, UpdateMountRequest } from '../../proto/gen/cloudmoor/v1/mount_pb.js'
import { ConditionKind, MountAccess, MountService, MountState } from '../../proto/gen/cloudmoor/v1/mount_pb.js'
import type {
  CreateProviderRequest,
  ProviderSchema,
  ProviderTypeSchema,
  UpdateProviderRequest,
} from '../../proto/gen/cloudmoor/v1/provider_pb.js'
import { OrphanService } from '../../proto/gen/cloudmoor/v1/orphan_pb.js'
import { CheckResult, ProviderService } from '../../proto/gen/cloudmoor/v1/provider_pb.js'
import { DiagnosisResult, SystemService } from '../../proto/gen/cloudmoor/v1/system_pb.js'
import { TransferKind, TransferService, TransferState } from '../../proto/gen/cloudmoor/v1/transfer_pb.js'
import { AlertService } from '../../proto/gen/cloudmoor/v1/alert_pb.js'
import { AuditService } from '../../proto/gen/cloudmoor/v1/audit_pb.js'
import { SettingsService } from '../../proto/gen/cloudmoor/v1/settings_pb.js'
import { SessionService } from '../../proto/gen/cloudmoor/v1/session_pb.js'
import { TokenService } from '../../proto/gen/cloudmoor/v1/token_pb.js'
import { UserService } from '../../proto/gen/cloudmoor/v1/user_pb.js'
import { ConfigService } from '../../proto/gen/cloudmoor/v1/config_pb.js'
import { VaultService, VaultSlotKind, VaultState } from '../../proto/gen/cloudmoor/v1/vault_pb.js'
import type { AddSlotRequest, PutSecretRequest, UnlockVaultRequest, VaultSlotSchema } from '../../proto/gen/cloudmoor/v1/vault_pb.js'
import { alertMethods, auditMethods } from './fake-records.ts'
import { addStateServices, refusal } from './fake-state.ts'

const at = timestampFromDate(new Date('2026-11-23T08:00:00Z'))

export const s3 = {
  id: 's3',
  title: 'Amazon S3 and compatible',
  summary: 'Buckets of any S3 server.',
  maturity: 'beta',
  docs: 'docs/providers/s3.md',
  optionsSchema: {
    type: 'object',
    required: ['bucket', 'secretAccessKey'],
    properties: {
      endpoint: { type: 'string', title: 'Endpoint', description: 'URL of the server' },
      bucket: { type: 'string', title: 'Bucket', description: 'name of the bucket' },
      pathStyle: { type: 'boolean', title: 'Path style', description: 'bucket in the path', default: false },
      secretAccessKey: { type: 'string', title: 'Secret access key', description: 'second half of the key', secret: true },
      sessionToken: { type: 'string', title: 'Session token', description: 'of temporary keys', secret: true },
    },
  },
  presets: [{ name: 'minio', title: 'MinIO', values: { pathStyle: true } }],
}

const photos: MessageInitShape<typeof ProviderSchema> = {
  id: 'p-1',
  name: 'photos',
  etag: '1',
  type: 's3',
  options: { bucket: 'photos', endpoint: 'https://s3.test' },
  secrets: [{ name: 'secretAccessKey', updateTime: at }],
  createTime: at,
  updateTime: at,
}

export const mounts: readonly MessageInitShape<typeof MountSchema>[] = [
  {
    id: 'm-1',
    name: 'photos',
    etag: '1',
    providerId: 'p-1',
    path: '/home/ada/photos',
    cacheSize: 10n * 1024n ** 3n,
    access: MountAccess.OWNER,
    enabled: true,
    options: { fsync: 'remote' },
    status: {
      state: MountState.MOUNTED,
      since: at,
      workerPid: 4242,
      queue: { files: 3n, bytes: 5_242_880n, parked: 1n, uploading: 1n },
      cache: { bytes: 1_610_612_736n, limit: 10n * 1024n ** 3n, dirtyBytes: 5_242_880n },
      conditions: [{ kind: ConditionKind.OFFLINE, since: at, reason: 'connection refused by s3.test' }],
    },
  },
  {
    id: 'm-2',
    name: 'old\u001b[31m',
    etag: '1',
    providerId: 'p-1',
    remoteRoot: 'archive',
    path: '/mnt/old',
    cacheSize: 1024n ** 3n,
    access: MountAccess.ALL,
    readOnly: true,
    status: { state: MountState.FAILED, since: at, reason: 'the folder is not empty', cache: { limit: 1024n ** 3n } },
  },
]

export interface Calls {
  /** There is no vault until the first account is made. */
  withoutVault?: boolean
  created?: CreateProviderRequest
  updated?: UpdateProviderRequest
  mountUpdated?: UpdateMountRequest
  stopped?: StopMountRequest
  unlocked?: UnlockVaultRequest
  slotAdded?: AddSlotRequest
  secretPut?: PutSecretRequest
}

const keyFileSlot: MessageInitShape<typeof VaultSlotSchema> = {
  id: 'slot-1',
  kind: VaultSlotKind.KEY_FILE,
  detail: '/home/ada/.local/state/cloudmoor/secrets.key',
  createTime: at,
}
const passphraseSlot: MessageInitShape<typeof VaultSlotSchema> = {
  id: 'slot-2',
  kind: VaultSlotKind.PASSPHRASE,
  detail: 'Argon2id, 64 MiB, 3 passes, 4 lanes',
  createTime: at,
}

const unproved: MessageInitShape<typeof ConflictSchema> = {
  id: 'q1',
  mountId: 'm-1',
  path: 'a.raw',
  kind: ConflictKind.UNPROVED,
  detectTime: at,
  mine: { path: 'quarantine/17.2', size: 3_145_728n, modifyTime: at },
  theirs: { path: 'a.raw', size: 1_048_576n, modifyTime: at },
}

const rawFile: MessageInitShape<typeof FileSchema> = {
  path: '2026/a.raw',
  name: 'a.raw',
  type: FileType.FILE,
  size: 3_145_728n,
  localBytes: 1_048_576n,
  modifyTime: at,
  state: FileState.CACHED,
}
const folder2026: MessageInitShape<typeof FileSchema> = {
  path: '2026',
  name: '2026',
  type: FileType.FOLDER,
  modifyTime: at,
  state: FileState.PINNED,
}

/** An error as the service makes it. */
/** @param calls takes what was asked for. @param types provider types, if not those made up for these tests */
export function fakeConnection(calls: Calls, types: readonly MessageInitShape<typeof ProviderTypeSchema>[] = [s3]): ServiceConnection {
  const transport = createRouterTransport(({ service }) => {
    service(SystemService, {
      getVersion: () => ({ version: '0.1.0', apiLevel: 1 }),
      getStatus: () => ({
        version: '0.1.0',
        pid: 77,
        startTime: timestampFromDate(new Date(Date.now() - 3_700_000)),
        stateDir: '/home/ada/.local/state/cloudmoor',
        kind: 'user',
        mounts: 2,
        mounted: 1,
        queue: { files: 3n, bytes: 5_242_880n, parked: 1n, uploading: 1n },
        queueComplete: true,
      }),
      diagnose: () => ({ diagnoses: [{ name: 'vault', result: DiagnosisResult.WARNING, detail: 'locked', hint: 'unlock it' }] }),
    })
    service(ProviderService, {
      listProviderTypes: () => ({ providerTypes: [...types] }),
      listProviders: ({ name }) => ({ providers: name === '' || name === 'photos' ? [photos] : [] }),
      getProvider: () => ({ provider: photos }),
      createProvider: (request) => {
        calls.created = request
        calls.withoutVault = false
        return { provider: { ...photos, name: request.provider?.name ?? '' } }
      },
      updateProvider: (request) => {
        calls.updated = request
        return { provider: photos }
      },
      removeProvider: () => {
        throw refusal(Code.FailedPrecondition, 'PROVIDER_IN_USE', 'used by photos, old')
      },
      testProvider: () => ({
        checks: [
          { name: 'conditional-write', result: CheckResult.YES, detail: 'If-Match was honoured' },
          { name: 'versions', result: CheckResult.UNSPECIFIED, detail: '' },
        ],
      }),
    })
    service(BrowseService, {})
    service(MountService, {
      listMounts: ({ name }) => ({ mounts: mounts.filter((mount) => name === '' || mount.name === name).map((mount) => ({ ...mount })) }),
      createMount: ({ mount }) => ({ mount: { ...mount, $typeName: undefined, id: 'm-3' } as MessageInitShape<typeof MountSchema> }),
      startMount: () => ({ mount: mounts[0] ?? {} }),
      stopMount: (request) => {
        calls.stopped = request
        if (!request.force) throw refusal(Code.FailedPrecondition, 'MOUNT_BUSY', 'used by vim (31), bash (30)')
        return {
          mount: { ...mounts[0], status: { state: MountState.UNMOUNTED, queue: { files: 3n, bytes: 5_242_880n } } } as MessageInitShape<
            typeof MountSchema
          >,
        }
      },
      updateMount: (request) => {
        calls.mountUpdated = request
        return { mount: mounts[0] ?? {} }
      },
      removeMount: () => {
        throw refusal(Code.FailedPrecondition, 'UNSENT_FILES', '3 files are not uploaded yet')
      },
    })
    service(FileService, {
      getFileState: ({ path }) => ({
        path,
        state: FileState.QUEUED,
        type: FileType.FILE,
        size: 3_145_728n,
        localBytes: 3_145_728n,
        reason: 'waits for quiet',
        localOnly: ['owner', 'mode'],
        sheet: [],
      }),
      listFiles: () => ({ files: [folder2026, rawFile] }),
      searchFiles: () => ({ files: [rawFile] }),
      pinFile: () => ({ files: 2n }),
      freeFile: () => ({ freedBytes: 3_145_728n, keptFiles: 1n }),
      renameFile: () => ({}),
      removeFile: () => {
        throw refusal(Code.FailedPrecondition, 'NOT_EMPTY', 'the folder is not empty')
      },
    })
    service(CacheService, {
      getCacheUsage: () => ({ bytes: 1_610_612_736n, limit: 10n * 1024n ** 3n, dirtyBytes: 5_242_880n, pinnedBytes: 0n }),
      clearCache: () => ({ freedBytes: 1_605_369_856n, keptFiles: 2n }),
    })
    service(ConflictService, {
      listConflicts: () => ({ conflicts: [unproved] }),
      resolveConflict: () => ({ path: 'a.raw' }),
    })
    service(AuditService, auditMethods)
    service(AlertService, alertMethods)
    service(TransferService, {
      listTransfers: () => ({
        transfers: [
          {
            id: 1n,
            mountId: 'm-1',
            path: 'a.raw',
            kind: TransferKind.UPLOAD,
            state: TransferState.RUNNING,
            size: 4_194_304n,
            done: 1_048_576n,
            tries: 1,
          },
          {
            id: 2n,
            mountId: 'm-1',
            path: 'b',
            kind: TransferKind.REMOVE,
            state: TransferState.RETRYING,
            tries: 3,
            reason: '503 from the server',
          },
        ],
        unavailableMountIds: ['m-2'],
      }),
      retryTransfers: () => ({}),
      confirmSafe: () => ({
        onDisk: true,
        uploaded: false,
        mounts: [{ mountId: 'm-1', onDisk: true, uploaded: false, pendingFiles: 3n, pendingBytes: 5_242_880n, conflicts: 1n }],
      }),
    })
    service(ConfigService, {
      exportConfig: ({ passphrase }) => ({
        text: passphrase === '' ? 'version: 1\nproviders: []\nmounts: []\n' : 'version: 1\nsealing: {}\n',
      }),
      importConfig: () => {
        const fields = [
          { field: 'name', from: 'drive', to: 'files\u001b[2J' },
          { field: 'options.fsync', from: 'remote', to: '' },
        ]
        return { changes: [{ action: 'update', kind: 'mount', name: 'files', fields }], warnings: ["'cloud' has no secretAccessKey yet"] }
      },
    })
    service(VaultService, {
      getVault: () => ({
        vault: {
          ...{
            state: calls.withoutVault === true ? VaultState.NONE : VaultState.UNLOCKED,
            slots: [keyFileSlot, passphraseSlot],
            secrets: 2,
            openedBy: 'slot-1',
          },
          ...{ createTime: at, rotateTime: at },
        },
      }),
      testVault: () => ({ secrets: 2, problems: [{ what: 'secret', id: 's-2', name: 'sessionToken', detail: 'is not as it was saved' }] }),
      unlockVault: (request) => {
        calls.unlocked = request
        if (request.by.case === undefined) throw refusal(Code.PermissionDenied, 'VAULT_KEY', 'the vault does not open by itself')
        return { slot: passphraseSlot }
      },
      lockVault: () => ({}),
      rotateVault: () => ({}),
      addSlot: (request) => {
        calls.slotAdded = request
        return { slot: { ...passphraseSlot, id: 'slot-3', kind: request.kind } }
      },
      removeSlot: () => {
        throw refusal(Code.FailedPrecondition, 'LAST_SLOT', 'this is the last slot: without it nothing opens the vault')
      },
      createRecoveryKey: () => ({ recoveryKey: 'aaaa-bbbb-cccc-dddd-eeee-ffff-gggg-hhhh-jjjj' }),
      putSecret: (request) => {
        calls.secretPut = request
        return { secret: { id: 's-3', name: request.name, version: 2, createTime: at } }
      },
      listSecrets: () => ({
        secrets: [
          { id: 's-3', name: 'webhook', version: 2, createTime: at },
          { id: 's-1', owner: 'p-1', name: 'secretAccessKey', version: 1, createTime: at },
        ],
      }),
      deleteSecret: () => ({}),
    })
    addStateServices(service)
    service(LogService, {
      tailLogs: async function* () {
        yield {
          entries: [
            { time: at, level: LogLevel.INFO, program: 'service', pid: 77, message: 'started', fields: { version: '0.1.0' } },
            {
              time: at,
              level: LogLevel.ERROR,
              program: 'worker',
              pid: 78,
              message: 'upload failed\u001b[2J',
              correlationId: 'c-7',
              fields: { file: 'a b' },
            },
          ],
        }
      },
    })
  })
  return {
    vault: createClient(VaultService, transport),
    users: createClient(UserService, transport),
    alerts: createClient(AlertService, transport),
    audit: createClient(AuditService, transport),
    tokens: createClient(TokenService, transport),
    sessions: createClient(SessionService, transport),
    config: createClient(ConfigService, transport),
    system: createClient(SystemService, transport),
    providers: createClient(ProviderService, transport),
    browse: createClient(BrowseService, transport),
    mounts: createClient(MountService, transport),
    orphans: createClient(OrphanService, transport),
    backups: createClient(BackupService, transport),
    settings: createClient(SettingsService, transport),
    files: createClient(FileService, transport),
    transfers: createClient(TransferService, transport),
    conflicts: createClient(ConflictService, transport),
    cache: createClient(CacheService, transport),
    logs: createClient(LogService, transport),
    close: () => undefined,
  }
}
