import type { FileState, FileStatus } from '../../common/drive-state.ts'
import type { FileEntry } from '../../common/frames/drive-calls.ts'
import type { Contents } from '../cache/contents.ts'
import type { UploadQueue } from '../cache/sync.ts'
import { fileType, isFile, isFolder, type NodeRow, rootNode } from '../cache/tree.ts'
import type { Connector } from '../connectors/connector.ts'
import type { Paths } from './paths.ts'

/** Where a file is and what still happens to it: the same words in API, CLI and UI. */
export class FileStates {
  readonly #paths: Paths
  readonly #contents: Contents
  readonly #queue: UploadQueue
  readonly #connector: Connector

  constructor(parts: { paths: Paths; contents: Contents; queue: UploadQueue; connector: Connector }) {
    this.#paths = parts.paths
    this.#contents = parts.contents
    this.#queue = parts.queue
    this.#connector = parts.connector
  }

  /** @param path names from the mount's root, '/' between; '' is the root. @throws not-found, not-a-folder, or an Unknown kind */
  async of(path: string): Promise<FileStatus> {
    const { row } = await this.#paths.find(path)
    const { type, size, state, localBytes, reason } = this.entryOf(row, path, '')
    const sheet = row.id === rootNode ? (this.#connector.sheet ?? []) : []
    return { path, type, size, state, localBytes, reason, localOnly: this.#localOnly(row), sheet }
  }

  /** A node as a listing shows it. */
  entryOf(row: NodeRow, path: string, name: string): FileEntry {
    const live = isFile(row.mode) ? this.#contents.live(row.id) : undefined
    return {
      path,
      name,
      ...this.#stateOf(row),
      type: typeOf(row.mode),
      size: live?.size ?? row.size,
      modifiedAt: (live?.mtimeSec ?? row.mtime_s) * 1000 + Math.floor((live?.mtimeNsec ?? row.mtime_n) / 1e6),
      localBytes: isFile(row.mode) ? this.#contents.localBytes(row.id) : 0,
    }
  }

  #stateOf(row: NodeRow): { state: FileState; reason: string } {
    const isMended = row.fault === 'base_lost' && this.#contents.isWhole(row.id)
    if (row.fault !== null && !isMended) return { state: row.fault === 'base_lost' ? 'conflict' : 'error', reason: row.fault }
    const queued = this.#queue.stateOf(row.id)
    if (queued !== undefined) return { state: queued.state === 'parked' ? 'error' : queued.state, reason: queued.reason }
    if (row.pinned === 1) return { state: 'pinned', reason: '' }
    if (!isFile(row.mode)) return { state: 'cached', reason: '' }
    return { state: this.#contents.isWhole(row.id) || row.size === 0 ? 'cached' : 'online', reason: '' }
  }

  /** What of this node the provider has no place for. */
  #localOnly(row: NodeRow): readonly string[] {
    const { posix } = this.#connector.capabilities
    const special = !isFile(row.mode) && !isFolder(row.mode)
    const symlink = (row.mode & fileType.mask) === fileType.symlink
    return [
      ...(posix.mode ? [] : ['mode']),
      ...(posix.owner ? [] : ['owner']),
      ...(posix.mtime ? [] : ['modification time']),
      ...(row.nlink > 1 && isFile(row.mode) ? ['hard links'] : []),
      ...(symlink && !posix.symlinks ? ['symbolic link'] : []),
      ...(special && !symlink && !posix.specialNodes ? ['special node'] : []),
      ...(posix.xattrs ? [] : ['extended attributes']),
    ]
  }
}

function typeOf(mode: number): FileStatus['type'] {
  if (isFile(mode)) return 'file'
  if (isFolder(mode)) return 'folder'
  return (mode & fileType.mask) === fileType.symlink ? 'symlink' : 'other'
}
