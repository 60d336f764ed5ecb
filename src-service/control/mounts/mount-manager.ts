import type { Socket } from 'node:net'
import type { QueueCounts } from '../../common/drive-state.ts'
import { CloudError } from '../../common/errors.ts'
import type { Method, Methods } from '../../common/frames/messages.ts'
import type { DriveCall, DriveCalls } from '../../common/frames/drive-calls.ts'
import { serialise } from '../../common/serialise.ts'
import { refuseManaged } from '../store/managed-elsewhere.ts'
import type { ConfigChange, MountRecord, RequestKey } from '../store/records.ts'
import { AccountRates, type RateUser } from './account-rates.ts'
import { type AdoptedMount, adoptWorkers } from './adopt-workers.ts'
import { withDrive } from './borrowed-drive.ts'
import { withContents } from './connect-contents.ts'
import { diagnose } from './diagnose.ts'
import { removeDrive } from './drive-notes.ts'
import { DriveOrphans } from './drive-orphans.ts'
import { ManagedMount } from './managed-mount.ts'
import type { Mount, MountEvent, MountManager, MountPatch, MountSpec, UnsentRule } from './mount-manager-contract.ts'
import { adoptedRecord, noteDrive } from './adopt-orphan.ts'
import { fixedChanges, refuseWhileMounted } from './fixed-fields.ts'
import type { MountManagerParts, ServiceMounts } from './service-mounts.ts'
import { type KnownAccount, mountChange, newMountRecord } from './mount-spec.ts'
import { readMountTable } from './mount-table.ts'
import { clearLeftMounts, standsFor } from './stale-mounts.ts'
import { nothingUnsent, refuseUnsent } from './leave-cache.ts'
import { driveFolder } from './mount-plan.ts'

const askMs = 30_000
/** Bytes may have to be copied, or a tree be walked; the deadline of the call ends it earlier. */
const taskMs = 600_000
const settleMs = 15_000

export function createMountManager(parts: MountManagerParts): ServiceMounts {
  return new Mounts(parts)
}

class Mounts implements ServiceMounts {
  readonly #parts: MountManagerParts
  readonly #mounts = new Map<string, ManagedMount>()
  readonly #listeners = new Set<(event: MountEvent) => void>()
  /** Looking at the other mounts and saving belong together. */
  readonly #inTurn = serialise()
  readonly #rates = new AccountRates()
  readonly orphans: DriveOrphans
  #ending = false

  constructor(parts: MountManagerParts) {
    this.#parts = parts
    this.orphans = new DriveOrphans({
      ...{ places: parts.places, plans: parts.host.plans, pool: parts.host.pool },
      join: ({ provider }, perSecond, user) => this.#rates.join(provider.id, perSecond, user),
      tell: (queues) => this.#tell({ kind: 'orphans', queues }),
      mountIds: () => new Set(this.#mounts.keys()),
      adopt: (found, wish) =>
        this.#inTurn(async () => {
          const record = adoptedRecord(found, wish, await this.#around(wish.providerId || (found.note?.provider.id ?? '')))
          const mount = this.#add(await parts.table.insert(record, null))
          mount.configure(mount.record)
          return mount.view()
        }),
    })
  }

