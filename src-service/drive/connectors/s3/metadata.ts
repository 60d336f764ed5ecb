/**
 * POSIX attributes as user metadata, in the names and forms that s3fs and rclone read: `mtime` and `atime` in seconds with a
 * fraction, `mode` as the decimal st_mode, `uid`, `gid`. What they have no name for stands under `cloudmoor-`.
 */
import type { PosixAttributes, RemoteType, Time } from '../connector.ts'
import { modeOf, permissionBits, timeOfNs, typeOfMode } from '../posix-mode.ts'
import type { Headers } from '../http.ts'

export type Metadata = (name: string) => string | undefined

/** Longer targets are only in the body: metadata is limited to 2 KB in all. */
const longestTarget = 1024

/** Lower-case headers for a PUT, a copy or a multipart upload. */
export function metadataHeaders(type: RemoteType, posix: PosixAttributes): Record<string, string> {
  const { mode, uid, gid, mtime, atime, rdev, target } = posix
  const special = type !== 'file' && type !== 'folder'
  const headers: Record<string, string> = {}
  const set = (name: string, value: string) => {
    headers[`x-amz-meta-${name}`] = value
  }
  if (mode !== undefined || special) set('mode', String(modeOf(type, mode ?? 0o666)))
  if (uid !== undefined) set('uid', String(uid))
  if (gid !== undefined) set('gid', String(gid))
  if (mtime) set('mtime', formatTime(mtime))
  if (atime) set('atime', formatTime(atime))
  if (rdev !== undefined) set('cloudmoor-rdev', String(rdev))
  if (target && target.length <= longestTarget) set('cloudmoor-target', target.toString('base64'))
  return headers
}

const ours: ReadonlySet<string> = new Set(
  ['mode', 'uid', 'gid', 'mtime', 'atime', 'cloudmoor-rdev', 'cloudmoor-target'].map((name) => `x-amz-meta-${name}`),
)
const described: ReadonlySet<string> = new Set([
  'content-type',
  'cache-control',
  'content-disposition',
  'content-encoding',
  'content-language',
])

/** What others said about an object and a copy must repeat, because a copy with new metadata takes over nothing. */
export function foreignHeaders(headers: Headers): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    const foreign = described.has(name) || (name.startsWith('x-amz-meta-') && !ours.has(name))
    if (foreign && typeof value === 'string') kept[name] = value
  }
  return kept
}

/** What the metadata says; whatever does not parse counts as not said. */
export function posixOfMetadata(metadata: Metadata): PosixAttributes {
  const mode = parseMode(metadata('mode'))
  const uid = parseCount(metadata('uid'))
  const gid = parseCount(metadata('gid'))
  const mtime = parseTime(metadata('mtime'))
  const atime = parseTime(metadata('atime'))
  const rdev = parseCount(metadata('cloudmoor-rdev'))
  const target = metadata('cloudmoor-target')
  return {
    ...(mode !== undefined && { mode: mode & permissionBits }),
    ...(uid !== undefined && { uid }),
    ...(gid !== undefined && { gid }),
    ...(mtime && { mtime }),
    ...(atime && { atime }),
    ...(rdev !== undefined && { rdev }),
    ...(target !== undefined && { target: Buffer.from(target, 'base64') }),
  }
}

export function typeOfMetadata(metadata: Metadata, otherwise: 'file' | 'folder'): RemoteType {
  const type = typeOfMode(parseMode(metadata('mode')) ?? 0)
  return type === null || otherwise === 'folder' || type === 'folder' ? otherwise : type
}

/** s3fs writes the mode in decimal, rclone in octal; a decimal number that is no st_mode is octal. */
function parseMode(text: string | undefined): number | undefined {
  if (text === undefined || !/^\d{1,7}$/.test(text)) return undefined
  const decimal = Number(text)
  if (!text.startsWith('0') && decimal <= 0o177777 && (decimal <= permissionBits || typeOfMode(decimal) !== null)) return decimal
  return /^[0-7]+$/.test(text) ? parseInt(text, 8) : undefined
}

function parseCount(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,10}$/.test(text) ? Number(text) : undefined
}

/** Seconds since 1970 with nine decimals: exact, and a plain number for others. */
export function formatTime({ sec, nsec }: Time): string {
  const ns = BigInt(sec) * 1_000_000_000n + BigInt(nsec)
  const size = ns < 0n ? -ns : ns
  const fraction = String(size % 1_000_000_000n).padStart(9, '0')
  return `${ns < 0n ? '-' : ''}${size / 1_000_000_000n}.${fraction}`
}

export function parseTime(text: string | undefined): Time | undefined {
  const match = /^(-?)(\d{1,12})(?:\.(\d{1,9})\d*)?s?$/.exec(text ?? '')
  if (!match) return undefined
  const [, sign, seconds, fraction] = match
  const size = BigInt(seconds ?? '0') * 1_000_000_000n + BigInt((fraction ?? '').padEnd(9, '0'))
  return timeOfNs(sign === '-' ? -size : size)
}
