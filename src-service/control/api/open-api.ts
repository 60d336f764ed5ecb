import type { ConnectRouter, ServiceImpl } from '@connectrpc/connect'
import type { DescService } from '@bufbuild/protobuf'
import type { Socket } from 'node:net'
import { AlertService } from '../../../proto/gen/cloudmoor/v1/alert_pb.js'
import { AuditService } from '../../../proto/gen/cloudmoor/v1/audit_pb.js'
import { BackupService } from '../../../proto/gen/cloudmoor/v1/backup_pb.js'
import { BrowseService } from '../../../proto/gen/cloudmoor/v1/browse_pb.js'
import { ConfigService } from '../../../proto/gen/cloudmoor/v1/config_pb.js'
import { EventService } from '../../../proto/gen/cloudmoor/v1/event_pb.js'
import { CacheService } from '../../../proto/gen/cloudmoor/v1/cache_pb.js'
import { ConflictService } from '../../../proto/gen/cloudmoor/v1/conflict_pb.js'
import { FileService } from '../../../proto/gen/cloudmoor/v1/file_pb.js'
import { LogService } from '../../../proto/gen/cloudmoor/v1/log_pb.js'
import { MetricsService } from '../../../proto/gen/cloudmoor/v1/metrics_pb.js'
import { MountService } from '../../../proto/gen/cloudmoor/v1/mount_pb.js'
import { OrphanService } from '../../../proto/gen/cloudmoor/v1/orphan_pb.js'
import { ProviderService } from '../../../proto/gen/cloudmoor/v1/provider_pb.js'
import { SettingsService } from '../../../proto/gen/cloudmoor/v1/settings_pb.js'
import { SessionService } from '../../../proto/gen/cloudmoor/v1/session_pb.js'
import { SystemService } from '../../../proto/gen/cloudmoor/v1/system_pb.js'
import { TokenService } from '../../../proto/gen/cloudmoor/v1/token_pb.js'
import { TransferService } from '../../../proto/gen/cloudmoor/v1/transfer_pb.js'
import { UserService } from '../../../proto/gen/cloudmoor/v1/user_pb.js'
import { VaultService } from '../../../proto/gen/cloudmoor/v1/vault_pb.js'
import { Health } from '../../../proto/gen/grpc/health/v1/health_pb.js'
import { systemClock } from '../../common/clock.ts'
import { ServerReflection } from '../../../proto/gen/grpc/reflection/v1/reflection_pb.js'
import { ServerReflection as ServerReflectionAlpha } from '../../../proto/gen/grpc/reflection/v1alpha/reflection_pb.js'
import { CloudError } from '../../common/errors.ts'
import { descriptorOf } from '../../common/native/descriptor-of.ts'
import type { Places } from '../../common/paths.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { Alerts } from '../alerts/alerts.ts'
import type { Backups } from '../backup/backups.ts'
import type { Configuration } from '../config/configuration.ts'
import type { MountManager } from '../mounts/mount-manager-contract.ts'
import type { Providers } from '../providers/providers.ts'
import type { RequestTable, SettingTable } from '../store/store.ts'
import type { Access } from '../users/access.ts'
import type { Role } from '../users/principal.ts'
import type { Audit } from '../users/audit.ts'
import { createGrants } from '../users/grants.ts'
import { principalOfPeer } from '../users/local-peer.ts'
import type { Vault } from '../vault/vault.ts'
import { alertHandler } from './alert-handler.ts'
import { createCallAudit } from './audit-calls.ts'
import { auditHandler } from './audit-handler.ts'
import { backupHandler } from './backup-handler.ts'
import { browseHandler } from './browse-handler.ts'
import { bySocket, unknownVisitor } from './call.ts'
import { cacheHandler } from './cache-handler.ts'
import { createContentsGateway } from './contents/contents-gateway.ts'
import { conflictHandler } from './conflict-handler.ts'
import { configHandler } from './config-handler.ts'
import { createOnce } from './create-once.ts'
import { eventHandler } from './event-handler.ts'
import type { EventBus } from './events/event-bus.ts'
import { LiveFeed } from './events/live-feed.ts'
import { auditSource, logSource, progressSource } from './events/live-sources.ts'
import { serviceEvents } from './events/service-events.ts'
import type { ServiceEvent } from './events/service-events.ts'
import { fileHandler } from './file-handler.ts'
import { createDispatcher } from './dispatch.ts'
import { followMounts } from './follow-mounts.ts'
import { createGuard } from './guard-calls.ts'
import { healthHandler } from './health-handler.ts'
import type { Request, Response } from './connections.ts'
import { openListener } from './listener.ts'
import { openWeb } from './open-web.ts'
import type { Web, WebSettings } from './open-web.ts'
import { logHandler } from './log-handler.ts'
import { metricsHandler } from './metrics-handler.ts'
import { CallMetrics } from './metrics/call-metrics.ts'
import { MetricSamples } from './metrics/metric-samples.ts'
import { prometheusText } from './metrics/prometheus.ts'
import { mountHandler } from './mount-handler.ts'
import { orphanHandler } from './orphan-handler.ts'
import { plainRoutes } from './plain-routes.ts'
import { policyOf } from './policies.ts'
import { providerHandler } from './provider-handler.ts'
import { createReflection } from './reflection-handler.ts'
import type { Reflection } from './reflection-handler.ts'
import { failRoute } from './rest/refuse-route.ts'
import type { ServiceControl } from './service-control.ts'
import { settingsHandler } from './settings-handler.ts'
import { sessionHandler } from './session-handler.ts'
import { systemHandler } from './system-handler.ts'
import { toWireError } from './wire-errors.ts'
import { tokenHandler } from './token-handler.ts'
import { transferHandler } from './transfer-handler.ts'
import { userHandler } from './user-handler.ts'
import { admitVisitor } from './web-door.ts'
import { vaultHandler } from './vault-handler.ts'

