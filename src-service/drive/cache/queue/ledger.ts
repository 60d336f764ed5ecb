import { CloudError } from '../../../common/errors.ts'
import type { RemoteEntry } from '../../connectors/connector.ts'
import type { TakeIn } from '../listings/take-in.ts'
import { shownName } from '../places.ts'
import { factsOf } from '../remote-facts.ts'
import type { SyncParts } from '../sync-parts.ts'
import { isFile, type NameRow, type RemoteRow, rootNode } from '../tree.ts'
import { freeName } from '../listings/twin-name.ts'
import { conflictName } from './conflict-name.ts'
import { ghostNode } from './ghost-node.ts'
import type { LateChanges } from './late-changes.ts'
import type { QueueRow, QueueRows, UnknownTry } from './queue-rows.ts'

/** Which version of a node an object holds. */
export interface Held {
  readonly node: number
  readonly content: number
  readonly attrs: number
}

/**
 * Writes down what the provider confirmed. Every method runs inside a transaction, takes the rows as they are by then
 * (a name may have been moved or removed while the call was under way), and leaves no object unaccounted for: what no
 * name stands for is to be removed.
 */
export class Ledger {
  readonly #parts: SyncParts
  readonly #rows: QueueRows
  readonly #takeIn: TakeIn
  readonly #late: LateChanges
  readonly #sql

