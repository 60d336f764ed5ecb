import type { DriveStatus } from '../common/drive-state.ts'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { systemClock } from '../common/clock.ts'
import { makeFolders } from '../common/make-folders.ts'
import { loadNative } from '../common/native/load-native.ts'
import { wallTime } from '../common/wall-time.ts'
import { repairNames } from './after-power-loss.ts'
import { openContents } from './cache/blobs/open-contents.ts'
import type { Contents } from './cache/contents.ts'
import { currentBootId, type DriveDatabase, openDriveDatabase } from './cache/database.ts'
import { openListings } from './cache/listings/open-listings.ts'
import { Places } from './cache/places.ts'
import { openUploadQueue } from './cache/queue/open-upload-queue.ts'
import { Reachability } from './cache/reachability.ts'
import { openRequestLog } from './cache/request-log.ts'
import type { UploadQueue } from './cache/sync.ts'
import type { SyncParts } from './cache/sync-parts.ts'
import { fileType, rootNode, Tree } from './cache/tree.ts'
import type { Connector } from './connectors/connector.ts'
import { openConnector } from './connectors/registry.ts'
import { connectorDeadlines } from './connectors/with-deadline.ts'
import { contentsHost } from './contents-host.ts'
import type { Drive, DriveOptions } from './drive-contract.ts'
import { NodeLifetime } from './node-lifetime.ts'
import { PathLengths } from './path-lengths.ts'
import { ProviderSpace } from './provider-space.ts'
import { FileStates } from './tasks/file-states.ts'
import { Paths } from './tasks/paths.ts'
import { changeNames } from './tasks/task-parts.ts'
import type { TaskParts } from './tasks/task-parts.ts'
import { openTasks } from './tasks/tasks.ts'
import { shareOf } from './rate-share.ts'
import { SessionJanitor } from './session-janitor.ts'
import { Throttled } from './throttled.ts'
import type { Notifier } from './cache/notifier.ts'
import type { Backing } from './vfs/passthrough.ts'
import { openVfs } from './vfs/vfs.ts'

/** Fact of the mount: what its connector measured of the server. */
const measuredFact = 'measured'

/** Bytes that reads from the provider may hold in memory at once. */
const readBudgetBytes = 128 * 1024 * 1024

/** A day without a new part: as long as another machine may sleep in the middle of an upload of its own. */
const sessionIdleMs = 24 * 3_600_000

/** Opens one mount's drive: works offline and without secrets from what is local. Throws damaged, io, unsupported, busy (another process has it). */
export async function openDrive(options: DriveOptions): Promise<Drive> {
  await makeFolders(options.folder, 0o700)
  const database = openDriveDatabase(join(options.folder, 'drive.sqlite'))
  try {
    return await assemble(options, database)
  } catch (error) {
    await database.close()
    throw error
  }
}

