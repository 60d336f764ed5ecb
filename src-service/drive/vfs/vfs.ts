import { attributesOf } from './attributes.ts'
import { AttributeChanges } from './attribute-changes.ts'
import type { VfsContext } from './context.ts'
import { Files } from './files.ts'
import { nodeOfHandle, type Filesystem, type FilesystemStats } from './filesystem.ts'
import { Folders } from './folders.ts'
import { Names } from './names.ts'
import { type Backing, Passthrough } from './passthrough.ts'
import { NodeUpdates } from './rows.ts'
import { Siblings } from './siblings.ts'
import { Xattrs } from './xattrs.ts'
import { CloudError } from '../../common/errors.ts'

/**
 * The kernel may use an entry or an attribute for this long without asking. Together with the listing's age it bounds
 * how late another client's change is seen (docs/semantics.md).
 */
const entryTtlMs = 10_000

/** The file system of one mount: docs/semantics.md in code. */
export function openVfs(
  context: VfsContext,
  backing: Backing | null,
  statfs: () => FilesystemStats,
): { filesystem: Filesystem; passthrough: Passthrough } {
  const updates = new NodeUpdates(context.database.sql)
  const passthrough = new Passthrough(context.contents, backing)
  const names = new Names(context, updates)
  const changes = new AttributeChanges(context, updates)
  const files = new Files(context, updates, passthrough, new Siblings(context.tree, context.contents))
  const folders = new Folders(context)
  const xattrs = new Xattrs(context, updates)
  const { tree, contents } = context

  const filesystem: Filesystem = {
    entryTtlMs,
    lookup: (parent, name) => names.lookup(parent, name),
    getattr: (node) => attributesOf(tree.needNode(node), contents),
    setattr: (_caller, node, change) => changes.setattr(node, change),
    readlink(node) {
      const { target } = tree.needNode(node)
      if (target === null) throw new CloudError('invalid', 'not a symbolic link')
      return target
    },
    mknod: (caller, parent, name, mode, rdev) => names.mknod(caller, parent, name, mode, rdev),
    mkdir: (caller, parent, name, mode) => names.mkdir(caller, parent, name, mode),
    symlink: (caller, parent, name, target) => names.symlink(caller, parent, name, target),
    link: (node, parent, name) => names.link(node, parent, name),
    unlink: (parent, name) => names.unlink(parent, name),
    rmdir: (parent, name) => names.rmdir(parent, name),
    rename: (parent, name, newParent, newName, flags) => names.rename(parent, name, newParent, newName, flags),
    open: (node, options) => files.open(node, options),
    create(caller, parent, name, mode, options) {
      const made = names.create(caller, parent, name, mode)
      const opened = (commit: () => ReturnType<typeof attributesOf>) => () => {
        const attributes = commit()
        return { attributes, opened: files.openCreated(attributes.id, options) }
      }
      return made instanceof Promise ? made.then(opened) : opened(made)
    },
    readNow: (fh, offset, length, target, targetOffset) => files.readNow(fh, offset, length, target, targetOffset),
    read: (fh, offset, length, target, targetOffset, signal) => files.read(fh, offset, length, target, targetOffset, signal),
    write: (fh, data, dataOffset, length, position, how) => files.write(fh, data, dataOffset, length, position, how),
    flush: (fh) => {
      files.flush(fh)
    },
    fsync: (fh, _dataOnly, signal) => files.fsync(fh, signal),
    release: (fh) => {
      files.release(fh)
    },
    fallocate: (fh, mode, offset, length) => files.fallocate(fh, mode, offset, length),
    copyFileRange: (from, offsetFrom, to, offsetTo, length) => files.copyFileRange(from, offsetFrom, to, offsetTo, length),
    lseek: (fh, offset, whence) => contents.seek(nodeOfHandle(fh), offset, whence),
    opendir: (node) => folders.opendir(node),
    releasedir: (node) => {
      folders.releasedir(node)
    },
    readdir: (node, offset, emit) => folders.readdir(node, offset, emit),
    fsyncdir: (node) => contents.sync(node),
    statfs,
    syncfs: () => contents.syncAll(),
    getxattr: (node, name) => xattrs.get(node, name),
    listxattr: (node) => xattrs.list(node),
    setxattr: (node, name, value, flags) => xattrs.set(node, name, value, flags),
    removexattr: (node, name) => xattrs.remove(node, name),
  }
  return { filesystem, passthrough }
}
