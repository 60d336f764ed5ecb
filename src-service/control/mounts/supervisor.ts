import { pause } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import type { Method, Methods, OpenDrive, WorkerEvent } from '../../common/frames/messages.ts'
import { rateUser, type Seat } from './account-rates.ts'
import { type Connection, deathOf } from './connection.ts'
import { DeathRate } from './death-record.ts'
import { abortConnection } from './drivers/fuse.ts'
import {
  closeConnection,
  forgetBacking,
  type KernelConnection,
  makeConnection,
  raiseReadAheadWhenAgreed,
  registerBacking,
} from './kernel-connection.ts'
import { lookAtMountPoint } from './mount-point.ts'
import { mountedAt, readMountTable } from './mount-table.ts'
import { clearStaleMount } from './stale-mounts.ts'
import { settlable } from './settlable.ts'
import { type EndOptions, endMount } from './end-mount.ts'
import { RcloneConnection } from './rclone-connection.ts'
import type { HeldConnection, MountPlan, SupervisorHost } from './supervisor-host.ts'
import type { WorkerProcess } from './worker-process.ts'

/** Opening migrates and recovers the database. */
const openMs = 120_000
/** Answering what a predecessor left may wait for the cloud as long as a READ may. */
const attachMs = 120_000
const statusMs = 5_000
/** SIGTERM persists; closing a drive waits for what is being written. */
const retireMs = 5_000
const exitMs = 15_000

/**
 * Holds one mount's kernel connection and sees to it that a worker serves it. Does what the state machine decides and
 * reports what happens; decides nothing itself.
 */
export class Supervisor {
  readonly #host: SupervisorHost
  readonly #deaths = new DeathRate()
  #connection: Connection | undefined
  /** Serves, or is about to. */
  #worker: WorkerProcess | undefined
  #serving = false
  /** As it was at the last start: a worker is replaced without asking anyone. */
  #plan: MountPlan | undefined
  #ended = settlable()
  #seat: Seat | undefined
  #status: 'known' | 'asked' | 'asked and outdated' = 'known'

  constructor(host: SupervisorHost) {
    this.#host = host
  }

  get workerPid(): number | null {
    return this.#worker?.pid ?? null
  }

  get isConnected(): boolean {
    return this.#connection !== undefined
  }

  /** Asks the worker; `unavailable` while there is none. */
  call<M extends Method>(method: M, params: Methods[M]['params'], deadlineMs: number, signal?: AbortSignal): Promise<Methods[M]['result']> {
    const worker = this.#worker
    if (worker === undefined || worker.isLost) {
      return Promise.reject(new CloudError('unavailable', 'the mount has no worker at the moment', { code: 'WORKER_UNAVAILABLE' }))
    }
    return worker.link.call(method, params, { deadlineMs, ...(signal === undefined ? {} : { signal }) })
  }

