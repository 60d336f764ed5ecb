import { CloudError } from '../common/errors.ts'
import type { Contents } from './cache/contents.ts'
import type { Listings, UploadQueue } from './cache/sync.ts'
import { fileType, isFile, isFolder, type NodeRow, rootNode, type Tree } from './cache/tree.ts'
import type { Connector } from './connectors/connector.ts'
import type { FileState, FileStatus } from './drive-contract.ts'

/** Where a file is and what still happens to it: the same words in API, CLI and UI. */
export class FileStates {
  readonly #tree: Tree
  readonly #contents: Contents
  readonly #listings: Listings
  readonly #queue: UploadQueue
  readonly #connector: Connector

  constructor(parts: { tree: Tree; contents: Contents; listings: Listings; queue: UploadQueue; connector: Connector }) {
    this.#tree = parts.tree
    this.#contents = parts.contents
    this.#listings = parts.listings
    this.#queue = parts.queue
    this.#connector = parts.connector
  }

  /** @param path names from the mount's root, '/' between; '' is the root. @throws not-found, not-a-folder, or an Unknown kind */
  async of(path: string): Promise<FileStatus> {
    let row = this.#tree.needNode(rootNode)
    for (const part of path.split('/').filter((name) => name !== '')) {
      if (!isFolder(row.mode)) throw new CloudError('not-a-folder', `${path}: a part of the path is not a folder`)
      await this.#listings.ready(row.id)
      const next = this.#tree.lookup(row.id, Buffer.from(part))
      if (next === undefined) throw new CloudError('not-found', `${path}: no such file or folder`)
      row = next
    }
    const { state, reason } = this.#stateOf(row)
    const live = this.#contents.live(row.id)
    return {
      path,
      state,
      reason,
      type: isFile(row.mode)
        ? 'file'
        : isFolder(row.mode)
          ? 'folder'
          : (row.mode & fileType.mask) === fileType.symlink
            ? 'symlink'
            : 'other',
      size: live?.size ?? row.size,
      localBytes: isFile(row.mode) ? this.#contents.localBytes(row.id) : 0,
      localOnly: this.#localOnly(row),
      sheet: row.id === rootNode ? (this.#connector.sheet ?? []) : [],
    }
  }

  #stateOf(row: NodeRow): { state: FileState; reason: string } {
    if (row.fault !== null) return { state: row.fault === 'base_lost' ? 'conflict' : 'error', reason: row.fault }
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