export interface ApiParts {
  readonly places: Places
  /** `1.2.3`. */
  readonly version: string
  /** Milliseconds since 1970. */
  readonly startedAt: number
  readonly log: Log
  readonly requests: RequestTable
  readonly settings: SettingTable
  readonly providers: Providers
  readonly mounts: MountManager
  readonly vault: Vault
  readonly access: Access
  readonly audit: Audit
  /** Names this service among others on the machine: 8 characters. */
  readonly instance: string
  readonly configuration: Configuration
  readonly backups: Backups
  /** Settings as they were at the start, by name. */
  readonly startedSettings: ReadonlyMap<string, string>
  readonly service: ServiceControl
  readonly alerts: Alerts
  /** Addresses besides the unix socket; null = none. */
  readonly web: WebSettings | null
  /** Whose members come in on the socket of a system service; null = nobody. */
  readonly group: { readonly id: number; readonly role: Role } | null
  /** SO_PEERCRED of a connected socket: `native.peerCredentials`. */
  readonly peerCredentials: (descriptor: number) => { readonly uid: number; readonly gid: number }
}

export interface Api {
  /** Ends streams, lets calls at work end within `graceMs`, then cuts them. */
  close(graceMs: number): Promise<void>
}

const maxStreams = 1000
const heartbeatMs = 15_000

/** Opens the service's doors: every service of the contract as gRPC, gRPC-Web, Connect and REST on the unix socket and its other addresses. */
export async function openApi(parts: ApiParts): Promise<Api> {
  const ending = new AbortController()
  let web: Web | null = null
  const linkTo = (fragment: string) => (web === null || web.url === '' ? '' : `${web.url}/#${fragment}`)
  const { bus, end: endEvents } = serviceEvents(parts, systemClock)
  const samples = new MetricSamples(parts.mounts, systemClock)
  const calls = new CallMetrics()
  const routes = routesOf(parts, bus, samples, linkTo)
  for (const { service } of routes) service.methods.forEach(policyOf)

  const grants = createGrants()
  const followed = await followMounts(grants, parts.mounts)
  const guard = createGuard({
    log: parts.log,
    grants,
    refreshGrants: followed.refresh,
    maxStreams,
    calls,
    audit: createCallAudit(parts.audit, async (name) => (await parts.access.users.list()).some((user) => user.name === name)),
  })
  const plain = plainRoutes((sight) => samples.take().then((sample) => prometheusText(sample, calls, sight)), grants)
  const contents = createContentsGateway({ mounts: parts.mounts, guard, log: parts.log, ending: ending.signal })
  const serve = createDispatcher({ log: parts.log, services: routes, plain, contents, guard, ending: ending.signal })

  const settings = parts.web ?? noWeb
  const serveWeb = (request: Request, response: Response) => {
    const door = { ...settings, access: parts.access, instance: parts.instance, hosts: web?.hosts ?? new Set<string>() }
    admitVisitor(request, door).then(
      (visitor) => serve(withoutPrefix(request, settings.pathPrefix), response, visitor),
      (caught: unknown) => failRoute(guard, request, response, unknownVisitor, CloudError.from(caught)),
    )
  }
  web = await openWeb(settings, parts.places.run, parts.instance, parts.log, serveWeb)
  const listener = await openListener({
    socketPath: parts.places.socket,
    folderMode: parts.places.kind === 'system' ? 0o750 : 0o700,
    groupId: parts.group?.id ?? null,
    admit: (socket: Socket) =>
      principalOfPeer(parts.peerCredentials(descriptorOf(socket)), { ownUid: ownUid(), groupRole: parts.group?.role ?? null }),
    handle: (request, response, principal) => serve(request, response, { arrival: bySocket, principal }),
    log: parts.log,
  })
  samples.begin()
  return {
    close: async (graceMs) => {
      ending.abort(toWireError(new CloudError('unavailable', 'the service ends', { code: 'SHUTTING_DOWN' }), ''))
      await Promise.all([listener.close(graceMs), web.close(graceMs)])
      followed.end()
      await parts.audit.close()
      endEvents()
      samples.end()
    },
  }
}

