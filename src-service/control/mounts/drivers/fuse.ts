import { type ChildProcess, spawn } from 'node:child_process'
import { access, constants, writeFile } from 'node:fs/promises'
import { CloudError } from '../../../common/errors.ts'
import type { Native } from '../../../common/native/native.ts'
import { mountError } from './mount-error.ts'

export interface FuseMountOptions {
  readonly path: string
  /** First field of /proc/mounts, `cloudmoor:NAME`. */
  readonly source: string
  /** Other users than the mounting one may enter, as modes allow. */
  readonly allowOther: boolean
  readonly readOnly: boolean
}

/** Largest READ in bytes. */
const maxRead = 1024 * 1024
/** Read-ahead of the kernel in KiB: sequential readers keep several READs in flight. */
const readAheadKiB = 4096
const helper = 'fusermount3'
const detach = 2
/** An unmount waits for a worker to take what is not written back yet. */
const unmountDeadlineMs = 20_000

/** Mounts and gives the /dev/fuse descriptor (O_NONBLOCK, O_CLOEXEC). Directly with CAP_SYS_ADMIN, otherwise through fusermount3. */
export async function mountFuse(native: Native, options: FuseMountOptions): Promise<number> {
  await access('/dev/fuse', constants.R_OK | constants.W_OK).catch((caught: unknown) => {
    throw noFuse(caught)
  })
  try {
    if (!native.canMount()) return await mountThroughHelper(native, options)
    const { path, source, allowOther, readOnly } = options
    return await native.mountDirect(path, { source, allowOther, readOnly, maxRead })
  } catch (caught) {
    throw mountError(caught, options.path)
  }
}

/** Unmounts; `busy` while processes use it, unless `lazy`: then it leaves the name space at once and ends with its last user. */
export async function unmountFuse(native: Native, path: string, lazy: boolean): Promise<void> {
  try {
    if (native.canMount()) await native.unmount(path, lazy ? detach : 0)
    else await runHelper([lazy ? '-uz' : '-u', '--', path])
  } catch (caught) {
    throw mountError(caught, path)
  }
}

/** Raises the kernel's read-ahead where this process may (root); elsewhere it stays at the default 128 KiB. @param device `major:minor` */
export async function raiseReadAhead(device: string): Promise<boolean> {
  return writeFile(`/sys/class/bdi/${device}/read_ahead_kb`, String(readAheadKiB)).then(
    () => true,
    () => false,
  )
}

/** Ends a connection whose descriptor a process that cannot be killed still holds. @param device `major:minor` */
export async function abortConnection(device: string): Promise<boolean> {
  const minor = device.split(':')[1] ?? ''
  return writeFile(`/sys/fs/fuse/connections/${minor}/abort`, '1').then(
    () => true,
    () => false,
  )
}

async function mountThroughHelper(native: Native, options: FuseMountOptions): Promise<number> {
  const [ours, theirs] = native.socketPair()
  const flags = [
    options.readOnly ? 'ro' : 'rw',
    'nosuid,nodev,default_permissions',
    `fsname=${options.source.replace(/[\\,]/g, '\\$&')}`,
    'subtype=cloudmoor',
    `max_read=${maxRead}`,
    ...(options.allowOther ? ['allow_other'] : []),
  ]
  try {
    const child = spawn(helper, ['-o', flags.join(','), '--', options.path], {
      cwd: '/',
      stdio: ['ignore', 'ignore', 'pipe', theirs],
      env: { PATH: helperPath, _FUSE_COMMFD: '3' },
    })
    const ended = outcome(child)
    // The helper's end now lives in the helper alone, so that its end is the end of the wait.
    native.closeFd(theirs)
    const [received, refusal] = await Promise.allSettled([native.receiveFd(ours), ended])
    if (received.status === 'fulfilled') return received.value
    throw refusal.status === 'rejected' ? refusal.reason : received.reason
  } finally {
    native.closeFd(ours)
  }
}

function outcome(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = ''
    child.stderr?.on('data', (chunk: Buffer) => {
      said = (said + chunk.toString()).slice(0, 2000)
    })
    child.on('error', reject)
    child.on('close', (code) => {
      if (code === 0) resolve()
      else reject(new CloudError('io', said.trim() || `${helper} ended with ${code}`))
    })
  })
}

/** The helper is setuid root: it must be the system's own. */
const helperPath = '/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin'

function runHelper(args: readonly string[]): Promise<void> {
  return outcome(
    spawn(helper, args, { cwd: '/', stdio: ['ignore', 'ignore', 'pipe'], timeout: unmountDeadlineMs, env: { PATH: helperPath } }),
  )
}

function noFuse(caught: unknown): CloudError {
  const absent = CloudError.from(caught).kind === 'not-found'
  return new CloudError(absent ? 'unsupported' : 'access', absent ? '/dev/fuse is missing' : '/dev/fuse may not be opened', {
    cause: caught,
    code: absent ? 'NO_FUSE' : 'NO_MOUNT_RIGHT',
    hint: absent
      ? 'Load the kernel module (modprobe fuse); in a container, pass the device (--device /dev/fuse --cap-add SYS_ADMIN).'
      : 'Let the user read and write /dev/fuse (mode 0666 on most systems).',
  })
}
