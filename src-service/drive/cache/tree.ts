import { CloudError } from '../../common/errors.ts'
import type { RemoteType, Time } from '../connectors/connector.ts'
import type { DriveDatabase } from './database.ts'

/** Types in st_mode (stat(2)). */
export const fileType = {
  mask: 0o170000,
  socket: 0o140000,
  symlink: 0o120000,
  file: 0o100000,
  block: 0o060000,
  folder: 0o040000,
  char: 0o020000,
  fifo: 0o010000,
} as const

export const rootNode = 1

export interface NodeRow {
  readonly id: number
  readonly ino: number
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly rdev: number
  readonly nlink: number
  readonly size: number
  readonly atime_s: number
  readonly atime_n: number
  readonly mtime_s: number
  readonly mtime_n: number
  readonly ctime_s: number
  readonly ctime_n: number
  readonly target: Buffer | null
  readonly content: number
  readonly attrs: number
  readonly generation: number
  readonly hot: number
  readonly superseded: number
  readonly pinned: number
  readonly fault: string | null
  readonly listed_at: number
  readonly changed_at: number
}

export interface NameRow {
  readonly id: number
  readonly parent: number
  readonly name: Buffer
  readonly node: number
  readonly remote: number | null
}

export interface RemoteRow {
  readonly id: number
  readonly parent: number
  readonly name: Buffer
  /** The kernel's name for it, where that differs. */
  readonly shown: Buffer | null
  readonly key: string | null
  readonly type: RemoteType
  readonly size: number
  /** As programs see it: the time stored with the object, else the provider's. */
  readonly mtime_s: number
  readonly mtime_n: number
  readonly rev: string
  readonly node: number
  readonly content: number
  readonly attrs: number
}

export interface NewNode {
  readonly mode: number
  readonly uid: number
  readonly gid: number
  readonly rdev?: number
  readonly size?: number
  readonly target?: Buffer | null
  readonly mtime: Time
  /** Default: mtime. */
  readonly atime?: Time
  readonly ctime: Time
  /** st_ino; default: the node's own id. */
  readonly ino?: number
  /** Folders: ms of the listing that is complete from the start (a folder we make is empty). */
  readonly listedAt?: number
}

export type NewRemote = Omit<RemoteRow, 'id'>

export function isFolder(mode: number): boolean {
  return (mode & fileType.mask) === fileType.folder
}

export function isFile(mode: number): boolean {
  return (mode & fileType.mask) === fileType.file
}

/** The provider's word for an st_mode type. */
export function remoteTypeOf(mode: number): RemoteType {
  switch (mode & fileType.mask) {
    case fileType.folder:
      return 'folder'
    case fileType.symlink:
      return 'symlink'
    case fileType.fifo:
      return 'fifo'
    case fileType.socket:
      return 'socket'
    case fileType.char:
      return 'char'
    case fileType.block:
      return 'block'
    default:
      return 'file'
  }
}

export function modeTypeOf(type: RemoteType): number {
  return fileType[type]
}

/**
 * Rows of nodes, names and remote objects. It knows the tables and keeps them consistent (link counts); what may be done
 * when is decided by its callers. Changes are made inside `DriveDatabase.transaction`.
 */
export class Tree {
  readonly #sql
  readonly #database: DriveDatabase

