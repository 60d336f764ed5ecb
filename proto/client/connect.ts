import { createClient } from '@connectrpc/connect'
import type { Client, Transport } from '@connectrpc/connect'
import { createConnectTransport, createGrpcTransport, Http2SessionManager } from '@connectrpc/connect-node'
import { connect } from 'node:net'
import { AlertService } from '../gen/cloudmoor/v1/alert_pb.js'
import { AuditService } from '../gen/cloudmoor/v1/audit_pb.js'
import { BackupService } from '../gen/cloudmoor/v1/backup_pb.js'
import { BrowseService } from '../gen/cloudmoor/v1/browse_pb.js'
import { CacheService } from '../gen/cloudmoor/v1/cache_pb.js'
import { ConflictService } from '../gen/cloudmoor/v1/conflict_pb.js'
import { ConfigService } from '../gen/cloudmoor/v1/config_pb.js'
import { FileService } from '../gen/cloudmoor/v1/file_pb.js'
import { LogService } from '../gen/cloudmoor/v1/log_pb.js'
import { MountService } from '../gen/cloudmoor/v1/mount_pb.js'
import { OrphanService } from '../gen/cloudmoor/v1/orphan_pb.js'
import { ProviderService } from '../gen/cloudmoor/v1/provider_pb.js'
import { SessionService } from '../gen/cloudmoor/v1/session_pb.js'
import { SettingsService } from '../gen/cloudmoor/v1/settings_pb.js'
import { SystemService } from '../gen/cloudmoor/v1/system_pb.js'
import { TokenService } from '../gen/cloudmoor/v1/token_pb.js'
import { TransferService } from '../gen/cloudmoor/v1/transfer_pb.js'
import { UserService } from '../gen/cloudmoor/v1/user_pb.js'
import { VaultService } from '../gen/cloudmoor/v1/vault_pb.js'

/** Every service of the contract over one socket. Failed calls reject with a ConnectError; `readError` reads it. */
export interface ServiceConnection {
  readonly system: Client<typeof SystemService>
  readonly providers: Client<typeof ProviderService>
  readonly browse: Client<typeof BrowseService>
  readonly mounts: Client<typeof MountService>
  readonly orphans: Client<typeof OrphanService>
  readonly files: Client<typeof FileService>
  readonly transfers: Client<typeof TransferService>
  readonly conflicts: Client<typeof ConflictService>
  readonly cache: Client<typeof CacheService>
  readonly logs: Client<typeof LogService>
  readonly vault: Client<typeof VaultService>
  readonly users: Client<typeof UserService>
  readonly alerts: Client<typeof AlertService>
  readonly audit: Client<typeof AuditService>
  readonly tokens: Client<typeof TokenService>
  readonly sessions: Client<typeof SessionService>
  readonly config: Client<typeof ConfigService>
  readonly settings: Client<typeof SettingsService>
  readonly backups: Client<typeof BackupService>
  /** Ends what is open. */
  close(): void
}

export interface ConnectionOptions {
  /** `http1` opens a socket for each call (default, for programs that end soon), `http2` keeps one, `grpc` speaks gRPC over it. */
  readonly protocol?: 'http1' | 'http2' | 'grpc'
  /** Deadline of calls that give none, milliseconds. Default: none but the service's own. */
  readonly timeoutMs?: number
}

/** Talks to the service behind a unix socket. Connects at the first call. */
export function connectService(socketPath: string, options: ConnectionOptions = {}): ServiceConnection {
  const { transport, close } = openTransport(socketPath, options)
  return {
    system: createClient(SystemService, transport),
    providers: createClient(ProviderService, transport),
    browse: createClient(BrowseService, transport),
    mounts: createClient(MountService, transport),
    orphans: createClient(OrphanService, transport),
    files: createClient(FileService, transport),
    transfers: createClient(TransferService, transport),
    conflicts: createClient(ConflictService, transport),
    cache: createClient(CacheService, transport),
    logs: createClient(LogService, transport),
    vault: createClient(VaultService, transport),
    users: createClient(UserService, transport),
    alerts: createClient(AlertService, transport),
    audit: createClient(AuditService, transport),
    tokens: createClient(TokenService, transport),
    sessions: createClient(SessionService, transport),
    config: createClient(ConfigService, transport),
    settings: createClient(SettingsService, transport),
    backups: createClient(BackupService, transport),
    close,
  }
}

/** The transport alone, for services outside the contract (grpc.health.v1). */
export function openTransport(
  socketPath: string,
  options: ConnectionOptions = {},
): { readonly transport: Transport; readonly close: () => void } {
  const baseUrl = 'http://localhost'
  const common = { baseUrl, ...(options.timeoutMs === undefined ? {} : { defaultTimeoutMs: options.timeoutMs }) }
  if (options.protocol === 'http2' || options.protocol === 'grpc') {
    const sessionManager = new Http2SessionManager(baseUrl, {}, { createConnection: () => connect(socketPath) })
    const transport =
      options.protocol === 'grpc'
        ? createGrpcTransport({ ...common, sessionManager })
        : createConnectTransport({ ...common, httpVersion: '2', sessionManager })
    return { transport, close: () => sessionManager.abort() }
  }
  return { transport: createConnectTransport({ ...common, httpVersion: '1.1', nodeOptions: { socketPath } }), close: () => {} }
}