  async list(): Promise<readonly Mount[]> {
    await Promise.all([...this.#mounts.values()].map((mount) => mount.supervisor.freshStatus()))
    const all = [...this.#mounts.values()].map((mount) => mount.view())
    return all.sort((a, b) => (a.record.name < b.record.name ? -1 : 1))
  }

  async get(id: string): Promise<Mount> {
    const mount = this.#mount(id)
    await mount.supervisor.freshStatus()
    return mount.view()
  }

  create(spec: MountSpec, request: RequestKey | null): Promise<Mount> {
    return this.#inTurn(async () => {
      const record = newMountRecord(spec, await this.#around(spec.providerId))
      const saved = await this.#parts.table.insert(record, request)
      // A repeated request gives the mount that the first one made.
      const mount = this.#mounts.get(saved.id) ?? this.#add(saved)
      mount.configure(saved)
      return mount.view()
    })
  }

  update(id: string, revision: number | null, patch: MountPatch): Promise<Mount> {
    return this.#inTurn(async () => {
      const mount = this.#changeable(id, revision)
      const change = mountChange(mount.record, patch, await this.#around(mount.record.providerId))
      if (!mount.isAtRest) refuseWhileMounted(mount.record, change)
      mount.configure(await this.#parts.table.update(id, revision, change))
      return mount.view()
    })
  }

  async remove(id: string, revision: number | null, { waitMs, park }: UnsentRule, signal: AbortSignal): Promise<void> {
    const mount = this.#changeable(id, revision)
    await this.#isSent(mount, waitMs, park, signal)
    await mount.runner.stop({ force: false, drainMs: waitMs, then: 'rest' }, signal)
    // Files that were open until now are counted too.
    const sent = await this.#isSent(mount, 0, park, signal)
    await this.#inTurn(async () => {
      await this.#parts.table.remove(id, revision)
      this.#mounts.delete(id)
    })
    if (sent) await removeDrive(mount.record, this.#parts.places)
    else await this.orphans.announce(signal)
    this.#tell({ kind: 'removed', mountId: id })
  }

  async reconfigure(change: ConfigChange['mounts'], save: () => Promise<void>, signal: AbortSignal): Promise<void> {
    const going = change.remove.map(({ id }) => this.#mount(id))
    for (const mount of going) await this.#refuseUnsent(mount, 0, signal)
    const changing = change.update.flatMap(({ id, change: fields }) => {
      const mount = this.#mount(id)
      return fixedChanges(mount.record, fields).length > 0 || fields.enabled === false ? [mount] : []
    })
    const stopped: ManagedMount[] = []
    try {
      for (const mount of [...going, ...changing]) {
        if (mount.isAtRest) continue
        await mount.runner.stop({ force: false, drainMs: this.#parts.host.stopTimeoutMs, then: 'rest' }, signal)
        stopped.push(mount)
      }
      for (const mount of going) await this.#refuseUnsent(mount, 0, signal)
      await this.#inTurn(save)
    } catch (caught) {
      for (const mount of stopped) mount.runner.input({ kind: 'start' })
      throw caught
    }
    await this.#takeRows(going)
  }

  /** Makes every mount what its row says. */
  async #takeRows(gone: readonly ManagedMount[]): Promise<void> {
    for (const { record } of gone) {
      this.#mounts.delete(record.id)
      await removeDrive(record, this.#parts.places)
      this.#tell({ kind: 'removed', mountId: record.id })
    }
    for (const record of await this.#parts.table.list()) {
      const mount = this.#mounts.get(record.id) ?? this.#add(record)
      if (mount.record.revision !== record.revision || mount.record === record) mount.configure(record)
      if (record.enabled && mount.isAtRest) mount.runner.input({ kind: 'start' })
    }
  }

  async start(id: string, signal: AbortSignal): Promise<Mount> {
    const mount = this.#mount(id)
    if (this.#ending) throw new CloudError('unavailable', 'the service ends', { code: 'SHUTTING_DOWN' })
    mount.configure(await this.#parts.table.update(id, null, { enabled: true }))
    await mount.runner.start(signal)
    return mount.view()
  }

  async stop(id: string, force: boolean, signal: AbortSignal): Promise<Mount> {
    const mount = this.#mount(id)
    await mount.runner.stop({ force, drainMs: this.#parts.host.stopTimeoutMs, then: 'rest' }, signal)
    mount.configure(await this.#parts.table.update(id, null, { enabled: false }))
    return mount.view()
  }

  watch(listener: (event: MountEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  async fileState(id: string, path: string, signal: AbortSignal): ReturnType<MountManager['fileState']> {
    const names = path.split('/').filter((name) => name !== '')
    return this.#ask(this.#mount(id), 'fileState', { mountId: id, path: names.join('/') }, signal, () => {
      throw new CloudError('not-found', 'the mount was never up: nothing of it is known here')
    })
  }

  async transfers(id: string, limit: number, signal: AbortSignal): ReturnType<MountManager['transfers']> {
    return this.#ask(this.#mount(id), 'transfers', { mountId: id, limit }, signal, () => [])
  }

  async metrics(id: string, signal: AbortSignal): ReturnType<MountManager['metrics']> {
    const mount = this.#mount(id)
    return mount.isAtRest ? null : mount.supervisor.call('metrics', { mountId: id }, askMs, signal)
  }

  async check(id: string, signal: AbortSignal): Promise<void> {
    const mount = this.#mount(id)
    if (!mount.isAtRest) await mount.supervisor.call('check', { mountId: id }, askMs, signal)
  }

  async retry(id: string, transferId: number | 'all', signal: AbortSignal): Promise<void> {
    await this.#ask(this.#mount(id), 'retry', { mountId: id, transferId }, signal, () => ({}))
  }

  async ask<C extends keyof DriveCalls>(
    id: string,
    call: C,
    params: DriveCalls[C]['params'],
    signal: AbortSignal,
  ): Promise<DriveCalls[C]['result'] | null> {
    const request = { call, ...params } as DriveCall
    return await this.#ask(this.#mount(id), 'drive', { mountId: id, request }, signal, () => null, taskMs)
  }

  contents<T>(id: string, signal: AbortSignal, work: (connection: Socket) => Promise<T>): Promise<T | null> {
    return this.#use<T | null>(this.#mount(id), signal, () => null, withContents(this.#parts.host.native, id, work))
  }

  probe(...args: Parameters<MountManager['probe']>): ReturnType<MountManager['probe']> {
    return this.#parts.accounts.probe(...args)
  }

  browse(...args: Parameters<MountManager['browse']>): ReturnType<MountManager['browse']> {
    return this.#parts.accounts.browse(...args)
  }

  diagnose(): ReturnType<MountManager['diagnose']> {
    return diagnose(this.#parts.host.native, this.#parts.places)
  }

  async begin(): Promise<void> {
    for (const record of await this.#parts.table.list()) this.#add(record)
    const found = await adoptWorkers(this.#parts.worker, this.#parts.version)
    const adopted = await Promise.all(found.map((mount) => this.#adopt(mount)))
    await clearLeftMounts(
      this.#parts.host,
      adopted.flatMap((id) => id ?? []),
    )
    this.#parts.host.pool.warm()
    for (const mount of this.#mounts.values()) if (mount.record.enabled) mount.runner.input({ kind: 'start' })
    void this.#countAtRest()
  }

  accountChanged(providerId: string | null): void {
    for (const mount of this.#mounts.values()) {
      if ((providerId !== null && mount.record.providerId !== providerId) || mount.isAtRest) continue
      mount.refreshAccount().catch((caught: unknown) => {
        this.#parts.host.log
          .forMount(mount.record.id)
          .write('warn', `the account's change did not arrive: ${CloudError.from(caught).message}`)
      })
    }
  }

  async shutdown(uploadTimeoutMs: number | null): ReturnType<ServiceMounts['shutdown']> {
    this.#ending = true
    const drainMs = uploadTimeoutMs ?? this.#parts.host.stopTimeoutMs
    // Unmounting and closing have their own bounds; this one is for what nobody thought of.
    const signal = AbortSignal.timeout(drainMs + 60_000)
    const stops = [...this.#mounts.values()].map((mount) => mount.runner.stop({ force: true, drainMs, then: 'rest' }, signal))
    await Promise.allSettled(stops)
    await this.#parts.host.pool.close()
    return [...this.#mounts.values()].flatMap(({ record, queue }) => {
      return queue === null || queue.files === 0 ? [] : [{ mountId: record.id, name: record.name, queue }]
    })
  }

  async handOver(): Promise<void> {
    this.#ending = true
    await Promise.all([...this.#mounts.values()].map((mount) => mount.runner.settled(settleMs)))
    for (const mount of this.#mounts.values()) mount.release()
    await this.#parts.host.pool.close()
  }

  #add(record: MountRecord): ManagedMount {
    const onChange = (view: Mount) => this.#tell({ kind: 'changed', mount: view })
    const beforeOpen = (opened: MountRecord) => this.#note(opened)
    const mount = new ManagedMount({ ...this.#parts.host, rates: this.#rates, onChange, beforeOpen }, record)
    this.#mounts.set(record.id, mount)
    return mount
  }

  /** Refuses to open what is another mount's; says in the folder whose it is. */
  async #note(record: MountRecord): Promise<void> {
    await noteDrive(record, await this.#parts.host.plans.accounts.bareAccount(record.providerId), this.#parts)
  }

  #mount(id: string): ManagedMount {
    const mount = this.#mounts.get(id)
    if (mount === undefined) throw new CloudError('not-found', 'there is no such mount')
    return mount
  }

  #changeable(id: string, revision: number | null): ManagedMount {
    const mount = this.#mount(id)
    refuseManaged('mount', mount.record)
    if (revision !== null && revision !== mount.record.revision) {
      throw new CloudError('conflict', `the mount '${mount.record.name}' was changed in the meantime`, {
        hint: 'Look at it again, then repeat the change.',
      })
    }
    return mount
  }

  async #around(providerId: string): Promise<Parameters<typeof newMountRecord>[1]> {
    const others = [...this.#mounts.values()].map(async ({ record }) => ({ record, account: await this.#account(record.providerId) }))
    const { places, hints } = this.#parts
    return { places, hints, account: await this.#account(providerId), others: await Promise.all(others) }
  }

  async #account(providerId: string): Promise<KnownAccount> {
    const { type, options } = await this.#parts.host.plans.accounts.bareAccount(providerId)
    const descriptor = this.#parts.descriptors.find((known) => known.type === type)
    if (descriptor === undefined) throw new CloudError('unsupported', `this version has no provider type '${type}'`)
    return { descriptor, options }
  }

  #ask<M extends Method, T>(
    mount: ManagedMount,
    method: M,
    params: Methods[M]['params'],
    signal: AbortSignal,
    never: () => T,
    deadlineMs = askMs,
  ): Promise<Methods[M]['result'] | T> {
    return this.#use<Methods[M]['result'] | T>(mount, signal, never, (call) => call(method, params, deadlineMs))
  }

  async #use<T>(mount: ManagedMount, signal: AbortSignal, never: () => T, work: Parameters<typeof withDrive<T>>[4]): Promise<T> {
    if (!mount.isAtRest) return work((method, params, deadlineMs) => mount.supervisor.call(method, params, deadlineMs, signal))
    const plan = await mount.plan()
    const join = (user: RateUser) => this.#rates.join(mount.record.providerId, plan.open.requestsPerSecond, user)
    return withDrive({ pool: this.#parts.host.pool, join }, plan.open, signal, never, work)
  }

  /** True if nothing waits. @param park that something may is no reason to refuse: a drive that cannot be asked may hold anything */
  async #isSent(mount: ManagedMount, waitMs: number, park: boolean, signal: AbortSignal): Promise<boolean> {
    try {
      await this.#refuseUnsent(mount, waitMs, signal)
      return true
    } catch (caught) {
      if (park) return false
      throw caught
    }
  }

  async #refuseUnsent(mount: ManagedMount, waitMs: number, signal: AbortSignal): Promise<void> {
    await refuseUnsent(mount.record, await this.#unsent(mount, waitMs, signal), driveFolder(mount.record, this.#parts.places))
  }

  /** What the provider has not confirmed, after uploading for at most `waitMs`. */
  async #unsent(mount: ManagedMount, waitMs: number, signal: AbortSignal): Promise<QueueCounts> {
    const { id: mountId } = mount.record
    if (waitMs > 0) {
      return this.#ask(mount, 'drain', { mountId, timeoutMs: waitMs }, signal, () => nothingUnsent, waitMs + askMs)
    }
    return this.#ask(mount, 'status', { mountId }, signal, () => ({ queue: nothingUnsent })).then(({ queue }) => queue)
  }

  /** Id of the mount, if it is one of ours and was taken over. */
  async #adopt(found: AdoptedMount): Promise<string | null> {
    const { mountId } = found.held
    const { host } = this.#parts
    const record = (await host.records.list()).find((known) => known.mountId === mountId)
    const entry = record === undefined ? undefined : standsFor(record, await readMountTable())
    const mount = this.#mounts.get(mountId)
    if (mount !== undefined && entry !== undefined) {
      await mount.adopt(found, { path: entry.mountPoint, device: entry.device })
      return mountId
    }
    host.log.write('warn', 'a worker serves what is no longer known; it is ended', { mountId, pid: found.worker.pid })
    for (const fd of found.fds) host.native.closeFd(fd)
    await found.worker.terminate(settleMs)
    return null
  }

  /** Learns what mounts that are not mounted have still to upload, one after the other. */
  async #countAtRest(): Promise<void> {
    for (const mount of [...this.#mounts.values()]) {
      if (this.#ending || mount.record.enabled || !mount.isAtRest || mount.queue !== null) continue
      const status = await this.#ask(mount, 'status', { mountId: mount.record.id }, AbortSignal.timeout(askMs), () => null).catch(
        () => null,
      )
      if (status !== null) mount.learn(status)
    }
  }

  #tell(event: MountEvent): void {
    for (const listener of this.#listeners) listener(event)
  }
}
