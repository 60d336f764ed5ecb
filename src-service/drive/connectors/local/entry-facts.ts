/** What the kernel says of an object, and what it cannot say and is kept beside it in one extended attribute. */
import type { BigIntStats } from 'node:fs'
import type { Native } from '../../../common/native/native.ts'
import type { PosixAttributes, RemoteEntry, RemoteType } from '../connector.ts'
import { permissionBits, timeOfNs, typeOfMode } from '../posix-mode.ts'

export const recordName = 'user.cloudmoor.posix'

/** Facts that the file system below cannot hold, with the native ones at that time: if somebody changed those, they win. */
export interface PosixRecord {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly type?: 'char' | 'block'
  readonly rdev?: number
  readonly native: { readonly mode: number; readonly uid: number; readonly gid: number }
}

/** Changes with any change of the contents; also with a change of attributes, which costs a fetch but never a byte. */
export function revOf(stats: BigIntStats): string {
  if (stats.isDirectory()) return `folder-${stats.ino}`
  return `${stats.size}-${stats.mtimeNs}-${stats.ino}-${stats.ctimeNs}`
}

export function nativeType(stats: BigIntStats): RemoteType {
  return typeOfMode(Number(stats.mode)) ?? 'file'
}

export function entryOf(name: Buffer, stats: BigIntStats, record: PosixRecord | null, extra: PosixAttributes): RemoteEntry {
  const type = record?.type ?? nativeType(stats)
  return {
    name,
    type,
    size: type === 'file' ? Number(stats.size) : 0,
    mtime: timeOfNs(stats.mtimeNs),
    rev: revOf(stats),
    id: null,
    posix: { ...posixOf(stats, record), ...extra },
  }
}

export function posixOf(stats: BigIntStats, record: PosixRecord | null): PosixAttributes {
  const native = { mode: Number(stats.mode) & permissionBits, uid: Number(stats.uid), gid: Number(stats.gid) }
  const sameOwner = record !== null && record.native.uid === native.uid && record.native.gid === native.gid
  const type = nativeType(stats)
  const rdev = record?.rdev ?? (type === 'char' || type === 'block' ? Number(stats.rdev) : undefined)
  return {
    mode: record !== null && record.native.mode === native.mode ? record.mode : native.mode,
    uid: sameOwner ? record.uid : native.uid,
    gid: sameOwner ? record.gid : native.gid,
    mtime: timeOfNs(stats.mtimeNs),
    atime: timeOfNs(stats.atimeNs),
    ...(rdev !== undefined && { rdev }),
  }
}

/** Only files and folders can carry user attributes; everything else is as the kernel says. Null also where there are none. */
export async function readRecord(native: Native | null, path: Buffer, stats: BigIntStats): Promise<PosixRecord | null> {
  if (!native || !(stats.isFile() || stats.isDirectory())) return null
  const value = await native.getAttribute(path, recordName).catch(ignoreUnsupported)
  return value ? parseRecord(value) : null
}

/** The user's own extended attributes. */
export async function readAttributes(native: Native | null, path: Buffer, stats: BigIntStats): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>()
  if (!native || !(stats.isFile() || stats.isDirectory())) return found
  for (const name of (await native.listAttributes(path).catch(ignoreUnsupported)) ?? []) {
    if (!name.startsWith('user.') || name === recordName) continue
    const value = await native.getAttribute(path, name)
    if (value) found.set(name, value)
  }
  return found
}

function ignoreUnsupported(error: unknown): null {
  if (error instanceof Error && 'code' in error && (error.code === 'EOPNOTSUPP' || error.code === 'ENOTSUP')) return null
  throw error
}

/** Null for anything that is not a record: it may have been written by anybody. */
export function parseRecord(value: Buffer): PosixRecord | null {
  let parsed: unknown
  try {
    parsed = JSON.parse(value.toString())
  } catch {
    return null
  }
  return isRecord(parsed) ? parsed : null
}

function isRecord(value: unknown): value is PosixRecord {
  if (!isObject(value) || !isObject(value['native'])) return false
  const { type, rdev, native } = value
  const owners = [value['mode'], value['uid'], value['gid'], native['mode'], native['uid'], native['gid']]
  return owners.every(isCount) && (type === undefined || type === 'char' || type === 'block') && (rdev === undefined || isCount(rdev))
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null
}

function isCount(value: unknown): boolean {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
}
