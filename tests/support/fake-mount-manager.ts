import type { CapabilityCheck, Transfer } from '../../src-service/common/drive-state.ts'
import { CloudError } from '../../src-service/common/errors.ts'
import type { DriveCalls } from '../../src-service/common/frames/drive-calls.ts'
import type {
  Mount,
  MountEvent,
  MountManager,
  MountSpec,
  MountStatus,
  Orphan,
} from '../../src-service/control/mounts/mount-manager-contract.ts'
import type { MountRecord, OptionValue } from '../../src-service/control/store/records.ts'
import type { MountTable } from '../../src-service/control/store/store.ts'

/** A mount manager without kernel and workers: configuration in the real store, state in memory. Tests replace what they need. */
export interface FakeMountManager extends MountManager {
  /** Answers of `probe`. */
  onProbe: MountManager['probe']
  left: readonly Orphan[]
  transfersOf: (id: string) => readonly Transfer[]
  /** Answers of `ask`; null for those that are not given. */
  answers: { [C in keyof DriveCalls]?: DriveCalls[C]['result'] }
}

export function createFakeMountManager(table: MountTable): FakeMountManager {
  const statuses = new Map<string, MountStatus>()
  const stopped: MountStatus = {
    state: 'unmounted',
    since: 1000,
    reason: '',
    conditions: [],
    workerPid: null,
    queue: { files: 2, bytes: 300, parked: 1, uploading: 0 },
    cache: { bytes: 10, limit: 1000, dirtyBytes: 5 },
    hidden: 0,
  }
  const listeners = new Set<(event: MountEvent) => void>()
  const tell = (event: MountEvent) => listeners.forEach((listener) => listener(event))
  const changed = (record: MountRecord): Mount => {
    const mount = view(record)
    tell({ kind: 'changed', mount })
    return mount
  }
  const view = (record: MountRecord): Mount => ({ record, status: statuses.get(record.id) ?? stopped })

  const needOrphan = (id: string): Orphan => {
    const found = fake.left.find((orphan) => orphan.id === id)
    if (found === undefined) throw new CloudError('not-found', 'there is no such orphan')
    return found
  }

  const fake: FakeMountManager = {
    left: [],
    onProbe: () => Promise.resolve<CapabilityCheck[]>([{ name: 'write', result: 'yes', detail: '' }]),
    transfersOf: () => [],
    answers: {},
    list: async () => (await table.list()).map(view),
    get: async (id) => view(await table.get(id)),
    create: async (spec, request) => {
      const defaults = { cacheSize: spec.cacheSize ?? 1e9, uid: spec.uid ?? 1, gid: spec.gid ?? 1, umask: spec.umask ?? 0o22 }
      return changed(
        await table.insert({ ...spec, ...defaults, id: `id-${spec.name}`, enabled: false, managedBy: 'api', managedFile: '' }, request),
      )
    },
    update: async (id, revision, patch) => {
      const { record } = view(await table.get(id))
      const options: Record<string, OptionValue> = {}
      for (const [name, value] of Object.entries({ ...record.options, ...patch.options })) if (value !== null) options[name] = value
      const { cacheSize, uid, gid, umask, ...rest } = patch
      const numbers = { cacheSize, uid, gid, umask }
      const given = Object.fromEntries(Object.entries(numbers).filter((entry) => typeof entry[1] === 'number'))
      return changed(await table.update(id, revision, { ...rest, ...given, options }))
    },
    remove: async (id, revision) => {
      await table.remove(id, revision)
      tell({ kind: 'removed', mountId: id })
    },
    start: async (id) => {
      const record = await table.update(id, null, { enabled: true })
      statuses.set(id, { ...stopped, state: 'mounted', workerPid: 4711, conditions: [{ kind: 'offline', since: 5, reason: 'no network' }] })
      return view(record)
    },
    stop: async (id, force) => {
      if (!force) throw new CloudError('busy', 'process 12 (bash) uses the mount', { code: 'MOUNT_BUSY', hint: 'End it, or use --force.' })
      statuses.delete(id)
      return view(await table.update(id, null, { enabled: false }))
    },
    watch: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    fileState: async (id, path) => {
      await table.get(id)
      return { path, state: 'queued', type: 'file', size: 3, localBytes: 3, reason: 'waits', localOnly: ['owner'], sheet: [] }
    },
    transfers: async (id) => {
      await table.get(id)
      return fake.transfersOf(id)
    },
    metrics: async (id) => {
      await table.get(id)
      const probes = { probes: 2, probeFailures: 1, probeMs: 20, reconnects: 1, reconnectFailures: 0 }
      const fuse = [{ name: 'LOOKUP', requests: 5, errors: 1, milliseconds: 3 }]
      return { requests: { list: 3, read: 1 }, errors: { offline: 1 }, bytesIn: 7, bytesOut: 8, latencyMs: 9, ...probes, fuse }
    },
    retry: async (id) => {
      await table.get(id)
    },
    ask: async (id, call) => {
      await table.get(id)
      return fake.answers[call] ?? null
    },
    contents: async (id) => {
      await table.get(id)
      return null
    },
    orphans: {
      list: () => Promise.resolve(fake.left),
      adopt: async (id, { name, path, providerId }) => {
        const orphan = needOrphan(id)
        fake.left = fake.left.filter((other) => other !== orphan)
        return fake.create(
          { ...specOf(orphan), name: name || orphan.name, path: path || orphan.path, providerId },
          null,
          AbortSignal.timeout(1000),
        )
      },
      export: (id) => Promise.resolve({ files: needOrphan(id).queue?.files ?? 0, bytes: 3, failures: 0, failed: [] }),
      discard: (id) => {
        const orphan = needOrphan(id)
        fake.left = fake.left.filter((other) => other !== orphan)
        return Promise.resolve()
      },
    },
    probe: (account, remoteRoot, signal) => fake.onProbe(account, remoteRoot, signal),
    browse: () => Promise.resolve({ entries: [{ name: 'a', folder: true, size: 0, modifiedAt: null }], truncated: false }),
    diagnose: () => Promise.resolve([{ name: 'fuse-device', result: 'failure', detail: '/dev/fuse is missing', hint: 'modprobe fuse' }]),
  }
  return fake
}

function specOf({ remoteRoot }: Orphan): Omit<MountSpec, 'name' | 'path' | 'providerId'> {
  const numbers = { cacheSize: null, uid: null, gid: null, umask: null }
  return { ...numbers, remoteRoot, cacheDir: '', readOnly: false, access: 'owner', shared: false, labels: [], options: {} }
}