  constructor(parts: SyncParts, rows: QueueRows, takeIn: TakeIn, late: LateChanges) {
    this.#late = late
    this.#parts = parts
    this.#rows = rows
    this.#takeIn = takeIn
    const { sql } = parts.database
    this.#sql = {
      changedAt: sql.prepare('UPDATE node SET changed_at = ? WHERE id = ?'),
      childRemote: sql.prepare<[number], { id: number }>('SELECT id FROM remote WHERE parent = ? LIMIT 1'),
      foreignChild: sql.prepare<[number], RemoteRow>('SELECT * FROM remote WHERE parent = ? AND node = 0 LIMIT 1'),
      forgetForeign: sql.prepare('DELETE FROM remote WHERE parent = ? AND node = 0'),
      conflict: sql.prepare('INSERT INTO conflict (name, mine, theirs, at) VALUES (?, ?, ?, ?)'),
      reparent: sql.prepare('UPDATE remote SET parent = ? WHERE parent = ?'),
    }
  }

  /** A row for an object that a call may make: content 0 until it is confirmed. @throws busy if something was found there since */
  expect(parent: number, name: Buffer, type: RemoteRow['type'], node: number, size: number): number {
    const there = this.#parts.tree.remoteAt(parent, name, type === 'folder')
    if (there !== undefined) throw new CloudError('busy', 'the place is taken by now')
    return this.#parts.tree.insertRemote({
      parent,
      name,
      shown: null,
      key: null,
      type,
      size,
      mtime_s: 0,
      mtime_n: 0,
      rev: '',
      node,
      content: 0,
      attrs: 0,
    })
  }

  /**
   * The object of row `target` is confirmed to hold this; the name, if it still exists, is there from now on.
   * @param how `sent` by us from here, or `copied` at the provider from an object that it had already
   */
  confirmed(nameId: number, target: number, entry: RemoteEntry, held: Held, how: 'sent' | 'copied'): void {
    const { tree } = this.#parts
    const row = tree.remote(target)
    if (row === undefined) throw new CloudError('internal', 'a confirmed object has no row')
    tree.updateRemote({ ...row, ...factsOf(entry, keptName(entry, row)), ...held })
    this.#changedIn(row.parent, row.name)
    this.#changedIn(row.parent, entry.name)
    const name = tree.nameById(nameId)
    if (name?.node === held.node) {
      this.#rows.spare(target)
      const before = name.remote === null || name.remote === target ? undefined : tree.remote(name.remote)
      tree.setNameRemote(name.id, target)
      if (before !== undefined) this.doom(before.id)
      if (how === 'copied' && before?.content === held.content) this.#revised(held.node, entry)
    } else if (tree.nameOfRemote(target) === undefined) {
      this.#rows.spare(target)
      if (!this.#giveTo(this.#parts.tree.namesOf(held.node), target)) this.doom(target)
    }
    if (how === 'sent' && isFile(tree.node(held.node)?.mode ?? 0)) this.#parts.contents.uploaded(held.node, held.content, entry.rev)
    this.#rows.wakeRemote(target)
    if (entry.type === 'folder') this.#rows.wakeFolder(held.node)
  }

  /** The object that the name was at before is still there, as it was. */
  takeBack(name: NameRow, row: RemoteRow): void {
    this.#rows.spare(row.id)
    this.#parts.tree.setNameRemote(name.id, row.id)
    if (name.remote !== null) this.doom(name.remote)
    this.#revised(row.node, row)
  }

  /** The object itself went to another place. `replaced` is the row that stood there. */
  moved(from: number, to: { readonly parent: number }, entry: RemoteEntry, replaced: number | null): void {
    const { tree } = this.#parts
    const row = tree.remote(from)
    if (row === undefined) throw new CloudError('internal', 'a moved object has no row')
    if (replaced !== null && replaced !== from) {
      this.#rows.spare(replaced)
      tree.deleteRemote(replaced)
    }
    this.#changedIn(row.parent, row.name)
    this.#changedIn(to.parent, entry.name)
    tree.updateRemote({ ...row, ...factsOf(entry, null), parent: to.parent })
    this.#wakeAround(row)
    if (row.rev !== entry.rev) this.#revised(row.node, entry)
  }

  attributesStored(row: RemoteRow, entry: RemoteEntry, attrs: number): void {
    const { tree } = this.#parts
    const now = tree.remote(row.id)
    if (now === undefined) return
    tree.updateRemote({ ...now, ...factsOf(entry, keptName(entry, now)), attrs })
    this.#changedIn(row.parent, row.name)
    if (row.rev !== entry.rev) this.#revised(row.node, entry)
  }

  /** The object is to be removed, with everything that was copied below it if it is a folder nobody sees. */
  doom(target: number, unsettled?: UnknownTry): void {
    this.#rows.doom(target, unsettled)
    this.#rows.wakeRemote(target)
    const row = this.#parts.tree.remote(target)
    if (row !== undefined) this.#takeIn.rebase(row.node, target)
    if (row?.type !== 'folder' || this.#parts.tree.namesOf(row.node).length > 0) return
    for (const child of this.#parts.tree.remotesIn(row.node)) {
      if (child.node === 0 || this.#parts.tree.nameOfRemote(child.id) !== undefined) continue
      this.doom(child.id, child.content === 0 ? tryOf(child) : undefined)
    }
  }

  /** What the last try of a row made, or may still make, is to be removed. */
  doomTarget(row: QueueRow): void {
    const target = row.target === null ? undefined : this.#parts.tree.remote(row.target)
    if (target === undefined) return
    if (row.sent !== 0) this.doom(target.id, row)
    else this.doom(target.id, target.content === 0 && this.#late.mayCome(target.id) ? tryOf(target) : undefined)
  }

  /**
   * A name goes away whose object holds bytes that another name of the node has not got at the provider yet: the object
   * becomes that name's, which makes a move of it. The only copy is never on the way to be removed.
   */
  handOver(name: NameRow): boolean {
    const { tree } = this.#parts
    if (name.remote === null) return false
    const others = tree.namesOf(name.node).filter((other) => other.id !== name.id)
    if (!this.#giveTo(others, name.remote)) return false
    tree.setNameRemote(name.id, null)
    return true
  }

  /** Makes the object that of a name which has nothing as new; false if none needs it. */
  #giveTo(names: readonly NameRow[], remote: number): boolean {
    const { tree } = this.#parts
    const row = tree.remote(remote)
    if (row === undefined || row.type === 'folder' || row.content === 0) return false
    for (const name of names) {
      const own = name.remote === null ? undefined : tree.remote(name.remote)
      if (own !== undefined && own.content >= row.content) continue
      tree.setNameRemote(name.id, row.id)
      if (own !== undefined) this.doom(own.id)
      this.#rows.wantName(name.id, 0)
      return true
    }
    return false
  }

  /** The object is surely gone at the provider. Its name, if it has one, is not there any more. */
  gone(target: number): void {
    const { tree } = this.#parts
    const row = tree.remote(target)
    if (row === undefined) return
    const name = tree.nameOfRemote(target)
    if (name !== undefined && this.#rows.ofName(name.id) === undefined) this.#rows.wantName(name.id, 0)
    this.#rows.spare(target)
    tree.deleteRemote(target)
    // What another client had in it went with it.
    if (row.type === 'folder' && row.node !== 0) this.#sql.forgetForeign.run(row.node)
    this.#takeIn.rebase(row.node, target)
    this.#changedIn(row.parent, row.name)
    this.#wakeAround(row)
  }

  /** Another client's version stands at this row's place: nobody's yet. It gets a name as soon as there is room for one. */
  theirs(target: number, entry: RemoteEntry): void {
    const { tree } = this.#parts
    const row = tree.remote(target)
    if (row === undefined) return
    this.#rows.spare(target)
    const name = tree.nameOfRemote(target)
    if (name !== undefined) tree.setNameRemote(name.id, null)
    tree.updateRemote({ ...row, ...factsOf(entry, keptName(entry, row)), node: 0, content: 0, attrs: 0 })
    this.#takeIn.rebase(row.node, target)
    this.#changedIn(row.parent, row.name)
  }

  /** What another client has at a place where nothing of ours is: known from now on. */
  found(parent: number, entry: RemoteEntry): void {
    const { tree } = this.#parts
    const row = tree.remoteAt(parent, entry.name, entry.type === 'folder')
    if (row === undefined) tree.insertRemote({ ...factsOf(entry, null), parent, node: 0, content: 0, attrs: 0 })
    else if (row.node === 0) tree.updateRemote({ ...row, ...factsOf(entry, keptName(entry, row)) })
  }

  /** Both sides of a conflict live on: the provider's version keeps the name, ours gets another one and goes there as something new. */
  keepBoth(name: NameRow, entry: RemoteEntry, reason: string): void {
    const { tree, settings, connector, clock } = this.#parts
    const node = tree.needNode(name.node)
    const { maxBytes } = connector.capabilities.names
    const isTaken = (candidate: Buffer): boolean =>
      tree.nameIn(name.parent, candidate) !== undefined ||
      tree.remoteAt(name.parent, candidate, false) !== undefined ||
      tree.remoteAt(name.parent, candidate, true) !== undefined
    const renamed = conflictName(name.name, settings.hostName, clock.now(), maxBytes, isTaken)
    const given = this.#giveUpPlace(name, entry)
    tree.moveName(name, name.parent, renamed, node.mode)
    if (given === undefined) this.found(name.parent, entry)
    else this.theirs(given.id, entry)
    this.#show(name.parent, entry, given)
    this.#rows.wantName(name.id, 0)
    this.#sql.conflict.run(name.id, renamed, name.name, clock.now())
    this.#changedIn(name.parent, entry.name)
    this.#entryChanged(name.parent, name.name)
    this.#entryChanged(name.parent, renamed)
    const path = tree.pathOf({ ...name, name: renamed })
    this.#parts.database.afterCommit(() => {
      this.#parts.alert('conflict', `${reason}; our version is now ${path}`)
    })
  }

  /** What we knew at the place of another client's object and is ours no more: the name's own object, or one that was to be replaced. */
  #giveUpPlace(name: NameRow, entry: RemoteEntry): RemoteRow | undefined {
    const { tree } = this.#parts
    const own = name.remote === null ? undefined : tree.remote(name.remote)
    const isFolderThere = entry.type === 'folder'
    if (own?.parent === name.parent && own.name.equals(entry.name) && (own.type === 'folder') !== isFolderThere) this.gone(own.id)
    const there = tree.remoteAt(name.parent, entry.name, isFolderThere)
    return there !== undefined && (there.id === own?.id || this.#rows.ofRemote(there.id) !== undefined) ? there : undefined
  }

  /** Gives another client's object its name. What was known below it, if it is a folder that was ours, lies below its new node. */
  #show(parent: number, entry: RemoteEntry, before: RemoteRow | undefined): void {
    this.#takeIn.entry(parent, entry, { complete: true, tell: true })
    if (before?.type !== 'folder' || before.node === 0) return
    const name = this.#parts.tree.nameOfRemote(before.id)
    if (name === undefined) this.#sql.forgetForeign.run(before.node)
    else this.#adoptChildren(before.node, name.node)
  }

  /** A removal is undone: what stands there is shown (again), with the folders above it. */
  comesBack(target: number, entry: RemoteEntry, reason: string): void {
    const { tree } = this.#parts
    const before = tree.remote(target)
    if (before === undefined) return
    const parent = this.#needFolder(before.parent)
    this.theirs(target, entry)
    this.#show(parent, entry, before)
    const name = tree.nameOfRemote(target)
    const path = name === undefined ? entry.name.toString() : tree.pathOf(name)
    this.#parts.database.afterCommit(() => {
      this.#parts.alert('deletion-undone', `${path}: ${reason}`)
    })
  }

  /** True if the provider may still have something in this folder. */
  hasRemoteChildren(folder: number): boolean {
    return this.#sql.childRemote.get(folder) !== undefined
  }

  /** What stands in the folder and is nobody's: another client's. */
  foreignChild(folder: number): RemoteRow | undefined {
    return this.#sql.foreignChild.get(folder)
  }

  /** A node of a folder that has a name: this one, or the one that stands for it from now on. */
  #needFolder(folder: number): number {
    const { tree, places } = this.#parts
    if (folder === rootNode || tree.namesOf(folder).length > 0) return folder
    const row = places.folderRow(folder)
    if (row === undefined) throw new CloudError('internal', 'an object lies in a folder that is not known')
    const parent = this.#needFolder(row.parent)
    const shown = shownName(row)
    const name =
      tree.nameIn(parent, shown) === undefined ? shown : freeName(shown, 'folder', 255, (one) => tree.nameIn(parent, one) !== undefined)
    const { settings, clock } = this.#parts
    const time = { sec: Math.floor(clock.now() / 1000), nsec: 0 }
    const mode = 0o040000 | (0o777 & ~settings.umask)
    const node = tree.insertNode({ mode, uid: settings.uid, gid: settings.gid, mtime: time, ctime: time })
    this.#rows.spare(row.id)
    tree.updateRemote({ ...row, parent, node, shown: name.equals(row.name) ? null : name })
    tree.addName(parent, name, node, mode, row.id)
    this.#adoptChildren(folder, node)
    this.#entryChanged(parent, name)
    return node
  }

  #adoptChildren(from: number, to: number): void {
    if (from !== 0 && from !== to) this.#sql.reparent.run(to, from)
  }

  /** A place became free, and perhaps a folder empty. */
  #wakeAround(row: RemoteRow): void {
    const { tree, places, connector } = this.#parts
    const name = tree.nameIn(row.parent, shownName(row))
    const waiting = name === undefined ? undefined : this.#rows.ofName(name.id)
    if (waiting !== undefined) this.#rows.wake(waiting.id)
    const folder = places.folderRow(row.parent)
    if (folder === undefined || this.hasRemoteChildren(row.parent)) return
    this.#rows.wakeRemote(folder.id)
    // Where a folder is only what names have in common, the last object took it along; here it is still there.
    const own = tree.nameOfRemote(folder.id)
    if (own === undefined || connector.capabilities.realFolders) return
    const queued = this.#rows.ofName(own.id)
    // A folder that is being copied to another place is made there, and given up here, by that step.
    if (queued !== undefined && queued.target !== null) return
    tree.setNameRemote(own.id, null)
    this.#rows.wantName(own.id, 0)
    // It may be there by itself all the same: what is not made again is removed, and no listing takes it for another client's.
    tree.updateRemote({ ...folder, node: ghostNode(tree), content: 0, attrs: 0 })
    const wanted = this.#rows.ofName(own.id)
    if (wanted !== undefined && folder.parent === own.parent && shownName(folder).equals(own.name))
      this.#rows.workingOn(wanted.id, folder.id)
    else this.doom(folder.id)
  }

  #revised(node: number, entry: Pick<RemoteEntry, 'rev'>): void {
    if (isFile(this.#parts.tree.node(node)?.mode ?? 0)) this.#parts.contents.revised(node, entry.rev)
  }

  #changedIn(folder: number, name: Buffer): void {
    this.#sql.changedAt.run(this.#parts.clock.now(), folder)
    this.#parts.places.confirmed(folder, name)
  }

  #entryChanged(folder: number, name: Buffer): void {
    this.#parts.database.afterCommit(() => {
      this.#parts.notifier()?.entryChanged(folder, name)
    })
  }
}

/** The try that is to make the object of a row that is not confirmed. */
export function tryOf(row: RemoteRow): UnknownTry {
  return { guessed: true, sent: 1, sent_size: row.size, sent_s: row.mtime_s, sent_n: row.mtime_n }
}

/** A provider that changes names as it stores them is shown under the name that we gave. */
function keptName(entry: RemoteEntry, row: Pick<RemoteRow, 'name' | 'shown'>): Buffer | null {
  return entry.name.equals(row.name) ? row.shown : shownName(row)
}
