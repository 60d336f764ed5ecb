/** st_mode and back. The numbers are those of Linux; clouds that keep a mode (s3fs, rclone) use the same. */
import { unreachable } from '../../common/errors.ts'
import type { RemoteType, Time } from './connector.ts'

export const permissionBits = 0o7777
const typeBits = 0o170000

export function modeOf(type: RemoteType, permissions: number): number {
  return typeBitsOf(type) | (permissions & permissionBits)
}

function typeBitsOf(type: RemoteType): number {
  switch (type) {
    case 'file':
      return 0o100000
    case 'folder':
      return 0o040000
    case 'symlink':
      return 0o120000
    case 'fifo':
      return 0o010000
    case 'socket':
      return 0o140000
    case 'char':
      return 0o020000
    case 'block':
      return 0o060000
    default:
      return unreachable(type)
  }
}

/** Null when the mode carries no type or an unknown one. */
export function typeOfMode(mode: number): RemoteType | null {
  switch (mode & typeBits) {
    case 0o100000:
      return 'file'
    case 0o040000:
      return 'folder'
    case 0o120000:
      return 'symlink'
    case 0o010000:
      return 'fifo'
    case 0o140000:
      return 'socket'
    case 0o020000:
      return 'char'
    case 0o060000:
      return 'block'
    default:
      return null
  }
}

/** Times as one number of nanoseconds, and back; also before 1970. */
export function timeOfNs(ns: bigint): Time {
  const billion = 1_000_000_000n
  const nsec = ((ns % billion) + billion) % billion
  return { sec: Number((ns - nsec) / billion), nsec: Number(nsec) }
}

export function timeOfMs(ms: number): Time {
  const sec = Math.floor(ms / 1000)
  return { sec, nsec: Math.round((ms - sec * 1000) * 1e6) }
}
