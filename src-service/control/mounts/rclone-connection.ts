import { randomBytes } from 'node:crypto'
import { type Clock, pause } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import type { Native } from '../../common/native/native.ts'
import type { WriteLog } from '../../common/telemetry/log.ts'
import { DeathRate } from './death-record.ts'
import { unmountFuse } from './drivers/fuse.ts'
import { untilHandedOver } from './drivers/rclone-cache.ts'
import { findRclone, mountRclone, type RcloneChild, type RcloneMountOptions } from './drivers/rclone.ts'
import type { MountRecords } from './mount-records.ts'
import { mountedAt, readMountTable } from './mount-table.ts'
import type { WorkerLink } from './worker-link.ts'

export interface RcloneHost {
  readonly mountId: string
  readonly native: Native
  readonly clock: Clock
  readonly records: MountRecords
  readonly log: WriteLog
}

export type RclonePlan = Omit<RcloneMountOptions, 'mountId' | 'port' | 'token'>

const serveMs = 10_000
const stopMs = 10_000
const handOverMs = 10_000
const mostRestarts = 5
const restartAfterMs = 500

/**
 * A mount that rclone shows to the kernel, out of a drive that its worker serves by WebDAV. Port and password live as long as the
 * mount: a worker that takes another's place serves on the same port, an rclone that died is started again.
 */
export class RcloneConnection {
  readonly kind = 'rclone'
  readonly path: string
  readonly #host: RcloneHost
  readonly #plan: RclonePlan
  readonly #program: string
  readonly #token = randomBytes(32).toString('hex')
  readonly #deaths = new DeathRate()
  readonly #onEnded: (listed: boolean) => void
  #port = 0
  #child: RcloneChild | undefined
  #isClosed = false

  private constructor(host: RcloneHost, plan: RclonePlan, program: string, onEnded: (listed: boolean) => void) {
    this.#host = host
    this.#plan = plan
    this.#program = program
    this.#onEnded = onEnded
    this.path = plan.path
  }

  /** @param onEnded called once when the mount is over without `close`; `listed`: it is still in the mount table, dead */
  static async open(host: RcloneHost, plan: RclonePlan, link: WorkerLink, onEnded: (listed: boolean) => void): Promise<RcloneConnection> {
    const connection = new RcloneConnection(host, plan, await findRclone(), onEnded)
    await connection.serve(link)
    await connection.#mount()
    return connection
  }

  get device(): string {
    return this.#child?.device ?? ''
  }

  /** Lets a worker serve this mount, the first or one that follows. */
  async serve(link: WorkerLink): Promise<void> {
    const params = { mountId: this.#host.mountId, port: this.#port, token: this.#token }
    this.#port = (await link.call('serve', params, { deadlineMs: serveMs })).port
  }

  /** Waits until the drive has what was written and closed; what rclone has even then it keeps for the next mount. */
  async handOver(): Promise<void> {
    const left = await untilHandedOver(this.#host.clock, this.#plan.cacheFolder, handOverMs)
    if (left > 0) this.#host.log('warn', `rclone has ${left} files in hand: they reach the drive when it is mounted again`)
  }

  /** Ends rclone, which unmounts. */
  async close(): Promise<void> {
    this.#isClosed = true
    await this.#child?.stop(stopMs)
  }

  async #mount(): Promise<void> {
    const { mountId, records, clock } = this.#host
    if (this.#isClosed) return
    await records.save({ mountId, path: this.path, source: this.#plan.source, device: '' })
    const child = await mountRclone(this.#program, { ...this.#plan, mountId, port: this.#port, token: this.#token }, clock)
    await records.save({ mountId, path: this.path, source: child.source, device: child.device })
    this.#child = child
    void child.exited.then((code) => this.#exited(child, code))
  }

  async #exited(child: RcloneChild, code: number | null): Promise<void> {
    if (this.#isClosed || child !== this.#child) return
    const listed = mountedAt(await readMountTable().catch(() => []), this.path)?.device === child.device
    // Somebody unmounted it.
    if (code === 0 && !listed) {
      this.#end(false)
      return
    }
    this.#host.log('warn', 'rclone ended', { pid: child.pid, code })
    if (this.#deaths.record(this.#host.clock.monotonic()) > mostRestarts) {
      this.#end(listed)
      return
    }
    try {
      if (listed) await unmountFuse(this.#host.native, this.path, true)
      await pause(this.#host.clock, restartAfterMs)
      await this.#mount()
    } catch (caught) {
      this.#host.log('error', `rclone cannot be started again: ${CloudError.from(caught).message}`)
      this.#end(false)
    }
  }

  #end(listed: boolean): void {
    if (this.#isClosed) return
    this.#isClosed = true
    this.#onEnded(listed)
  }
}
