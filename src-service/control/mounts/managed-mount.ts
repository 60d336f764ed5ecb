import type { DriveStatus, QueueCounts } from '../../common/drive-state.ts'
import type { Clock } from '../../common/clock.ts'
import type { CloudError } from '../../common/errors.ts'
import type { Native } from '../../common/native/native.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { MountRecord } from '../store/records.ts'
import type { AccountRates } from './account-rates.ts'
import type { AdoptedMount } from './adopt-workers.ts'
import type { Mount, MountStatus } from './mount-manager-contract.ts'
import { type PlanParts, planMount } from './mount-plan.ts'
import type { MountRecords } from './mount-records.ts'
import { MountRunner } from './mount-runner.ts'
import { Supervisor } from './supervisor.ts'
import type { HeldConnection, MountPlan } from './supervisor-host.ts'
import type { WorkerPool } from './worker-pool.ts'

export interface ManagedMountHost {
  readonly native: Native
  readonly clock: Clock
  readonly pool: WorkerPool
  readonly records: MountRecords
  readonly log: Log
  readonly plans: PlanParts
  readonly rates: AccountRates
  readonly stopTimeoutMs: number
  readonly onChange: (mount: Mount) => void
  /** Called before a drive is opened to be mounted; may refuse. */
  readonly beforeOpen: (mount: MountRecord) => Promise<void>
  readonly onAlert: (mount: MountRecord, severity: 'warning' | 'error', reason: string, message: string) => void
}

const settleMs = 15_000

/** One configured mount: its record, its life, and the last that its drive told. */
export class ManagedMount {
  readonly supervisor: Supervisor
  readonly runner: MountRunner
  readonly #host: ManagedMountHost
  #record: MountRecord
  #drive: DriveStatus | null = null
  #secretsMissing = false

  constructor(host: ManagedMountHost, record: MountRecord) {
    this.#host = host
    this.#record = record
    const log = host.log.forMount(record.id).write
    const onAlert = (severity: 'warning' | 'error', reason: string, message: string) =>
      host.onAlert(this.#record, severity, reason, message)
    this.supervisor = new Supervisor({
      ...{ native: host.native, clock: host.clock, pool: host.pool, records: host.records, stopTimeoutMs: host.stopTimeoutMs },
      ...{ mountId: record.id, log, onAlert },
      plan: async () => {
        await host.beforeOpen(this.#record)
        return this.plan()
      },
      joinAccount: (perSecond, user) => host.rates.join(this.#record.providerId, perSecond, user),
      report: (input) => this.runner.input(input),
      onStatus: (status) => this.learn(status),
    })
    this.runner = new MountRunner({ clock: host.clock, log, onAlert, actions: this.supervisor, onChange: () => this.#changed() })
  }

  get record(): MountRecord {
    return this.#record
  }

  get isAtRest(): boolean {
    const { kind } = this.runner.state
    return kind === 'unmounted' || kind === 'failed'
  }

  /** Null while it is not known. */
  get queue(): QueueCounts | null {
    return this.#drive?.queue ?? null
  }

  configure(record: MountRecord): void {
    this.#record = record
    this.#changed()
  }

  async plan(): Promise<MountPlan> {
    const plan = await planMount(this.#record, this.#host.plans)
    const missing = plan.secretsMissing
    // That the vault is locked is said once, not for every mount.
    if (missing !== null && missing.code !== 'VAULT_LOCKED') {
      this.#host.log.forMount(this.#record.id).write('warn', `the secrets cannot be had: ${missing.message}`)
    }
    this.#secretsMissing = missing !== null
    return plan
  }

  /** Takes over what an earlier service had mounted. @throws if what it was cannot be told any more */
  async adopt(found: AdoptedMount, place: Pick<HeldConnection, 'path' | 'device'>): Promise<void> {
    const plan = await this.plan()
    const current = found.current && found.held.revision === String(this.#record.revision)
    this.supervisor.adopt(found.worker, { adopted: found.adopted, fds: found.fds, ...place }, plan)
    this.runner.input({ kind: 'adopted', current })
    if (current) this.runner.input({ kind: 'workerServing' })
  }

  /** The account changed: its secrets go to the worker as they are now. Other options count from the next start on. */
  async refreshAccount(): Promise<void> {
    // A mount on its way up may have asked too early; what it is given before it serves would not reach its worker.
    await this.runner.settled(settleMs)
    const plan = await this.plan()
    // While they cannot be had, what the worker has is better than nothing.
    if (!this.#secretsMissing) await this.supervisor.giveSecrets(plan.open.secrets)
    this.#changed()
  }

  /** The service ends; kernel connection and worker go on without it. */
  release(): void {
    this.runner.release()
    this.supervisor.release()
  }

  learn(status: DriveStatus): void {
    const isNew = JSON.stringify(status) !== JSON.stringify(this.#drive)
    this.#drive = status
    if (isNew) this.#changed()
  }

  view(): Mount {
    return { record: this.#record, status: this.#status() }
  }

  #changed(): void {
    this.#host.onChange(this.view())
  }

  #status(): MountStatus {
    const { state, since } = this.runner
    const drive = this.#drive
    const isUp = state.kind !== 'unmounted' && state.kind !== 'failed'
    const told = drive?.conditions ?? []
    // Without its secrets a drive cannot sign in, and nobody has to do anything about that but unlock the vault.
    const conditions = this.#secretsMissing
      ? [{ kind: 'waiting-for-vault' } as const, ...told.filter(({ kind }) => kind !== 'needs-sign-in')]
      : told
    return {
      state: state.kind,
      since,
      reason: state.kind === 'failed' ? sentence(state.error) : '',
      conditions: isUp ? conditions : [],
      workerPid: this.supervisor.workerPid,
      queue: drive?.queue ?? null,
      cache: drive?.cache ?? null,
      hidden: drive?.hidden ?? 0,
    }
  }
}

function sentence(error: CloudError): string {
  return error.hint === undefined ? error.message : `${error.message}. ${error.hint}`
}
