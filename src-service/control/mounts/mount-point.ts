import { lstat, opendir, realpath } from 'node:fs/promises'
import { dirname, isAbsolute, join, normalize, sep } from 'node:path'
import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { withDeadline } from './deadline.ts'
import { fileSystemType, isInside, type MountEntry, mountedAt } from './mount-table.ts'

/** A folder on a disk that spins up answers within this; one that does not would hang the mount too. */
const lookMs = 5_000

/** An absolute path without `..`, `.` or a slash at its end. Throws `invalid`. Looks at the name only. */
export function normalizeMountPath(path: string): string {
  if (!isAbsolute(path) || path.includes('\0')) {
    throw new CloudError('invalid', `the mount point '${path}' is not an absolute path`, { hint: 'Give the whole path, beginning with /.' })
  }
  const plain = normalize(path)
  const trimmed = plain.length > 1 && plain.endsWith(sep) ? plain.slice(0, -1) : plain
  if (trimmed === sep) throw new CloudError('invalid', 'the root of the file system cannot be a mount point')
  return trimmed
}

/**
 * Refuses a mount point inside one of our mounts, or around or inside a folder that the service itself needs. By names
 * alone: nothing is looked up, so nothing can hang.
 * @param needed folders of the service: state, run, cache folders
 * @param others paths of our other mounts
 */
export function checkMountPlace(path: string, needed: readonly string[], others: readonly string[]): void {
  for (const other of others) {
    if (isInside(path, other)) {
      throw overlap(`${path} lies inside the mount on ${other}`)
    }
  }
  for (const folder of needed) {
    if (isInside(folder, path)) throw overlap(`${path} contains ${folder}, which the service itself needs`)
    if (isInside(path, folder)) throw overlap(`${path} lies inside ${folder}, which belongs to the service`)
  }
}

/** Refuses a cache folder inside one of our mounts or around one. By names alone. */
export function checkCachePlace(folder: string, mountPoints: readonly string[]): void {
  for (const path of mountPoints) {
    if (isInside(folder, path)) throw overlap(`the cache folder ${folder} lies inside the mount on ${path}`)
    if (isInside(path, folder)) throw overlap(`the cache folder ${folder} contains the mount point ${path}`)
  }
}

/**
 * Looks whether a mount can be made here, and gives the path without symbolic links. Never enters one of our own mounts.
 * @throws not-found, not-a-folder, not-empty, exists (something is mounted there), invalid, access, timeout
 */
export async function lookAtMountPoint(clock: Clock, table: readonly MountEntry[], path: string): Promise<string> {
  checkNotOurs(table, path)
  // Only the folder above is resolved: were the path itself one of our mounts by another name, a look at it could hang.
  const parent = await look(clock, path, realpath(dirname(path)))
  const real = join(parent, path.slice(dirname(path) === sep ? 1 : dirname(path).length + 1))
  checkNotOurs(table, real)
  const found = await look(clock, path, lstat(real))
  if (found.isSymbolicLink()) {
    const target = await look(clock, path, realpath(real))
    checkNotOurs(table, target)
    return lookAtMountPoint(clock, table, target)
  }
  if (!found.isDirectory()) {
    throw new CloudError('not-a-folder', `the mount point ${path} is not a folder`, {
      code: 'MOUNT_POINT_MISSING',
      hint: 'Choose an empty folder.',
    })
  }
  if (!(await look(clock, path, isEmpty(real)))) {
    throw new CloudError('not-empty', `the mount point ${path} is not empty`, {
      code: 'MOUNT_POINT_NOT_EMPTY',
      hint: 'Choose an empty folder; what is in this one would be hidden.',
    })
  }
  return real
}

function checkNotOurs(table: readonly MountEntry[], path: string): void {
  const own = table.find((entry) => entry.type === fileSystemType && entry.mountPoint !== path && isInside(path, entry.mountPoint))
  if (own !== undefined) throw overlap(`${path} lies inside the mount on ${own.mountPoint}`)
  const taken = mountedAt(table, path)
  if (taken !== undefined) {
    throw new CloudError('exists', `${taken.source} (${taken.type}) is already mounted on ${path}`, {
      code: 'MOUNT_POINT_TAKEN',
      hint: taken.type === fileSystemType ? 'Another CloudMoor service may have mounted it.' : 'Unmount it, or choose another folder.',
    })
  }
}

async function isEmpty(path: string): Promise<boolean> {
  const folder = await opendir(path)
  try {
    return (await folder.read()) === null
  } finally {
    await folder.close()
  }
}

async function look<T>(clock: Clock, path: string, work: Promise<T>): Promise<T> {
  try {
    return await withDeadline(clock, lookMs, `looking at ${path}`, work)
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'not-found' || error.kind === 'not-a-folder') {
      throw new CloudError('not-found', `the mount point ${path} does not exist`, {
        cause: caught,
        code: 'MOUNT_POINT_MISSING',
        hint: `Make it: mkdir -p '${path}'`,
      })
    }
    if (error.kind === 'access' || error.kind === 'permission') {
      throw new CloudError('access', `the mount point ${path} may not be looked at by the user of the service`, {
        cause: caught,
        code: 'NO_MOUNT_RIGHT',
      })
    }
    if (error.code === 'ENOTCONN') {
      throw new CloudError('exists', `a mount whose program is gone lies on ${path}`, {
        cause: caught,
        code: 'MOUNT_POINT_TAKEN',
        hint: `Clear it away: fusermount3 -uz '${path}'`,
      })
    }
    throw error
  }
}

function overlap(message: string): CloudError {
  return new CloudError('invalid', message, { code: 'PATH_OVERLAP', hint: 'Choose a folder outside of it.' })
}