  constructor(database: DriveDatabase) {
    this.#database = database
    const { sql } = database
    this.#sql = {
      node: sql.prepare<[number], NodeRow>('SELECT * FROM node WHERE id = ?'),
      listedAt: sql.prepare<[number], number>('SELECT listed_at FROM node WHERE id = ?').pluck(),
      // SQLite plans a join, or an order, anew whenever a value is bound: five to fifty times the cost of a look into one table.
      found: sql.prepare<[number, Buffer], { id: number; node: number; remote: number | null }>(
        'SELECT id, node, remote FROM name WHERE parent = ? AND name = ?',
      ),
      nameIn: sql.prepare<[number, Buffer], NameRow>('SELECT * FROM name WHERE parent = ? AND name = ?'),
      nameById: sql.prepare<[number], NameRow>('SELECT * FROM name WHERE id = ?'),
      namesOf: sql.prepare<[number], NameRow>('SELECT * FROM name WHERE node = ?'),
      nameOfRemote: sql.prepare<[number], NameRow>('SELECT * FROM name WHERE remote = ?'),
      anyName: sql.prepare<[number], number>('SELECT id FROM name WHERE node = ? LIMIT 1').pluck(),
      firstChild: sql.prepare<[number], { id: number }>('SELECT id FROM name WHERE parent = ? LIMIT 1'),
      names: sql.prepare<[number], NameRow>('SELECT * FROM name WHERE parent = ? ORDER BY id'),
      entries: sql.prepare<[number, number, number], NodeRow & { name_id: number; entry: Buffer }>(
        'SELECT n.*, name.id AS name_id, name.name AS entry FROM name JOIN node n ON n.id = name.node WHERE name.parent = ? AND name.id > ? ORDER BY name.id LIMIT ?',
      ),
      insertNode: sql.prepare(
        `INSERT INTO node (id, ino, mode, uid, gid, rdev, nlink, size, atime_s, atime_n, mtime_s, mtime_n, ctime_s, ctime_n, target, listed_at)
         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      ),
      setIno: sql.prepare('UPDATE node SET ino = id WHERE id = ?'),
      deleteNode: sql.prepare('DELETE FROM node WHERE id = ?'),
      deleteXattrs: sql.prepare('DELETE FROM xattr WHERE node = ?'),
      nlink: sql.prepare('UPDATE node SET nlink = nlink + ? WHERE id = ?'),
      insertName: sql.prepare('INSERT INTO name (parent, name, node, remote) VALUES (?, ?, ?, ?)'),
      moveName: sql.prepare('UPDATE name SET parent = ?, name = ? WHERE id = ?'),
      setNode: sql.prepare('UPDATE name SET node = ? WHERE id = ?'),
      setRemote: sql.prepare('UPDATE name SET remote = ? WHERE id = ?'),
      deleteName: sql.prepare('DELETE FROM name WHERE id = ?'),
      remote: sql.prepare<[number], RemoteRow>('SELECT * FROM remote WHERE id = ?'),
      remoteAt: sql.prepare<[number, Buffer, number], RemoteRow>(
        "SELECT * FROM remote WHERE parent = ? AND name = ? AND (type = 'folder') = ?",
      ),
      remotesIn: sql.prepare<[number], RemoteRow>('SELECT * FROM remote WHERE parent = ? ORDER BY id'),
      remotesOf: sql.prepare<[number], RemoteRow>('SELECT * FROM remote WHERE node = ? ORDER BY id'),
      insertRemote: sql.prepare(
        'INSERT INTO remote (parent, name, shown, key, type, size, mtime_s, mtime_n, rev, node, content, attrs) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)',
      ),
      updateRemote: sql.prepare(
        'UPDATE remote SET parent = ?, name = ?, shown = ?, key = ?, type = ?, size = ?, mtime_s = ?, mtime_n = ?, rev = ?, node = ?, content = ?, attrs = ? WHERE id = ?',
      ),
      deleteRemote: sql.prepare('DELETE FROM remote WHERE id = ?'),
      clearRemote: sql.prepare('UPDATE name SET remote = NULL WHERE remote = ?'),
    }
  }

  get database(): DriveDatabase {
    return this.#database
  }

  node(id: number): NodeRow | undefined {
    return this.#sql.node.get(id)
  }

  /** The node, or `stale`: a kernel that still knows a node which is gone looks the name up again. */
  needNode(id: number): NodeRow {
    const row = this.#sql.node.get(id)
    if (row === undefined) throw new CloudError('stale', `node ${id} is gone`)
    return row
  }

  /** When the folder was last listed, ms since 1970; 0: never. @throws stale if it is gone */
  listedAt(folder: number): number {
    const at = this.#sql.listedAt.get(folder)
    if (at === undefined) throw new CloudError('stale', `node ${folder} is gone`)
    return at
  }

  lookup(parent: number, name: Buffer): (NodeRow & { name_id: number; remote: number | null }) | undefined {
    const found = this.#sql.found.get(parent, name)
    const node = found === undefined ? undefined : this.#sql.node.get(found.node)
    return found === undefined || node === undefined ? undefined : Object.assign(node, { name_id: found.id, remote: found.remote })
  }

  nameIn(parent: number, name: Buffer): NameRow | undefined {
    return this.#sql.nameIn.get(parent, name)
  }

  nameById(id: number): NameRow | undefined {
    return this.#sql.nameById.get(id)
  }

  namesOf(node: number): NameRow[] {
    const names = this.#sql.namesOf.all(node)
    return names.length > 1 ? names.sort((a, b) => a.id - b.id) : names
  }

  hasName(node: number): boolean {
    return this.#sql.anyName.get(node) !== undefined
  }

  /** The name that is at this remote row, if any. */
  nameOfRemote(remote: number): NameRow | undefined {
    return this.#sql.nameOfRemote.get(remote)
  }

  isEmpty(folder: number): boolean {
    return this.#sql.firstChild.get(folder) === undefined
  }

  /** All names of a folder, in READDIR order. */
  names(folder: number): NameRow[] {
    return this.#sql.names.all(folder)
  }

  /** The next entries of a folder with their nodes. */
  entries(folder: number, afterName: number, limit: number): (NodeRow & { name_id: number; entry: Buffer })[] {
    return this.#sql.entries.all(folder, afterName, limit)
  }

  /** A node without a name yet (`addName` counts the links). Returns its id. */
  insertNode(node: NewNode): number {
    const atime = node.atime ?? node.mtime
    const links = isFolder(node.mode) ? 2 : 0
    const { lastInsertRowid } = this.#sql.insertNode.run(
      null,
      node.ino ?? 0,
      node.mode,
      node.uid,
      node.gid,
      node.rdev ?? 0,
      links,
      node.size ?? 0,
      atime.sec,
      atime.nsec,
      node.mtime.sec,
      node.mtime.nsec,
      node.ctime.sec,
      node.ctime.nsec,
      node.target ?? null,
      node.listedAt ?? 0,
    )
    const id = Number(lastInsertRowid)
    if (node.ino === undefined) this.#sql.setIno.run(id)
    return id
  }

  deleteNode(id: number): void {
    this.#sql.deleteXattrs.run(id)
    this.#sql.deleteNode.run(id)
  }

  /** Gives the node a name. Returns name.id. */
  addName(parent: number, name: Buffer, node: number, mode: number, remote: number | null): number {
    const { lastInsertRowid } = this.#sql.insertName.run(parent, name, node, remote)
    if (isFolder(mode)) this.#sql.nlink.run(1, parent)
    else this.#sql.nlink.run(1, node)
    return Number(lastInsertRowid)
  }

  /** Takes a name away; the node stays. */
  removeName(row: NameRow, mode: number): void {
    this.#sql.deleteName.run(row.id)
    if (isFolder(mode)) {
      this.#sql.nlink.run(-1, row.parent)
      this.#sql.nlink.run(-2, row.node)
    } else {
      this.#sql.nlink.run(-1, row.node)
    }
  }

  moveName(row: NameRow, parent: number, name: Buffer, mode: number): void {
    this.#sql.moveName.run(parent, name, row.id)
    if (isFolder(mode) && parent !== row.parent) {
      this.#sql.nlink.run(-1, row.parent)
      this.#sql.nlink.run(1, parent)
    }
  }

  /** A new version (or another node) behind an existing name; link counts follow. Not for folders. */
  replaceNode(row: NameRow, node: number): void {
    this.#sql.setNode.run(node, row.id)
    this.#sql.nlink.run(-1, row.node)
    this.#sql.nlink.run(1, node)
  }

  setNameRemote(name: number, remote: number | null): void {
    this.#sql.setRemote.run(remote, name)
  }

  remote(id: number): RemoteRow | undefined {
    return this.#sql.remote.get(id)
  }

  /** The object at a place: a file-like one or a folder (`a` and `a/` may both exist). */
  remoteAt(parent: number, name: Buffer, folder: boolean): RemoteRow | undefined {
    return this.#sql.remoteAt.get(parent, name, folder ? 1 : 0)
  }

  remotesIn(folder: number): RemoteRow[] {
    return this.#sql.remotesIn.all(folder)
  }

  remotesOf(node: number): RemoteRow[] {
    return this.#sql.remotesOf.all(node)
  }

  insertRemote(row: NewRemote): number {
    const { lastInsertRowid } = this.#sql.insertRemote.run(
      row.parent,
      row.name,
      row.shown,
      row.key,
      row.type,
      row.size,
      row.mtime_s,
      row.mtime_n,
      row.rev,
      row.node,
      row.content,
      row.attrs,
    )
    return Number(lastInsertRowid)
  }

  updateRemote(row: RemoteRow): void {
    this.#sql.updateRemote.run(
      row.parent,
      row.name,
      row.shown,
      row.key,
      row.type,
      row.size,
      row.mtime_s,
      row.mtime_n,
      row.rev,
      row.node,
      row.content,
      row.attrs,
      row.id,
    )
  }

  /** Removes the row and what points to it. */
  deleteRemote(id: number): void {
    this.#sql.clearRemote.run(id)
    this.#sql.deleteRemote.run(id)
  }

  /** Path of a name from the mount's root, '/' between; for people and messages. */
  pathOf(name: NameRow): string {
    return this.#walk(name.parent, name.name).join('/')
  }

  /** Path of a node by its first name; '' for the root, undefined without a name. */
  pathOfNode(node: number): string | undefined {
    if (node === rootNode) return ''
    const name = this.#sql.namesOf.get(node)
    return name === undefined ? undefined : this.pathOf(name)
  }

  #walk(parent: number, last: Buffer): string[] {
    const parts = [last.toString()]
    let folder = parent
    while (folder !== rootNode) {
      const up = this.#sql.namesOf.get(folder)
      if (up === undefined) break
      parts.unshift(up.name.toString())
      folder = up.parent
    }
    return parts
  }
}
