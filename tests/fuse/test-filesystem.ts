import { CloudError } from '../../src-service/common/errors.ts'
import { handleOf, isWritableHandle, nodeOfHandle } from '../../src-service/drive/vfs/filesystem.ts'
import type {
  AttributeChange,
  Attributes,
  Caller,
  Commit,
  EmitEntry,
  Filesystem,
  FilesystemStats,
  Opened,
  OpenOptions,
} from '../../src-service/drive/vfs/filesystem.ts'
import type { Contents } from './contents.ts'

/** What changed; enough to do it again. Names are bytes as latin1. */
export type Effect =
  | { readonly kind: 'add'; readonly parent: number; readonly name: string; readonly node: StoredNode }
  | { readonly kind: 'link'; readonly parent: number; readonly name: string; readonly node: number }
  | { readonly kind: 'remove'; readonly parent: number; readonly name: string }
  | { readonly kind: 'exchange'; readonly from: number; readonly name: string; readonly to: number; readonly newName: string }
  | { readonly kind: 'set'; readonly node: number; readonly fields: Partial<StoredNode> }

export interface StoredNode {
  readonly id: number
  mode: number
  uid: number
  gid: number
  rdev: number
  target: string
  atimeSec: number
  atimeNsec: number
  mtimeSec: number
  mtimeNsec: number
}

interface Node extends StoredNode {
  nlink: number
  children: Map<string, { node: number; readonly row: number }> | null
}

const folderType = 0o040000
const fileType = 0o100000
const typeMask = 0o170000

function isFolder(node: StoredNode): boolean {
  return (node.mode & typeMask) === folderType
}

function now(): { sec: number; nsec: number } {
  const milliseconds = Date.now()
  return { sec: Math.floor(milliseconds / 1000), nsec: (milliseconds % 1000) * 1_000_000 }
}

/** A plain POSIX tree that answers at once. `journal` receives each effect before it is visible. */
export class TestFilesystem implements Filesystem {
  readonly entryTtlMs: number
  readonly #contents: Contents
  readonly #nodes = new Map<number, Node>()
  #nextNode = 2
  #nextRow = 3
  journal: (effect: Effect) => void = () => undefined

  constructor(contents: Contents, entryTtlMs = 60_000) {
    this.#contents = contents
    this.entryTtlMs = entryTtlMs
    this.#put({ ...this.#fresh(1, folderType | 0o777, { uid: 0, gid: 0, pid: 0 }), nlink: 2, children: new Map() })
  }