const noWeb: WebSettings = { listen: [], certificate: null, publicUrl: '', pathPrefix: '', trustedProxies: [] }

function withoutPrefix(request: Request, prefix: string): Request {
  const url = request.url ?? ''
  if (prefix !== '' && (url === prefix || url.startsWith(`${prefix}/`))) request.url = url.slice(prefix.length) || '/'
  return request
}

function ownUid(): number {
  if (process.getuid === undefined) throw new CloudError('unsupported', 'this system has no user ids')
  return process.getuid()
}

function routesOf(parts: ApiParts, bus: EventBus<ServiceEvent>, samples: MetricSamples, linkTo: (fragment: string) => string) {
  const { providers, mounts, vault, service, places, version, startedAt, access, instance, configuration } = parts
  const once = createOnce(parts.requests)
  const contract = [
    route(SystemService, systemHandler({ version, startedAt, state: places.state, kind: places.kind }, mounts, vault, service)),
    route(ProviderService, providerHandler(providers, once)),
    route(BrowseService, browseHandler(providers, mounts)),
    route(MountService, mountHandler(mounts, once, parts.settings)),
    route(OrphanService, orphanHandler(mounts)),
    route(FileService, fileHandler(mounts)),
    route(CacheService, cacheHandler(mounts)),
    route(ConflictService, conflictHandler(mounts)),
    route(TransferService, transferHandler(mounts)),
    route(LogService, logHandler(places.logs)),
    route(VaultService, vaultHandler(vault, mounts)),
    route(MetricsService, metricsHandler(samples)),
    route(EventService, eventHandler({ bus, mounts, providers, alerts: parts.alerts, heartbeatMs, ...liveFeeds(parts) })),
    route(UserService, userHandler(access.users, once, linkTo)),
    route(AuditService, auditHandler(parts.audit)),
    route(AlertService, alertHandler(parts.alerts)),
    route(TokenService, tokenHandler(access.tokens)),
    route(SessionService, sessionHandler(access, { instance, linkTo })),
    route(ConfigService, configHandler(configuration)),
    route(
      SettingsService,
      settingsHandler({ table: parts.settings, started: parts.startedSettings, managed: () => configuration.settingsOfFiles() }),
    ),
    route(BackupService, backupHandler(parts.backups, service)),
  ]
  const names = contract.map((entry) => entry.service.typeName)
  const reflect = createReflection([...contract.map((entry) => entry.service), Health])
  return [
    ...contract,
    route(Health, healthHandler(names)),
    route(ServerReflection, { serverReflectionInfo: (requests) => reflectEach(requests, reflect) }),
    route(ServerReflectionAlpha, { serverReflectionInfo: (requests) => reflectEach(requests, reflect) }),
  ]
}

function liveFeeds({ mounts, places, log, audit }: ApiParts) {
  return {
    progress: new LiveFeed(() => progressSource(mounts), log.write),
    logs: new LiveFeed(() => logSource(places.logs), log.write),
    audit: new LiveFeed(() => auditSource(audit), log.write),
  }
}

async function* reflectEach<Request extends Parameters<Reflection>[0]>(requests: AsyncIterable<Request>, reflect: Reflection) {
  for await (const originalRequest of requests) yield { originalRequest, messageResponse: reflect(originalRequest) }
}

/** A service with what it does, so that a list of them keeps its types. */
function route<Service extends DescService>(service: Service, implementation: ServiceImpl<Service>) {
  return { service, implementation, add: (router: ConnectRouter) => router.service(service, implementation) }
}
