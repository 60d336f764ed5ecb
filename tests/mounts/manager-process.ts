/**
 * The mount manager in a process of its own, so that tests can kill it: `manager-process.ts HOME VERSION [WORKER]`. Mounts are kept in
 * HOME/mounts.json. One command a line on stdin, `{id, method, args}`; answers `{id, value}` or `{id, error}`, and `{ready: true}` first.
 */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { systemClock } from '../../src-service/common/clock.ts'
import { CloudError } from '../../src-service/common/errors.ts'
import { loadNative } from '../../src-service/common/native/load-native.ts'
import { findPlaces, preparePlaces } from '../../src-service/common/paths.ts'
import { openLog } from '../../src-service/common/telemetry/log.ts'
import { createAccountProber } from '../../src-service/control/mounts/account-prober.ts'
import { createMountManager } from '../../src-service/control/mounts/mount-manager.ts'
import { MountRecords } from '../../src-service/control/mounts/mount-records.ts'
import { WorkerPool } from '../../src-service/control/mounts/worker-pool.ts'
import type { MountRecord } from '../../src-service/control/store/records.ts'
import type { MountTable } from '../../src-service/control/store/store.ts'
import { descriptors } from '../../src-service/drive/connectors/manifest.ts'

const [home = '', version = '1.0.0', workerFile = join(import.meta.dirname, 'test-worker.ts')] = process.argv.slice(2)
const file = join(home, 'mounts.json')
const options = JSON.parse(process.env['TEST_CONNECTOR'] ?? '{}') as Record<string, string | number | boolean>

const rows = new Map<string, MountRecord>(existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as [string, MountRecord][]) : [])
function save(record: MountRecord): MountRecord {
  rows.set(record.id, record)
  writeFileSync(file, JSON.stringify([...rows]))
  return record
}
const table: MountTable = {
  list: async () => [...rows.values()],
  get: async (id) => rows.get(id) ?? missing(),
  insert: async (mount) => save({ ...mount, revision: 1, createdAt: 0, updatedAt: 0 }),
  update: async (id, _revision, change) => save({ ...(rows.get(id) ?? missing()), ...change }),
  remove: async (id) => {
    rows.delete(id)
    writeFileSync(file, JSON.stringify([...rows]))
  },
}

const places = findPlaces({ env: { CLOUDMOOR_HOME: home }, home, system: false })
await preparePlaces(places)
const native = loadNative()
const log = await openLog({ file: join(places.logs, 'service.log'), program: 'service', level: 'debug' })
const worker = { native, clock: systemClock, places, log: log.write, program: [workerFile] }
// A worker says the version that it was started with.
const pool = new WorkerPool({ ...worker, program: [...process.execArgv, workerFile] })
const accounts = createAccountProber(pool)
const manager = createMountManager({
  host: {
    ...{ native, clock: systemClock, pool, log, records: new MountRecords(places.run), stopTimeoutMs: 2_000 },
    plans: {
      ...{ places, logLevel: 'debug' },
      accounts: {
        account: (type) => Promise.resolve({ type, options: { path: join(home, 'cloud'), ...options }, secrets: {} }),
        bareAccount: (type) => Promise.resolve({ name: type, type, options: { path: join(home, 'cloud') } }),
      },
    },
    onAlert: (_mount, severity, reason) => say({ alert: reason, severity }),
  },
  ...{ worker, table, accounts, descriptors, places, version },
  hints: { env: { CLOUDMOOR_HOME: home }, home },
})

function missing(): never {
  throw new CloudError('not-found', 'no such mount')
}

function say(line: unknown): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}

interface Call {
  readonly id: number
  readonly method: 'create' | 'start' | 'stop' | 'list' | 'remove' | 'update' | 'shutdown' | 'handOver'
  readonly args: readonly unknown[]
}

async function perform({ method, args }: Call): Promise<unknown> {
  const signal = AbortSignal.timeout(60_000)
  switch (method) {
    case 'create':
      return manager.create(args[0] as Parameters<typeof manager.create>[0], null, signal)
    case 'start':
      return manager.start(String(args[0]), signal)
    case 'stop':
      return manager.stop(String(args[0]), args[1] === true, signal)
    case 'update':
      return manager.update(String(args[0]), null, args[1] as Parameters<typeof manager.update>[2], signal)
    case 'remove':
      return manager.remove(String(args[0]), null, { waitMs: Number(args[1]), park: args[2] === true }, signal)
    case 'list':
      return manager.list(signal)
    case 'shutdown':
      return manager.shutdown(args[0] as number | null)
    case 'handOver':
      return manager.handOver()
  }
}

createInterface({ input: process.stdin }).on('line', (line) => {
  const call = JSON.parse(line) as Call
  perform(call).then(
    (value) => say({ id: call.id, value: value ?? null }),
    (caught: unknown) => {
      const { kind, code, message, hint } = CloudError.from(caught)
      say({ id: call.id, error: { kind, code, message, hint } })
    },
  )
})
await manager.begin()
say({ ready: true })