  /** Does again what the journal says. */
  apply(effect: Effect): void {
    switch (effect.kind) {
      case 'add': {
        const folder = isFolder(effect.node)
        this.#put({ ...effect.node, nlink: folder ? 2 : 1, children: folder ? new Map() : null })
        this.#children(effect.parent).set(effect.name, { node: effect.node.id, row: this.#nextRow++ })
        if (folder) this.#node(effect.parent).nlink++
        return
      }
      case 'link':
        this.#children(effect.parent).set(effect.name, { node: effect.node, row: this.#nextRow++ })
        if (isFolder(this.#node(effect.node))) this.#node(effect.parent).nlink++
        else this.#node(effect.node).nlink++
        return
      case 'remove': {
        const children = this.#children(effect.parent)
        const node = this.#node(children.get(effect.name)?.node ?? 0)
        children.delete(effect.name)
        if (isFolder(node)) this.#node(effect.parent).nlink--
        else node.nlink--
        return
      }
      case 'exchange': {
        const a = this.#children(effect.from).get(effect.name)
        const b = this.#children(effect.to).get(effect.newName)
        if (a === undefined || b === undefined) throw new CloudError('internal', 'exchange of absent names')
        ;[a.node, b.node] = [b.node, a.node]
        return
      }
      case 'set':
        Object.assign(this.#node(effect.node), effect.fields)
    }
  }

  lookup(parent: number, name: Buffer): Attributes | null {
    const found = this.#children(parent).get(name.toString('latin1'))
    return found === undefined ? null : this.getattr(found.node)
  }

  getattr(id: number): Attributes {
    const n = this.#node(id)
    const size =
      n.children === null ? (n.target === '' && (n.mode & typeMask) === fileType ? this.#contents.size(id) : n.target.length) : 4096
    const { mode, uid, gid, rdev, nlink, atimeSec, atimeNsec, mtimeSec, mtimeNsec } = n
    const times = { atimeSec, atimeNsec, mtimeSec, mtimeNsec, ctimeSec: mtimeSec, ctimeNsec: mtimeNsec }
    return { id, ino: id, mode, nlink, uid, gid, rdev, size, blocks: Math.ceil(size / 512), ...times }
  }

  setattr(_caller: Caller, id: number, change: AttributeChange): Commit<Attributes> {
    const node = this.#node(id)
    return () => {
      const t = now()
      const at = change.atime === 'now' ? t : change.atime
      const mt = change.mtime === 'now' ? t : (change.mtime ?? (change.size === undefined ? undefined : t))
      if (change.size !== undefined) this.#contents.truncate(id, change.size)
      this.#do({
        kind: 'set',
        node: id,
        fields: {
          ...(change.mode !== undefined && { mode: (node.mode & typeMask) | change.mode }),
          ...(change.uid !== undefined && { uid: change.uid }),
          ...(change.gid !== undefined && { gid: change.gid }),
          ...(at && { atimeSec: at.sec, atimeNsec: at.nsec }),
          ...(mt && { mtimeSec: mt.sec, mtimeNsec: mt.nsec }),
        },
      })
      return this.getattr(id)
    }
  }

  readlink(id: number): Buffer {
    return Buffer.from(this.#node(id).target, 'latin1')
  }

  mknod(caller: Caller, parent: number, name: Buffer, mode: number, rdev: number): Commit<Attributes> {
    return this.#add(caller, parent, name, mode, rdev, '')
  }

  mkdir(caller: Caller, parent: number, name: Buffer, mode: number): Commit<Attributes> {
    return this.#add(caller, parent, name, folderType | mode, 0, '')
  }

  symlink(caller: Caller, parent: number, name: Buffer, target: Buffer): Commit<Attributes> {
    return this.#add(caller, parent, name, 0o120777, 0, target.toString('latin1'))
  }

  link(id: number, parent: number, name: Buffer): Commit<Attributes> {
    this.#node(id)
    const text = name.toString('latin1')
    return () => {
      this.#free(parent, text)
      this.#do({ kind: 'link', parent, name: text, node: id })
      return this.getattr(id)
    }
  }

  unlink(parent: number, name: Buffer): Commit<void> {
    return () => {
      const node = this.#named(parent, name.toString('latin1'))
      if (isFolder(node)) throw new CloudError('is-a-folder', 'unlink of a folder')
      this.#do({ kind: 'remove', parent, name: name.toString('latin1') })
    }
  }

  rmdir(parent: number, name: Buffer): Commit<void> {
    return () => {
      const node = this.#named(parent, name.toString('latin1'))
      if (node.children === null) throw new CloudError('not-a-folder', 'rmdir of a file')
      if (node.children.size > 0) throw new CloudError('not-empty', 'folder not empty')
      this.#do({ kind: 'remove', parent, name: name.toString('latin1') })
    }
  }

  rename(parent: number, name: Buffer, newParent: number, newName: Buffer, flags: number): Commit<void> {
    if (flags > 2) throw new CloudError('invalid', 'rename flags')
    const [from, to] = [name.toString('latin1'), newName.toString('latin1')]
    return () => {
      const node = this.#named(parent, from)
      const there = this.#children(newParent).get(to)
      if (flags === 2) {
        this.#named(newParent, to)
        this.#do({ kind: 'exchange', from: parent, name: from, to: newParent, newName: to })
        return
      }
      if (there !== undefined) {
        if (flags === 1) throw new CloudError('exists', 'target exists')
        if (there.node === node.id) return
        const target = this.#node(there.node)
        if (target.children !== null && target.children.size > 0) throw new CloudError('not-empty', 'target not empty')
        this.#do({ kind: 'remove', parent: newParent, name: to })
      }
      this.#do({ kind: 'remove', parent, name: from })
      this.#do({ kind: 'link', parent: newParent, name: to, node: node.id })
    }
  }

  open(id: number, { flags }: OpenOptions): Opened {
    if (isFolder(this.#node(id))) throw new CloudError('is-a-folder', 'open of a folder')
    if ((flags & 0o1000) !== 0) this.#contents.truncate(id, 0)
    return { fh: handleOf(id, (flags & 3) !== 0), keepCache: true, backingId: 0, noFlush: (flags & 3) === 0 }
  }

  create(
    caller: Caller,
    parent: number,
    name: Buffer,
    mode: number,
    { flags }: OpenOptions,
  ): Commit<{ attributes: Attributes; opened: Opened }> {
    const add = this.#add(caller, parent, name, fileType | mode, 0, '')
    return () => {
      const attributes = add()
      return {
        attributes,
        opened: { fh: handleOf(attributes.id, (flags & 3) !== 0), keepCache: true, backingId: 0, noFlush: (flags & 3) === 0 },
      }
    }
  }

  readNow(fh: number, offset: number, length: number, target: Buffer, targetOffset: number): number {
    this.#node(nodeOfHandle(fh))
    return this.#contents.read(nodeOfHandle(fh), offset, length, target, targetOffset)
  }

  async read(fh: number, offset: number, length: number, target: Buffer, targetOffset: number): Promise<number> {
    return this.readNow(fh, offset, length, target, targetOffset)
  }

  async write(fh: number, data: Buffer, dataOffset: number, length: number, position: number): Promise<number> {
    const node = this.#node(nodeOfHandle(fh))
    if (!isWritableHandle(fh)) throw new CloudError('bad-handle', 'not open for writing')
    this.#contents.write(node.id, data, dataOffset, length, position)
    const { sec, nsec } = now()
    node.mtimeSec = sec
    node.mtimeNsec = nsec
    return length
  }

  flush(fh: number): void {
    this.#node(nodeOfHandle(fh))
  }

  async fsync(fh: number): Promise<void> {
    this.#node(nodeOfHandle(fh))
  }

  release(fh: number): void {
    this.#node(nodeOfHandle(fh))
  }

  async fallocate(fh: number, mode: number, offset: number, length: number): Promise<Commit<void>> {
    const { id } = this.#node(nodeOfHandle(fh))
    if (mode !== 0) throw new CloudError('unsupported', 'fallocate mode')
    return () => {
      if (offset + length > this.#contents.size(id)) this.#contents.truncate(id, offset + length)
    }
  }

  async copyFileRange(fhFrom: number, offsetFrom: number, fhTo: number, offsetTo: number, length: number): Promise<Commit<number>> {
    const [from, to] = [this.#node(nodeOfHandle(fhFrom)).id, this.#node(nodeOfHandle(fhTo)).id]
    return () => {
      const bytes = Buffer.alloc(Math.max(0, Math.min(length, this.#contents.size(from) - offsetFrom)))
      const copied = this.#contents.read(from, offsetFrom, bytes.length, bytes, 0)
      this.#contents.write(to, bytes, 0, copied, offsetTo)
      return copied
    }
  }

  lseek(fh: number, offset: number, whence: number): number {
    const size = this.#contents.size(nodeOfHandle(fh))
    if (offset >= size) return -1
    return whence === 3 ? offset : size
  }

  releasedir(): void {
    // Folders are kept for ever.
  }

  opendir(id: number): number {
    this.#children(id)
    return handleOf(id, false)
  }

  readdir(id: number, offset: number, emit: EmitEntry): void {
    const self = this.getattr(id)
    if (offset < 1 && !emit(Buffer.from('.'), 1, self)) return
    if (offset < 2 && !emit(Buffer.from('..'), 2, self)) return
    for (const [name, { node, row }] of this.#children(id)) {
      if (row > offset && !emit(Buffer.from(name, 'latin1'), row, this.getattr(node))) return
    }
  }

  async fsyncdir(id: number): Promise<void> {
    this.#node(id)
  }

  statfs(): FilesystemStats {
    return { total: 2 ** 40, free: 2 ** 39, files: this.#nodes.size, freeFiles: 1e6 }
  }

  async syncfs(): Promise<void> {
    return undefined
  }

  getxattr(): never {
    throw new CloudError('unsupported', 'no xattrs')
  }

  listxattr(): never {
    throw new CloudError('unsupported', 'no xattrs')
  }

  setxattr(): never {
    throw new CloudError('unsupported', 'no xattrs')
  }

  removexattr(): never {
    throw new CloudError('unsupported', 'no xattrs')
  }

  #do(effect: Effect): void {
    this.journal(effect)
    this.apply(effect)
  }

  #add(caller: Caller, parent: number, name: Buffer, mode: number, rdev: number, target: string): Commit<Attributes> {
    this.#children(parent)
    const text = name.toString('latin1')
    return () => {
      this.#free(parent, text)
      const node = { ...this.#fresh(this.#nextNode, mode, caller), rdev, target }
      this.#do({ kind: 'add', parent, name: text, node })
      return this.getattr(node.id)
    }
  }

  #fresh(id: number, mode: number, caller: Caller): StoredNode {
    const { sec, nsec } = now()
    const times = { atimeSec: sec, atimeNsec: nsec, mtimeSec: sec, mtimeNsec: nsec }
    return { id, mode, uid: caller.uid, gid: caller.gid, rdev: 0, target: '', ...times }
  }

  #put(node: Node): void {
    this.#nodes.set(node.id, node)
    this.#nextNode = Math.max(this.#nextNode, node.id + 1)
  }

  #node(id: number): Node {
    const node = this.#nodes.get(id)
    if (node === undefined) throw new CloudError('stale', `no node ${id}`)
    return node
  }

  #children(id: number): Map<string, { node: number; readonly row: number }> {
    const { children } = this.#node(id)
    if (children === null) throw new CloudError('not-a-folder', 'not a folder')
    return children
  }

  #named(parent: number, name: string): Node {
    const found = this.#children(parent).get(name)
    if (found === undefined) throw new CloudError('not-found', 'no such name')
    return this.#node(found.node)
  }

  #free(parent: number, name: string): void {
    if (this.#children(parent).has(name)) throw new CloudError('exists', 'name taken')
  }
}
