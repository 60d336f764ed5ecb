/** Gives an object its attributes: natively as far as this process may, in the record beyond that. */
import fs from 'node:fs'
import { CloudError } from '../../../common/errors.ts'
import type { Native } from '../../../common/native/native.ts'
import type { PosixAttributes, RemoteType, Time } from '../connector.ts'
import { permissionBits, timeOfNs } from '../posix-mode.ts'
import { readAttributes, recordName } from './entry-facts.ts'
import type { PosixRecord } from './entry-facts.ts'

export interface Attributed {
  readonly path: Buffer
  readonly type: RemoteType
  readonly posix: PosixAttributes
}

/**
 * What is absent from `posix` stays as it is. Set-user-id, set-group-id and sticky bits never become native: a folder that
 * plays the cloud must not hold programs that act as somebody else.
 * @throws CloudError `unsupported` where the file system has no place for something that must not be lost
 */
export async function applyPosix(native: Native | null, object: Attributed): Promise<void> {
  const { path, type, posix } = object
  const chown = process.getuid?.() === 0 && (posix.uid !== undefined || posix.gid !== undefined)
  if (chown) await fs.promises.lchown(path, posix.uid ?? -1, posix.gid ?? -1)
  if (type !== 'symlink' && posix.mode !== undefined) await fs.promises.chmod(path, nativeMode(type, posix.mode))
  if (carriesAttributes(type)) {
    if (posix.xattrs) await replaceAttributes(native, path, posix.xattrs)
    await keepRecord(native, object)
  }
  await setTimes(native, path, posix.atime, posix.mtime)
}

/** The owner must always be able to read back what it keeps. */
function nativeMode(type: RemoteType, mode: number): number {
  return (mode & 0o777) | (type === 'folder' ? 0o700 : 0o600)
}

/** Device nodes are kept as empty files. */
function carriesAttributes(type: RemoteType): boolean {
  return type !== 'symlink' && type !== 'fifo' && type !== 'socket'
}

async function keepRecord(native: Native | null, { path, type, posix }: Attributed): Promise<void> {
  const stats = await fs.promises.lstat(path)
  const now = { mode: stats.mode & permissionBits, uid: stats.uid, gid: stats.gid }
  const node = type === 'char' || type === 'block' ? { type, rdev: posix.rdev ?? 0 } : {}
  const record: PosixRecord = { mode: posix.mode ?? now.mode, uid: posix.uid ?? now.uid, gid: posix.gid ?? now.gid, ...node, native: now }
  const needed = record.mode !== now.mode || record.uid !== now.uid || record.gid !== now.gid || 'type' in node
  try {
    if (needed) await native?.setAttribute(path, recordName, Buffer.from(JSON.stringify(record)))
    else if (native && (await native.getAttribute(path, recordName))) await native.removeAttribute(path, recordName)
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind !== 'unsupported') throw error
  }
  if ('type' in node && !(await native?.getAttribute(path, recordName).catch(() => null))) {
    throw new CloudError('unsupported', 'the file system below keeps no extended attributes, which device nodes need')
  }
}

async function replaceAttributes(native: Native | null, path: Buffer, wanted: ReadonlyMap<string, Buffer>): Promise<void> {
  if (!native) throw new CloudError('unsupported', 'extended attributes need the native addon')
  const stats = await fs.promises.lstat(path, { bigint: true })
  for (const name of (await readAttributes(native, path, stats)).keys()) {
    if (!wanted.has(name)) await native.removeAttribute(path, name)
  }
  for (const [name, value] of wanted) {
    if (!name.startsWith('user.') || name === recordName) throw new CloudError('unsupported', `${name}: only user attributes can be kept`)
    await native.setAttribute(path, name, value)
  }
}

async function setTimes(native: Native | null, path: Buffer, atime: Time | undefined, mtime: Time | undefined): Promise<void> {
  if (!atime && !mtime) return
  const stats = await fs.promises.lstat(path, { bigint: true })
  const a = atime ?? timeOfNs(stats.atimeNs)
  const m = mtime ?? timeOfNs(stats.mtimeNs)
  if (native) await native.setTimes(path, { atimeSec: a.sec, atimeNsec: a.nsec, mtimeSec: m.sec, mtimeNsec: m.nsec })
  else await fs.promises.lutimes(path, a.sec + a.nsec / 1e9, m.sec + m.nsec / 1e9)
}
