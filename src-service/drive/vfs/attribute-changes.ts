import { wallTime } from '../../common/wall-time.ts'
import { CloudError } from '../../common/errors.ts'
import { fileType, isFile, isFolder, type NodeRow } from '../cache/tree.ts'
import { attributesOf, withoutPrivileges } from './attributes.ts'
import type { VfsContext } from './context.ts'
import type { AttributeChange, Attributes, Commit, Maybe } from './filesystem.ts'
import type { NodeUpdates } from './rows.ts'

/** SETATTR: chmod, chown, utimensat and truncate in one. */
export class AttributeChanges {
  readonly #context: VfsContext
  readonly #updates: NodeUpdates

  constructor(context: VfsContext, updates: NodeUpdates) {
    this.#context = context
    this.#updates = updates
  }

  setattr(node: number, change: AttributeChange): Maybe<Commit<Attributes>> {
    const { tree, contents, settings } = this.#context
    if (settings.readOnly) throw new CloudError('read-only', 'the mount is read-only')
    const row = tree.needNode(node)
    const size = change.size
    const commit = (): Attributes => this.#commit(node, change)
    if (size === undefined) return commit
    if (isFolder(row.mode)) throw new CloudError('is-a-folder', 'a folder has no size to set')
    if (!isFile(row.mode)) throw new CloudError('invalid', 'only files have a size to set')
    return contents.truncate(node, size).then(() => commit)
  }

  #commit(node: number, change: AttributeChange): Attributes {
    const { tree, contents, queue } = this.#context
    if (isFile(tree.needNode(node).mode)) contents.settle(node)
    const row = tree.needNode(node)
    if (change.size !== undefined) this.#updates.setSize(node, change.size)
    const next = this.#next(change.size === undefined ? row : tree.needNode(node), change)
    if (next !== undefined) this.#updates.setAttributes(node, next)
    queue.nodeChanged(node)
    return attributesOf(tree.needNode(node), contents)
  }

  /** The attributes afterwards; undefined if only the size was to change. */
  #next(row: NodeRow, change: AttributeChange): Parameters<NodeUpdates['setAttributes']>[1] | undefined {
    const { mode, uid, gid, atime, mtime } = change
    // The kernel asks for it at a chown of anything but a folder, FIFOs and devices too.
    const killed = change.killPrivileges && !isFolder(row.mode) ? withoutPrivileges(row.mode) : row.mode
    const nothing = mode === undefined && uid === undefined && gid === undefined && atime === undefined && mtime === undefined
    if (nothing && killed === row.mode) return undefined
    return {
      mode: mode === undefined ? killed : (row.mode & fileType.mask) | (mode & 0o7777),
      uid: uid ?? row.uid,
      gid: gid ?? row.gid,
      atime: atime === undefined ? { sec: row.atime_s, nsec: row.atime_n } : atime === 'now' ? wallTime() : atime,
      mtime: mtime === undefined ? { sec: row.mtime_s, nsec: row.mtime_n } : mtime === 'now' ? wallTime() : mtime,
    }
  }
}
