import { CloudError } from '../../../common/errors.ts'
import { bytesOf } from '../../connectors/bytes-of.ts'
import type { Connector, PosixAttributes, RemoteEntry, RemotePlace, Time, UploadSource } from '../../connectors/connector.ts'
import { fileType, isFile, isFolder, type NodeRow } from '../tree.ts'
import type { QueueParts } from './queue-parts.ts'
import type { UnknownTry } from './queue-rows.ts'

/** Larger files are not read back to see whether two versions are the same. */
const mostCompared = 64 * 1024 * 1024
const comparedAtOnce = 1024 * 1024
/** Times coarser than this do not tell two versions apart for sure, nor do those that a program set to a round value. */
const fineEnough = 1_000_000

/** POSIX attributes of a node, to be stored by the provider as far as it can. */
export function posixOf(node: NodeRow, xattrs?: ReadonlyMap<string, Buffer>): PosixAttributes {
  const type = node.mode & fileType.mask
  return {
    mode: node.mode & 0o7777,
    uid: node.uid,
    gid: node.gid,
    mtime: { sec: node.mtime_s, nsec: node.mtime_n },
    atime: { sec: node.atime_s, nsec: node.atime_n },
    ...(type === fileType.char || type === fileType.block ? { rdev: node.rdev } : {}),
    ...(type === fileType.symlink && node.target !== null ? { target: node.target } : {}),
    ...(xattrs === undefined || xattrs.size === 0 ? {} : { xattrs }),
  }
}

/**
 * What a probe found, against what was sent: surely ours, surely not, or only the bytes can tell, where `time` and size are
 * right or only the size can be (`size`).
 */
export type Likeness = 'yes' | 'time' | 'size' | 'no'

export function likeness(entry: RemoteEntry, sent: UnknownTry, connector: Connector): Likeness {
  if (entry.type === 'folder') return 'no'
  if (entry.type === 'file' && entry.size !== sent.sent_size) return 'no'
  const { posix, mtimePrecisionNs } = connector.capabilities
  if (!posix.mtime) return 'size'
  const times = [entry.mtime, ...(entry.posix.mtime === undefined ? [] : [entry.posix.mtime])]
  if (!times.some((time) => isNear(time, { sec: sent.sent_s, nsec: sent.sent_n }, mtimePrecisionNs))) return 'no'
  return mtimePrecisionNs <= fineEnough && sent.sent_n % fineEnough !== 0 ? 'yes' : 'time'
}

function isNear(one: Time, other: Time, precisionNs: number): boolean {
  const seconds = one.sec - other.sec
  return Math.abs(seconds * 1e9 + (one.nsec - other.nsec)) < Math.max(1, precisionNs)
}

/**
 * True if the provider's version surely has the same contents as the node, all of whose bytes are here.
 * @param most bytes of a file that are read back for it; above that two versions count as different
 */
export async function isSame(
  { contents, connector }: QueueParts,
  node: NodeRow,
  place: RemotePlace,
  entry: RemoteEntry,
  signal: AbortSignal,
  most = mostCompared,
): Promise<boolean> {
  if (isFolder(node.mode)) return entry.type === 'folder'
  if (!isFile(node.mode)) return isSameSpecial(node, entry)
  // The row may lag behind what was written.
  const size = contents.live(node.id)?.size ?? node.size
  if (entry.type !== 'file' || entry.size !== size || size > most) return false
  if (size === 0) return true
  const ours = await contents.source(node.id, { snapshot: false })
  try {
    return ours.size === size && (await haveSameBytes(ours, place, entry, connector, signal))
  } finally {
    ours.close()
  }
}

function isSameSpecial(node: NodeRow, entry: RemoteEntry): boolean {
  const mine = posixOf(node)
  if ((node.mode & fileType.mask) !== typeBits(entry)) return false
  if (mine.target !== undefined) return entry.posix.target?.equals(mine.target) === true
  return mine.rdev === undefined || mine.rdev === entry.posix.rdev
}

function typeBits(entry: RemoteEntry): number {
  switch (entry.type) {
    case 'symlink':
      return fileType.symlink
    case 'fifo':
      return fileType.fifo
    case 'socket':
      return fileType.socket
    case 'char':
      return fileType.char
    case 'block':
      return fileType.block
    case 'folder':
      return fileType.folder
    case 'file':
      return fileType.file
  }
}

async function haveSameBytes(
  ours: UploadSource,
  place: RemotePlace,
  entry: RemoteEntry,
  connector: Connector,
  signal: AbortSignal,
): Promise<boolean> {
  for (let start = 0; start < entry.size; start += comparedAtOnce) {
    const end = Math.min(entry.size, start + comparedAtOnce)
    const mine = await ours.read(start, end, signal)
    if (!mine.equals(await bytesOf(connector.read(place, start, end, entry.rev, signal)))) return false
  }
  return true
}

/** A resumable upload with what it belongs to: another version, or another place, cannot go on from it. */
export function packHandle(content: number, place: RemotePlace, handle: string): string {
  return JSON.stringify([content, pathKey(place), handle])
}

/** The provider's handle, and which version at which place it is for. */
export function unpackHandle(packed: string): { readonly handle: string; fits(content: number, place: RemotePlace): boolean } {
  const parts: unknown = JSON.parse(packed)
  const [content, path, handle]: readonly unknown[] = Array.isArray(parts) ? (parts as readonly unknown[]) : []
  if (typeof handle !== 'string') throw new CloudError('damaged', 'a stored upload handle cannot be read')
  return { handle, fits: (wanted, place) => content === wanted && path === pathKey(place) }
}

function pathKey(place: RemotePlace): string {
  return place.path.map((name) => name.toString('latin1')).join('/')
}

/** What may stand in the way of such a node: anything, unless files and folders of one name live side by side. */
export function statKind(mode: number, connector: Connector): 'file' | 'folder' | 'any' {
  if (connector.capabilities.realFolders) return 'any'
  return isFolder(mode) ? 'folder' : 'file'
}
