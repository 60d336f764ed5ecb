import { type Clock, pause } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import type { Method, Methods } from '../../common/frames/messages.ts'
import type { Native } from '../../common/native/native.ts'
import type { WriteLog } from '../../common/telemetry/log.ts'
import { withDeadline } from './deadline.ts'
import { abortConnection, unmountFuse } from './drivers/fuse.ts'
import { isInside, mountedAt, readMountTable } from './mount-table.ts'
import { describeUsers, findMountUsers } from './mount-users.ts'

/** What the kernel shows, and where. */
interface Shown {
  readonly kind: 'fuse' | 'rclone'
  readonly path: string
  /** `major:minor` */
  readonly device: string
  /** Of rclone, which has files of its own. */
  handOver?(): Promise<void>
}

export interface EndOptions {
  /** Take a busy mount away lazily: its open files are served until the time is over. */
  readonly force: boolean
  /** Milliseconds for uploads, and for open files of a mount that was taken away lazily. */
  readonly drainMs: number
}

export interface EndingMount {
  readonly mountId: string
  readonly native: Native
  readonly clock: Clock
  readonly log: WriteLog
  readonly connection: Shown | undefined
  /** Resolves when the kernel has ended the connection. */
  readonly ended: Promise<undefined>
  call<M extends Method>(method: M, params: Methods[M]['params'], deadlineMs: number, signal?: AbortSignal): Promise<Methods[M]['result']>
}

/** An unmount waits for the worker to take what mapped files have not written back. */
const unmountMs = 20_000
const endedMs = 2_000
const rcloneEndedMs = 30_000
const statusMs = 5_000

/**
 * Takes the folder away, then lets the worker upload within the bound. Without `force` a mount in use is left as it is.
 * @throws busy, with who uses it
 */
export async function endMount(mount: EndingMount, options: EndOptions, signal: AbortSignal): Promise<void> {
  const end = mount.clock.monotonic() + options.drainMs
  const left = () => Math.max(0, end - mount.clock.monotonic())
  const { connection } = mount
  if (connection === undefined || (await unmount(mount, connection, options.force))) return drain(mount, left(), signal)
  await Promise.all([untilEnded(mount, connection, left(), signal), drain(mount, left(), signal)])
}

/** Open files are served until the time is over. Once the kernel has ended the connection, its number may be someone else's. */
async function untilEnded(mount: EndingMount, { device }: Shown, milliseconds: number, signal: AbortSignal): Promise<void> {
  const ended = await Promise.race([mount.ended.then(() => true), pause(mount.clock, milliseconds, signal).then(() => false)])
  if (!ended) await abortConnection(device)
}

/** True if the connection is over; false if it was taken away lazily and still has users. */
async function unmount(mount: EndingMount, connection: Shown, force: boolean): Promise<boolean> {
  if (mountedAt(await readMountTable(), connection.path)?.device !== connection.device) return true
  await connection.handOver?.()
  try {
    await withDeadline(mount.clock, unmountMs, `unmounting ${connection.path}`, unmountFuse(mount.native, connection.path, false))
  } catch (caught) {
    const error = CloudError.from(caught)
    if (!force) throw error.kind === 'busy' ? await busy(connection.path, error) : error
    mount.log('warn', `${connection.path} is taken away from its users: ${error.message}`, { mountId: mount.mountId })
    await unmountFuse(mount.native, connection.path, true)
    return false
  }
  // What was written last reaches the drive before it is drained.
  await Promise.race([mount.ended, pause(mount.clock, connection.kind === 'rclone' ? rcloneEndedMs : endedMs)])
  return true
}

async function busy(path: string, cause: CloudError): Promise<CloudError> {
  const below = (await readMountTable()).filter((entry) => entry.mountPoint !== path && isInside(entry.mountPoint, path))
  const users = below.length > 0 ? `by the mount on ${below[0]?.mountPoint}` : describeUsers(await findMountUsers(path))
  return new CloudError('busy', `${path} is in use: ${users}`, {
    cause,
    code: 'MOUNT_BUSY',
    hint: 'End these programs, or unmount with --force: files that are open then go on working for a while, and nothing that waits for upload is lost.',
  })
}

async function drain(mount: EndingMount, timeoutMs: number, signal: AbortSignal): Promise<void> {
  const params = { mountId: mount.mountId }
  try {
    if (timeoutMs > 0) await mount.call('drain', { ...params, timeoutMs }, timeoutMs + statusMs, signal)
  } catch (caught) {
    // What could not be uploaded is kept and goes on at the next start.
    mount.log('info', `uploads stopped: ${CloudError.from(caught).message}`, params)
  }
}
