import type { RemoteEntry } from '../../connectors/connector.ts'
import { factsOf, timeOf } from '../remote-facts.ts'
import type { SyncParts } from '../sync-parts.ts'
import { type NameRow, type NewNode, modeTypeOf, type RemoteRow, type Tree } from '../tree.ts'
import { freeName } from './twin-name.ts'

/** How an entry of a listing stands to what is known. */
export type Taken =
  | { readonly kind: 'known'; readonly row: number }
  | { readonly kind: 'added'; readonly row: number }
  /** A change or a clash of names: only a complete listing may decide. */
  | { readonly kind: 'later' }

export interface HowToTake {
  /** Before the listing is complete, only what is new and clashes with nothing is taken in. */
  readonly complete: boolean
  /** False while the kernel cannot know anything of the folder: it was never listed. */
  readonly tell: boolean
}

/**
 * What one object at the provider means for the tree. Every method runs inside a transaction and looks at the rows as they
 * are at that moment: names that wait for the queue, and files open for writing, are left to the queue.
 */
export class TakeIn {
  readonly #parts: SyncParts
  readonly #tree: Tree
  readonly #sql

  constructor(parts: SyncParts) {
    this.#parts = parts
    this.#tree = parts.tree
    const { sql } = parts.database
    this.#sql = {
      queued: sql.prepare<[number], { id: number }>('SELECT id FROM queue WHERE name = ?'),
      supersede: sql.prepare('UPDATE node SET superseded = 1 WHERE id = ?'),
      pin: sql.prepare('UPDATE node SET pinned = 1 WHERE id = ?'),
      times: sql.prepare('UPDATE node SET mtime_s = ?, mtime_n = ? WHERE id = ?'),
      putXattr: sql.prepare('INSERT OR REPLACE INTO xattr (node, name, value) VALUES (?, ?, ?)'),
    }
  }

  /** Takes in one entry of a folder. */
  entry(folder: number, entry: RemoteEntry, how: HowToTake): Taken {
    const { complete } = how
    const row = this.#tree.remoteAt(folder, entry.name, entry.type === 'folder')
    if (row === undefined) return this.#fresh(folder, entry, how)
    if (row.node === 0) return this.#unbound(row, entry, how)
    if (row.content === 0 || row.rev === entry.rev) return { kind: 'known', row: row.id }
    const name = this.#tree.nameOfRemote(row.id)
    if (name === undefined || this.isBusy(name)) return { kind: 'known', row: row.id }
    if (!complete) return { kind: 'later' }
    if (entry.type === 'folder') this.#folderChanged(row, entry)
    else this.newVersion(name, row, entry)
    return { kind: 'known', row: row.id }
  }

  /** True if the queue still has to do something with this name, or may soon: listings keep off it. */
  isBusy(name: NameRow): boolean {
    if (this.isQueued(name.id) || this.#parts.contents.writerCount(name.node) > 0) return true
    const row = name.remote === null ? undefined : this.#tree.remote(name.remote)
    return row !== undefined && row.type !== 'folder' && row.content !== this.#tree.node(name.node)?.content
  }

  isQueued(name: number): boolean {
    return this.#sql.queued.get(name) !== undefined
  }

  /** The name shows another version from now on: a new node. Handles of the old one keep what they have. */
  newVersion(name: NameRow, row: RemoteRow, entry: RemoteEntry): number {
    const { tree } = this.#parts
    const old = tree.needNode(name.node)
    const node = this.#insertNode(entry, old.nlink === 1 ? old.ino : undefined)
    if (old.pinned === 1) this.#sql.pin.run(node)
    tree.replaceNode(name, node)
    tree.updateRemote({ ...row, ...factsOf(entry, row.shown), node, content: 1, attrs: this.#firstAttrs(entry) })
    if (old.nlink === 1) this.#sql.supersede.run(old.id)
    else this.rebase(old.id, row.id)
    this.#changed(name.parent, name.name)
    this.#parts.database.afterCommit(() => {
      this.#parts.dropNode(old.id)
    })
    return node
  }

  /** Gives an object that no name stands for a node and a name. `row` is its remote row, if there is one. */
  show(folder: number, entry: RemoteEntry, row: RemoteRow | undefined, tell = true): { readonly name: number; readonly remote: number } {
    const { tree } = this.#parts
    const holder = tree.nameIn(folder, entry.name)
    const shown = holder === undefined ? null : this.#twin(folder, entry)
    const node = this.#insertNode(entry, undefined)
    const facts = { ...factsOf(entry, shown), parent: folder, node, content: 1, attrs: this.#firstAttrs(entry) }
    let remote: number
    if (row === undefined) {
      remote = tree.insertRemote(facts)
    } else {
      remote = row.id
      tree.updateRemote({ ...facts, id: row.id })
    }
    const name = tree.addName(folder, shown ?? entry.name, node, tree.needNode(node).mode, remote)
    if (tell) this.#changed(folder, shown ?? entry.name)
    return { name, remote }
  }

  /** The object is gone at the provider: so is its name here. Not for names that are busy, nor for folders with something in them. */
  remove(name: NameRow, row: RemoteRow): void {
    const { tree, database, dropNode } = this.#parts
    const node = tree.needNode(name.node)
    tree.removeName(name, node.mode)
    tree.deleteRemote(row.id)
    this.rebase(node.id, row.id)
    this.#changed(name.parent, name.name)
    database.afterCommit(() => {
      dropNode(node.id)
    })
  }

  /** An object of a node with several goes: what is missing of its bytes comes from another one from now on. */
  rebase(node: number, without: number): void {
    const { tree, contents } = this.#parts
    const content = tree.node(node)?.content
    if (content === undefined) return
    for (const row of tree.remotesOf(node)) {
      if (row.id === without || row.content !== content || row.type !== 'file' || tree.nameOfRemote(row.id) === undefined) continue
      contents.revised(node, row.rev)
      return
    }
  }

  #fresh(folder: number, entry: RemoteEntry, how: HowToTake): Taken {
    const holder = this.#tree.nameIn(folder, entry.name)
    if (holder !== undefined) {
      if (this.#waitsForQueue(holder, folder)) {
        const row = this.#tree.insertRemote({ ...factsOf(entry, null), parent: folder, node: 0, content: 0, attrs: 0 })
        return { kind: 'added', row }
      }
      if (!how.complete) return { kind: 'later' }
    }
    return { kind: 'added', row: this.show(folder, entry, undefined, how.tell).remote }
  }

  /** An object that stood in the way of something of ours: shown as soon as its name is free. */
  #unbound(row: RemoteRow, entry: RemoteEntry, how: HowToTake): Taken {
    const holder = this.#tree.nameIn(row.parent, entry.name)
    if (holder === undefined || !this.#waitsForQueue(holder, row.parent)) {
      if (holder !== undefined && !how.complete) return { kind: 'later' }
      this.show(row.parent, entry, row, how.tell)
    } else if (row.rev !== entry.rev) {
      this.#tree.updateRemote({ ...row, ...factsOf(entry, row.shown) })
    }
    return { kind: 'known', row: row.id }
  }

  /**
   * True if the holder of a name is not at that place at the provider yet, so that its upload or move finds out what stands
   * there. Where files and folders of one name live side by side, a holder that is in place is a twin instead.
   */
  #waitsForQueue(holder: NameRow, folder: number): boolean {
    if (!this.isQueued(holder.id)) return false
    if (this.#parts.connector.capabilities.realFolders || holder.remote === null) return true
    const row = this.#tree.remote(holder.remote)
    return row === undefined || row.parent !== folder || !(row.shown ?? row.name).equals(holder.name)
  }

  #twin(folder: number, entry: RemoteEntry): Buffer {
    return freeName(entry.name, entry.type === 'folder' ? 'folder' : 'file', 255, (name) => this.#tree.nameIn(folder, name) !== undefined)
  }

  /** A folder stays the same node; where we changed nothing in it, its time follows the provider's. */
  #folderChanged(row: RemoteRow, entry: RemoteEntry): void {
    this.#tree.updateRemote({ ...row, ...factsOf(entry, row.shown) })
    const node = this.#tree.node(row.node)
    if (node === undefined || node.changed_at > 0 || node.attrs !== Math.max(1, row.attrs)) return
    const mtime = timeOf(entry)
    this.#sql.times.run(mtime.sec, mtime.nsec, node.id)
    this.#parts.database.afterCommit(() => {
      this.#parts.notifier()?.attributesChanged(node.id)
    })
  }

  #insertNode(entry: RemoteEntry, ino: number | undefined): number {
    const { posix } = entry
    const mtime = timeOf(entry)
    const node: NewNode = {
      mode: modeOf(entry, this.#parts.settings.umask),
      uid: posix.uid ?? this.#parts.settings.uid,
      gid: posix.gid ?? this.#parts.settings.gid,
      rdev: posix.rdev ?? 0,
      size: entry.type === 'file' ? entry.size : (posix.target?.length ?? 0),
      target: posix.target ?? null,
      mtime,
      atime: posix.atime ?? mtime,
      ctime: mtime,
      ...(ino === undefined ? {} : { ino }),
    }
    const id = this.#tree.insertNode(node)
    if (this.#parts.settings.xattrs && posix.xattrs !== undefined) {
      for (const [name, value] of posix.xattrs) this.#sql.putXattr.run(id, Buffer.from(name), value)
    }
    return id
  }

  /** 0 marks that the attributes come from a listing that does not tell them and are to be asked for. */
  #firstAttrs(entry: RemoteEntry): number {
    const { connector, settings } = this.#parts
    const told = connector.capabilities.posix.inListings || entry.posix.mode !== undefined
    return settings.attributes === 'exact' && !told ? 0 : 1
  }

  #changed(folder: number, name: Buffer): void {
    this.#parts.database.afterCommit(() => {
      this.#parts.notifier()?.entryChanged(folder, name)
    })
  }
}

/** st_mode of an entry, with default bits where the provider names none. */
export function modeOf(entry: RemoteEntry, umask: number): number {
  const bits = entry.type === 'folder' ? 0o777 : entry.type === 'symlink' ? 0o777 : 0o666
  const mode = entry.posix.mode ?? (entry.type === 'symlink' ? bits : bits & ~umask)
  return modeTypeOf(entry.type) | (mode & 0o7777)
}