  /** Builds all of it: worker, drive, kernel connection. Leaves nothing behind when it fails. */
  async bringUp(signal: AbortSignal): Promise<void> {
    try {
      const plan = await this.#host.plan()
      this.#plan = plan
      await clearStaleMount(this.#host, plan.open.mountId)
      const path = await lookAtMountPoint(this.#host.clock, await readMountTable(), plan.kernel.path)
      const worker = await this.#takeWorker()
      await this.#open(worker, plan, signal)
      const connection = await this.#connect(worker, { ...plan, kernel: { ...plan.kernel, path } })
      if (connection.kind === 'fuse') await this.#attach(worker, connection, plan, false, signal)
      if (worker.isLost || signal.aborted) throw new CloudError('unavailable', 'the worker ended while the mount came up')
      if (connection.kind === 'fuse') void raiseReadAheadWhenAgreed(this.#host.clock, connection)
    } catch (caught) {
      await this.#undo()
      throw CloudError.from(caught)
    }
    this.#serve()
  }

  /** Takes over what a worker of an earlier service holds. */
  adopt(worker: WorkerProcess, held: HeldConnection, plan: MountPlan): void {
    const { adopted, fds, path, device } = held
    const [fuseFd, memoryFd] = fds
    if (fuseFd === undefined || memoryFd === undefined) throw new CloudError('garbage', 'a worker gave no descriptors')
    const backing = new Map(adopted.backingIds.map(({ node, backingId }) => [Number(node), backingId] as const))
    this.#connection = { kind: 'fuse', fuseFd, memoryFd, page: this.#host.native.mapHeader(memoryFd), path, device, backing }
    this.#plan = plan
    this.#worker = worker
    this.#listen(worker)
    this.#serve()
    void this.#sit(plan).then((seat) => seat.tell())
  }

  /** Another worker for the standing connection. Reports workerServing or workerUnable, or through its death workerLost. */
  async replaceWorker(delayMs: number): Promise<void> {
    let worker: WorkerProcess | undefined
    try {
      await pause(this.#host.clock, delayMs)
      await this.#retire()
      const [connection, plan] = [this.#connection, this.#plan]
      if (connection === undefined || plan === undefined) return
      worker = await this.#takeWorker()
      if (connection !== this.#connection) {
        await this.#retire()
        return
      }
      await this.#open(worker, plan)
      if (connection.kind === 'fuse') await this.#attach(worker, connection, plan, true)
      else await connection.serve(worker.link)
      this.#serve()
      this.#host.report({ kind: 'workerServing' })
    } catch (caught) {
      const error = CloudError.from(caught)
      this.#host.log('warn', `the replacement cannot serve: ${error.message}`, { kind: error.kind })
      // Someone else ended it, or it died, which is reported by its death.
      if (worker !== undefined && (this.#worker !== worker || !worker.link.isOpen)) return
      await this.#retire()
      this.#host.report({ kind: 'workerUnable', error })
    }
  }

  /** Gives the worker secrets, now and after its death. */
  async giveSecrets(secrets: OpenDrive['secrets']): Promise<void> {
    const plan = this.#plan
    if (plan === undefined) return
    this.#plan = { ...plan, open: { ...plan.open, secrets } }
    if (this.#serving) await this.call('secrets', { mountId: this.#host.mountId, secrets }, statusMs)
  }

  /** Unmounts, lets uploads finish within the bound, ends the worker. Throws `busy` with everything as it was. */
  async takeDown(options: EndOptions, signal: AbortSignal): Promise<void> {
    await endMount({ ...this.#host, connection: this.#connection, ended: this.#ended.promise, call: this.call.bind(this) }, options, signal)
    if (signal.aborted) return
    // What is left in the queue is asked for while there is someone to ask.
    await this.call('status', { mountId: this.#host.mountId }, statusMs).then(this.#host.onStatus, () => {})
    await this.#undo()
  }

  /** Ends the worker and the connection at once: callers get ENOTCONN. The dead mount stays listed until the next start or stop. */
  abort(): void {
    this.#dropWorker()?.kill('its mount is given up')
    this.#standUp()
    void this.#disconnect()
  }

  /** The service ends and leaves everything as it is. */
  release(): void {
    this.#worker?.release()
    this.#worker = undefined
    const connection = this.#connection
    this.#connection = undefined
    if (connection?.kind === 'fuse') closeConnection(this.#host.native, connection)
    // Nobody would look after it.
    else void connection?.close()
  }

  /** Fetches the drive's status; several wishes in a row become one. */
  askStatus(): void {
    if (this.#status !== 'known') {
      // The answer under way may be from before this change.
      this.#status = 'asked and outdated'
      return
    }
    this.#status = 'asked'
    this.call('status', { mountId: this.#host.mountId }, statusMs)
      .finally(() => {
        const outdated = this.#status === 'asked and outdated'
        this.#status = 'known'
        if (outdated) this.askStatus()
      })
      .then(this.#host.onStatus, () => {})
  }

  /** What is told as it happens may be a moment late: asks, for at most a second, if a worker serves. */
  async freshStatus(): Promise<void> {
    if (this.#serving) await this.call('status', { mountId: this.#host.mountId }, 1000).then(this.#host.onStatus, () => {})
  }

  async #open(worker: WorkerProcess, plan: MountPlan, signal?: AbortSignal): Promise<void> {
    const seat = await this.#sit(plan)
    const params = { ...plan.open, requestsPerSecond: seat.share }
    await worker.link.call('open', params, { deadlineMs: openMs, ...(signal === undefined ? {} : { signal }) })
  }

  async #sit(plan: MountPlan): Promise<Seat> {
    const user = rateUser(this.#host.mountId, this.call.bind(this))
    this.#seat ??= await this.#host.joinAccount(plan.open.requestsPerSecond, user)
    return this.#seat
  }

  #standUp(): void {
    this.#seat?.leave()
    this.#seat = undefined
  }

  async #takeWorker(): Promise<WorkerProcess> {
    const worker = await this.#host.pool.take()
    this.#worker = worker
    this.#serving = false
    this.#listen(worker)
    return worker
  }

  #serve(): void {
    this.#serving = true
    this.#host.pool.warm()
    this.askStatus()
  }

  #listen(worker: WorkerProcess): void {
    worker.listen({
      onEvent: (event, fds) => this.#take(worker, event, fds),
      onLost: () => this.#lost(worker),
    })
  }

  async #connect(worker: WorkerProcess, { kernel, rclone }: MountPlan): Promise<Connection> {
    const { native, records, mountId } = this.#host
    const ended = settlable()
    this.#ended = ended
    const onEnded = (listed: boolean) => {
      ended.resolve()
      this.#host.report({ kind: 'connectionEnded', listed, drainMs: this.#host.stopTimeoutMs })
    }
    const connection =
      rclone === null
        ? await makeConnection(native, records, mountId, kernel)
        : await RcloneConnection.open(this.#host, { ...rclone, path: kernel.path }, worker.link, onEnded)
    this.#connection = connection
    return connection
  }

  async #attach(
    worker: WorkerProcess,
    connection: KernelConnection,
    plan: MountPlan,
    takenOver: boolean,
    signal?: AbortSignal,
  ): Promise<void> {
    const { mountId, readOnly } = plan.open
    const params = { mountId, takenOver, mountPoint: connection.path, revision: plan.revision, backing: [...connection.backing] }
    const allowPassthrough = readOnly && this.#host.native.canMount()
    const fds = [connection.fuseFd, connection.memoryFd]
    await worker.link.call(
      'attach',
      { ...params, allowPassthrough },
      { deadlineMs: attachMs, fds, ...(signal === undefined ? {} : { signal }) },
    )
  }

  #take(worker: WorkerProcess, event: WorkerEvent, fds: readonly number[]): void {
    const { native } = this.#host
    try {
      if (worker !== this.#worker || event.mountId !== this.#host.mountId) return
      this.#handle(worker, event, fds)
    } finally {
      for (const fd of fds) native.closeFd(fd)
    }
  }

  #handle(worker: WorkerProcess, event: WorkerEvent, fds: readonly number[]): void {
    const { native } = this.#host
    switch (event.event) {
      case 'changed': {
        this.askStatus()
        return
      }
      case 'disconnected':
        this.#ended.resolve()
        void this.#reportEnd()
        return
      case 'openBacking': {
        const [fd] = fds
        const connection = this.#connection
        const id = connection?.kind !== 'fuse' || fd === undefined ? 0 : registerBacking(native, connection, event.node, fd)
        worker.link.answerBacking(event.mountId, event.ticket, id)
        return
      }
      case 'closeBacking':
        if (this.#connection?.kind === 'fuse') forgetBacking(native, this.#connection, event.node, event.backingId)
        return
      case 'demand':
        this.#seat?.demanded({ reader: event.reader, other: event.other })
        return
      case 'throttled':
        this.#seat?.throttled(event.milliseconds)
        return
      case 'alert': {
        this.#host.onAlert(event.severity, event.reason, event.message)
        return
      }
    }
  }

  async #reportEnd(): Promise<void> {
    const connection = this.#connection
    if (connection === undefined) return
    const listed = mountedAt(await readMountTable(), connection.path)?.device === connection.device
    this.#host.report({ kind: 'connectionEnded', listed, drainMs: this.#host.stopTimeoutMs })
  }

  #lost(worker: WorkerProcess): void {
    if (worker !== this.#worker) return
    this.#worker = undefined
    const connection = this.#connection
    if (connection === undefined) return
    const wasServing = this.#serving
    this.#serving = false
    const recent = this.#deaths.record(this.#host.clock.monotonic())
    const death = deathOf(connection, wasServing, recent)
    this.#host.log('warn', 'the worker died', { pid: worker.pid, fruitless: death.fruitless, recent, named: death.namedTimes })
    this.#host.report({ kind: 'workerLost', fruitless: death.fruitless, recent })
  }

  /** Ends the present worker, whose death then counts for nothing. */
  async #retire(): Promise<void> {
    await this.#dropWorker()?.terminate(retireMs)
  }

  #dropWorker(): WorkerProcess | undefined {
    const worker = this.#worker
    this.#worker = undefined
    this.#serving = false
    return worker
  }

  async #disconnect(): Promise<void> {
    const connection = this.#connection
    this.#connection = undefined
    if (connection === undefined) return
    if (connection.kind === 'rclone') return connection.close()
    closeConnection(this.#host.native, connection)
    // The number of a connection whose mount is gone may be that of another mount by now.
    const listed = mountedAt(await readMountTable(), connection.path)?.device === connection.device
    if (listed) await abortConnection(connection.device)
  }

  /** Ends what there is; a mount that stands is taken away lazily. */
  async #undo(): Promise<void> {
    const worker = this.#dropWorker()
    await worker?.exit(exitMs)
    this.#standUp()
    await this.#disconnect()
    await clearStaleMount(this.#host, this.#host.mountId)
  }
}
