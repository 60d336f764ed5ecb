import { CloudError } from '../../common/errors.ts'
import { wallTime } from '../../common/wall-time.ts'
import { fileType, isFolder, type NodeRow, rootNode } from '../cache/tree.ts'
import { attributesOf } from './attributes.ts'
import type { VfsContext } from './context.ts'
import type { Attributes, Caller, Commit, Maybe } from './filesystem.ts'
import { checkLength, checkNewName } from './name-rules.ts'
import type { NodeUpdates } from './rows.ts'

const renameNoReplace = 1
const renameExchange = 2
/** A name no program can give: holds a place while two names are exchanged. */
const between = Buffer.from([0])

/** Looking names up, and making, moving and removing them. */
export class Names {
  readonly #context: VfsContext
  readonly #updates: NodeUpdates

  constructor(context: VfsContext, updates: NodeUpdates) {
    this.#context = context
    this.#updates = updates
  }

  lookup(parent: number, name: Buffer): Maybe<Attributes | null> {
    checkLength(name)
    return this.#whenListed(parent, () => {
      const row = this.#context.tree.lookup(parent, name)
      return row === undefined ? null : attributesOf(row, this.#context.contents)
    })
  }

  mknod(caller: Caller, parent: number, name: Buffer, mode: number, rdev: number): Maybe<Commit<Attributes>> {
    return this.#make(parent, name, () => {
      const node = this.#insert(caller, parent, name, { mode, rdev, target: null })
      return this.#attributes(node)
    })
  }

  mkdir(caller: Caller, parent: number, name: Buffer, mode: number): Maybe<Commit<Attributes>> {
    return this.#make(parent, name, () => {
      const inherited = this.#context.tree.needNode(parent).mode & 0o2000
      const node = this.#insert(caller, parent, name, { mode: fileType.folder | (mode & 0o7777) | inherited, rdev: 0, target: null })
      return this.#attributes(node)
    })
  }

  symlink(caller: Caller, parent: number, name: Buffer, target: Buffer): Maybe<Commit<Attributes>> {
    // The target lies in the door's memory, which is used again before the commit may run.
    const kept = Buffer.from(target)
    return this.#make(parent, name, () => {
      const node = this.#insert(caller, parent, name, { mode: fileType.symlink | 0o777, rdev: 0, target: kept })
      return this.#attributes(node)
    })
  }

  /** A new file; the caller opens it after the commit. */
  create(caller: Caller, parent: number, name: Buffer, mode: number): Maybe<Commit<Attributes>> {
    return this.#make(parent, name, () => {
      const node = this.#insert(caller, parent, name, { mode: fileType.file | (mode & 0o7777), rdev: 0, target: null })
      return this.#attributes(node)
    })
  }

  link(node: number, parent: number, name: Buffer): Maybe<Commit<Attributes>> {
    return this.#make(parent, name, (own) => {
      const { tree, queue } = this.#context
      const row = tree.needNode(node)
      if (row.nlink === 0) throw new CloudError('not-found', 'the file has no name any more')
      const made = tree.addName(parent, own, node, row.mode, null)
      this.#updates.changed(node)
      this.#updates.folderChanged(parent)
      queue.nameChanged(made)
      return this.#attributes(node)
    })
  }

  unlink(parent: number, name: Buffer): Maybe<Commit<void>> {
    checkLength(name)
    const own = Buffer.from(name)
    return this.#whenListed(parent, () => () => {
      const row = this.#need(parent, own)
      if (isFolder(row.mode)) throw new CloudError('is-a-folder', 'a folder is removed with rmdir')
      this.#remove(parent, own, row)
    })
  }

  rmdir(parent: number, name: Buffer): Maybe<Commit<void>> {
    checkLength(name)
    const own = Buffer.from(name)
    const commit = (): void => {
      const row = this.#need(parent, own)
      if (!isFolder(row.mode)) throw new CloudError('not-a-folder', 'not a folder')
      this.#needEmpty(row)
      this.#remove(parent, own, row)
    }
    return this.#whenListed(parent, () => this.#whenTargetListed(parent, own, () => commit))
  }

  rename(parent: number, name: Buffer, newParent: number, newName: Buffer, flags: number): Maybe<Commit<void>> {
    checkLength(name)
    this.#checkNew(newParent, newName)
    if (flags !== 0 && flags !== renameNoReplace && flags !== renameExchange) throw new CloudError('invalid', 'unknown flags of rename')
    const from = Buffer.from(name)
    const to = Buffer.from(newName)
    const commit = (): void => {
      if (flags === renameExchange) this.#exchange(parent, from, newParent, to)
      else this.#move(parent, from, newParent, to, flags === renameNoReplace)
    }
    return this.#whenListed(parent, () => this.#whenListed(newParent, () => this.#whenTargetListed(newParent, to, () => commit)))
  }

  #move(parent: number, name: Buffer, newParent: number, newName: Buffer, noReplace: boolean): void {
    const { tree, queue } = this.#context
    const row = this.#need(parent, name)
    const target = tree.lookup(newParent, newName)
    if (target !== undefined) {
      if (noReplace) throw new CloudError('exists', 'the new name is taken')
      if (target.name_id === row.name_id || target.id === row.id) return
      if (isFolder(target.mode)) {
        if (!isFolder(row.mode)) throw new CloudError('is-a-folder', 'the new name is a folder')
        this.#needEmpty(target)
      } else if (isFolder(row.mode)) {
        throw new CloudError('not-a-folder', 'the new name is not a folder')
      }
    }
    if (isFolder(row.mode)) this.#refuseLoop(row.id, newParent)
    if (target !== undefined) this.#remove(newParent, newName, target)
    const nameRow = tree.nameById(row.name_id)
    if (nameRow === undefined) throw new CloudError('internal', 'the name went away inside a transaction')
    tree.moveName(nameRow, newParent, newName, row.mode)
    this.#updates.changed(row.id)
    this.#updates.folderChanged(parent)
    if (newParent !== parent) this.#updates.folderChanged(newParent)
    queue.nameChanged(nameRow.id)
  }

  #exchange(parent: number, name: Buffer, newParent: number, newName: Buffer): void {
    const { tree, queue } = this.#context
    const one = this.#need(parent, name)
    const two = this.#need(newParent, newName)
    if (one.name_id === two.name_id) return
    if (isFolder(one.mode)) this.#refuseLoop(one.id, newParent)
    if (isFolder(two.mode)) this.#refuseLoop(two.id, parent)
    const first = tree.nameById(one.name_id)
    const second = tree.nameById(two.name_id)
    if (first === undefined || second === undefined) throw new CloudError('internal', 'the name went away inside a transaction')
    tree.moveName(first, parent, between, one.mode)
    tree.moveName(second, parent, name, two.mode)
    tree.moveName({ ...first, name: between }, newParent, newName, one.mode)
    for (const id of [one.id, two.id]) this.#updates.changed(id)
    for (const folder of [parent, newParent]) this.#updates.folderChanged(folder)
    queue.nameChanged(first.id)
    queue.nameChanged(second.id)
  }

  /** The kernel checks this too, but on names that it may have cached. */
  #refuseLoop(folder: number, newParent: number): void {
    const { tree } = this.#context
    for (let at = newParent; at !== rootNode; ) {
      if (at === folder) throw new CloudError('invalid', 'a folder cannot be moved into itself')
      const [up] = tree.namesOf(at)
      if (up === undefined) return
      at = up.parent
    }
  }

  #remove(parent: number, name: Buffer, row: NodeRow & { readonly name_id: number }): void {
    const { tree, queue, dropNode } = this.#context
    const nameRow = tree.nameById(row.name_id)
    if (nameRow === undefined) throw new CloudError('internal', `the name ${name.toString()} went away inside a transaction`)
    queue.nameRemoved(nameRow.id)
    tree.removeName(nameRow, row.mode)
    this.#updates.changed(row.id)
    this.#updates.folderChanged(parent)
    dropNode(row.id)
  }

  #insert(
    caller: Caller,
    parent: number,
    name: Buffer,
    what: { readonly mode: number; readonly rdev: number; readonly target: Buffer | null },
  ): number {
    const { tree, contents, queue } = this.#context
    const folder = tree.needNode(parent)
    const time = wallTime()
    const node = tree.insertNode({
      mode: what.mode,
      uid: caller.uid,
      gid: (folder.mode & 0o2000) === 0 ? caller.gid : folder.gid,
      rdev: what.rdev,
      size: what.target?.length ?? 0,
      target: what.target,
      mtime: time,
      ctime: time,
      ...(isFolder(what.mode) ? { listedAt: Date.now() } : {}),
    })
    const made = tree.addName(parent, name, node, what.mode, null)
    if ((what.mode & fileType.mask) === fileType.file) contents.create(node)
    this.#updates.folderChanged(parent)
    queue.nameChanged(made)
    return node
  }

  /** A change that gives `name` to something: its folder is listed, the name is allowed and free. */
  #make<T>(parent: number, name: Buffer, commit: (own: Buffer) => T): Maybe<Commit<T>> {
    this.#checkNew(parent, name)
    const own = Buffer.from(name)
    return this.#whenListed(parent, () => () => {
      const folder = this.#context.tree.needNode(parent)
      if (folder.nlink === 0) throw new CloudError('not-found', 'the folder was removed')
      if (this.#context.tree.nameIn(parent, own) !== undefined) throw new CloudError('exists', 'the name is taken')
      return commit(own)
    })
  }

  #checkNew(parent: number, name: Buffer): void {
    if (this.#context.settings.readOnly) throw new CloudError('read-only', 'the mount is read-only')
    checkNewName(name, this.#context.pathBytes(parent), this.#context.capabilities.names)
  }

  #whenListed<T>(folder: number, next: () => Maybe<T>): Maybe<T> {
    const wait = this.#context.listings.ready(folder)
    return wait === undefined ? next() : wait.then(next)
  }

  /** If the name is a folder, it must be known whether it is empty. */
  #whenTargetListed<T>(parent: number, name: Buffer, next: () => Maybe<T>): Maybe<T> {
    const row = this.#context.tree.lookup(parent, name)
    return row !== undefined && isFolder(row.mode) ? this.#whenListed(row.id, next) : next()
  }

  #need(parent: number, name: Buffer): NodeRow & { name_id: number; remote: number | null } {
    const row = this.#context.tree.lookup(parent, name)
    if (row === undefined) throw new CloudError('not-found', 'no such file or folder')
    return row
  }

  #needEmpty(row: NodeRow): void {
    if (!this.#context.tree.isEmpty(row.id)) throw new CloudError('not-empty', 'the folder is not empty')
  }

  #attributes(node: number): Attributes {
    return attributesOf(this.#context.tree.needNode(node), this.#context.contents)
  }
}
