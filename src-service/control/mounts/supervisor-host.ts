import type { DriveStatus } from '../../common/drive-state.ts'
import type { Clock } from '../../common/clock.ts'
import type { Adopted } from '../../common/frames/adoption.ts'
import type { OpenDrive } from '../../common/frames/messages.ts'
import type { Native } from '../../common/native/native.ts'
import type { WriteLog } from '../../common/telemetry/log.ts'
import type { RateUser, Seat } from './account-rates.ts'
import type { FuseMountOptions } from './drivers/fuse.ts'
import type { Input } from './mount-machine.ts'
import type { MountRecords } from './mount-records.ts'
import type { RclonePlan } from './rclone-connection.ts'
import type { WorkerPool } from './worker-pool.ts'

/** How a mount is to be, read anew at every start of it and of a worker. */
export interface MountPlan {
  /** With the secrets, as far as they are to be had. */
  readonly open: OpenDrive
  readonly kernel: FuseMountOptions
  /** Instead of our own kernel connection. */
  readonly rclone: RclonePlan | null
  readonly revision: number
}

export interface SupervisorHost {
  readonly mountId: string
  readonly native: Native
  readonly clock: Clock
  readonly pool: WorkerPool
  readonly records: MountRecords
  readonly log: WriteLog
  readonly plan: () => Promise<MountPlan>
  /** Takes part in the rate of the mount's account. */
  readonly joinAccount: (requestsPerSecond: number, user: RateUser) => Promise<Seat>
  readonly report: (input: Input) => void
  readonly onStatus: (status: DriveStatus) => void
  readonly onAlert: (severity: 'warning' | 'error', reason: string, message: string) => void
  /** How long a forced end serves open files, and how long uploads may take at an end that says nothing else. */
  readonly stopTimeoutMs: number
}

/** What an adopted worker gave, and where the kernel shows it. */
export interface HeldConnection {
  readonly adopted: Adopted
  readonly fds: readonly number[]
  readonly path: string
  /** `major:minor` */
  readonly device: string
}