async function assemble(options: DriveOptions, database: DriveDatabase): Promise<Drive> {
  const native = loadNative()
  const tree = new Tree(database)
  makeRoot(tree, options)
  let secrets = options.secrets
  const context = {
    settings: { options: options.connector.options, secret: (name: string) => secrets[name] },
    remoteRoot: options.connector.remoteRoot,
    kept: { get: () => database.fact(measuredFact), set: (value: string) => database.setFact(measuredFact, value) },
    log: options.log,
  }
  const connector = openConnector(options.connector.type, context, options.requestsPerSecond, connectorDeadlines(options.deadlines))
  const changes = new Throttled(250)
  const places = new Places(tree)
  const reachability = new Reachability({
    connector,
    clock: systemClock,
    probeMs: options.deadlines.metadataMs,
    hasSecrets: () => Object.keys(secrets).length > 0,
    onChange: () => {
      changes.happened()
    },
    tell: (error) => {
      options.log('warn', `the provider: ${error.message}`, { kind: error.kind, ...(error.hint === undefined ? {} : { hint: error.hint }) })
    },
  })
  let notifier: Notifier | null = null
  // The contents tell the queue of new dirt, and the queue reads from the contents: one of the two is known later.
  const late: { queue?: UploadQueue } = {}
  const contents = await openContents({
    database,
    native,
    folder: options.folder,
    limit: options.cacheSize,
    host: contentsHost({
      tree,
      connector,
      places,
      reachability,
      log: options.log,
      queue: () => late.queue,
      fullChanged: () => changes.happened(),
    }),
    readBudgetBytes,
    deadlines: options.deadlines,
    bootId: await currentBootId(),
    // A drive is opened before it is known whether its kernel connection is a new one.
    takenOver: true,
  })
  const lifetime = new NodeLifetime(tree, contents, systemClock, () => notifier)
  const parts: SyncParts = {
    tree,
    database,
    contents,
    connector,
    places,
    reachability,
    clock: systemClock,
    settings: { ...options, hostName: hostname() },
    notifier: () => notifier,
    dropNode: (node) => {
      lifetime.drop(node)
    },
    mayBeOpen: (node) => lifetime.mayBeOpen(node),
    onChange: () => {
      changes.happened()
    },
    alert: (reason, message) => {
      options.log('warn', message, { alert: reason })
    },
    log: options.log,
  }
  const listings = openListings({ ...parts, nameChanged: (name) => late.queue?.nameChanged(name) })
  const queue = openUploadQueue({ ...parts, listings })
  late.queue = queue
  repairNames(tree, queue, contents.start, parts.dropNode)
  const aside = contents.start.unproved.filter(({ quarantine }) => quarantine !== undefined).length
  if (aside > 0) options.log('error', `${aside} files were put aside: never synced before a power loss`, { alert: 'quarantined' })
  const janitor = new SessionJanitor({
    ...{ connector, queue, reachability, clock: systemClock, log: options.log },
    idleMs: options.sessionIdleMs ?? sessionIdleMs,
  })
  const space = new ProviderSpace(connector)
  const { filesystem, passthrough } = openVfs(
    {
      database,
      tree,
      contents,
      listings,
      queue,
      capabilities: connector.capabilities,
      settings: options,
      pathBytes: new PathLengths(tree, connector.capabilities.names.maxPathBytes).of,
      dropNode: parts.dropNode,
      folders: lifetime,
    },
    backingOf(options),
    () => space.stats(),
  )
  const paths = new Paths(tree, listings)
  const states = new FileStates({ paths, contents, queue, connector })
  const { settings, onChange } = parts
  const taskParts: TaskParts = {
    ...{ database, tree, contents, listings, queue, filesystem, paths, states, onChange },
    notifier: () => notifier,
    settings: { ...settings, folder: options.folder },
  }
  const tasks = openTasks(taskParts, systemClock, (message, reason) => options.log('warn', message, { reason }))

  return {
    mountId: options.mountId,
    filesystem,
    requestLog: openRequestLog(database),
    change: (change, places) => changeNames(taskParts, change, places),
    rate: shareOf(connector.limiter, reachability),
    setNotifier(next) {
      notifier = next
    },
    setSecrets(next) {
      secrets = next
      reachability.retry()
      queue.retry('all')
    },
    tookOver(backing) {
      passthrough.tookOver(lifetime.tookOver(), backing)
    },
    unmounted() {
      notifier = null
      void lifetime.sweep()
    },
    status: () => statusOf(contents, queue, reachability, tree),
    check: () => reachability.probe(),
    metrics: () => ({ ...connector.metrics, ...reachability.counts }),
    onChange: (listener) => {
      changes.listen(listener)
    },
    fileState: (path) => states.of(path),
    transfers: (limit) => queue.transfers(limit),
    answer: (request) => tasks.answer(request),
    retry: (id) => {
      queue.retry(id)
    },
    async drain(signal) {
      await queue.drain(signal)
      await janitor.sweep(signal)
    },
    async close() {
      changes.stop()
      janitor.close()
      await Promise.all([tasks.close(), queue.close(), listings.close(), reachability.close()])
      await closeRest(contents, connector, database)
    },
  }
}

async function closeRest(contents: Contents, connector: Connector, database: DriveDatabase): Promise<void> {
  await contents.close()
  await connector.close()
  await database.close()
}

function makeRoot(tree: Tree, options: DriveOptions): void {
  if (tree.node(rootNode) !== undefined) return
  const time = wallTime()
  tree.database.transaction(() => {
    tree.insertNode({ mode: fileType.folder | (0o777 & ~options.umask), uid: options.uid, gid: options.gid, mtime: time, ctime: time })
  })
}

function backingOf(options: DriveOptions): Backing | null {
  const { openBacking, closeBacking } = options
  if (!options.readOnly || openBacking === null || closeBacking === null) return null
  return { open: openBacking, close: closeBacking }
}

function statusOf(contents: Contents, queue: UploadQueue, reachability: Reachability, tree: Tree): DriveStatus {
  const { bytes, limit, dirtyBytes, full } = contents.usage()
  const hidden = tree.database.sql.prepare<[], { n: number }>('SELECT count(*) AS n FROM hidden').get()
  const known = new Set<string>()
  const conditions = [...reachability.conditions(), ...queue.conditions()].filter(({ kind }) => !known.has(kind) && known.add(kind))
  return {
    conditions: full ? [...conditions, { kind: 'cache-full' }] : conditions,
    queue: queue.status(),
    cache: { bytes, limit, dirtyBytes },
    hidden: hidden?.n ?? 0,
  }
}
