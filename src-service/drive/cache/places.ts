import type { RemotePlace } from '../connectors/connector.ts'
import { type RemoteRow, rootNode, type Tree } from './tree.ts'

/** Deeper than any provider allows: a loop in the rows ends here. */
const deepest = 4096

/**
 * Where things are at the provider, by what it last confirmed. A path is made by walking remote rows upward through the
 * nodes of the folders, so that everything below a folder that was renamed here, but not yet there, is still found.
 */
export class Places {
  readonly #tree: Tree
  readonly #folderRow
  readonly #contentRows
  #onConfirmed: ((folder: number, name: Buffer) => void)[] = []
  #moves = 0

  constructor(tree: Tree) {
    this.#tree = tree
    const { sql } = tree.database
    this.#folderRow = sql.prepare<[number], RemoteRow>("SELECT * FROM remote WHERE node = ? AND type = 'folder' AND content > 0")
    this.#contentRows = sql.prepare<[number], RemoteRow>(
      "SELECT * FROM remote WHERE node = ? AND type <> 'folder' AND content > 0 ORDER BY content DESC, id",
    )
  }

  /** The confirmed remote row of a folder; undefined for the root and for folders that are not there yet. */
  folderRow(folder: number): RemoteRow | undefined {
    return this.#folderRow.get(folder)
  }

  /** Place of a folder; undefined while the provider does not have it. */
  folderPlace(folder: number): RemotePlace | undefined {
    const path: Buffer[] = []
    let id: string | null = null
    let parentId: string | null = null
    let at = folder
    for (let depth = 0; at !== rootNode; depth++) {
      const row = this.#folderRow.get(at)
      if (row === undefined || depth > deepest) return undefined
      if (depth === 0) id = row.key
      if (depth === 1) parentId = row.key
      path.push(row.name)
      at = row.parent
    }
    return { path: path.reverse(), id, parentId }
  }

  /** Place of an object that the provider has; undefined if a folder above it is not there. */
  placeOfRemote(row: RemoteRow): RemotePlace | undefined {
    const folder = this.folderPlace(row.parent)
    return folder === undefined ? undefined : { path: [...folder.path, row.name], id: row.key, parentId: folder.id }
  }

  /** Place for something new in a folder; undefined while the provider does not have the folder. */
  placeFor(folder: number, name: Buffer): RemotePlace | undefined {
    const place = this.folderPlace(folder)
    return place === undefined ? undefined : { path: [...place.path, name], id: null, parentId: place.id }
  }

  /**
   * Where a node's bytes (or a folder) can be had, and as which version; of several hard links the one that has `rev`, else
   * the newest. undefined while the provider has none.
   */
  placeOfNode(node: number, rev?: string): { readonly place: RemotePlace; readonly row: RemoteRow } | undefined {
    const rows = this.#contentRows.all(node)
    const row = rows.find((one) => one.rev === rev) ?? rows[0] ?? this.#folderRow.get(node)
    if (row === undefined) return undefined
    const place = this.placeOfRemote(row)
    return place === undefined ? undefined : { place, row }
  }

  /** The folders above a remote row, nearest first, the root left out. */
  remoteAncestors(parent: number): number[] {
    const above: number[] = []
    for (let at = parent; at !== rootNode && above.length <= deepest; ) {
      above.push(at)
      const row = this.#folderRow.get(at)
      if (row === undefined) break
      at = row.parent
    }
    return above
  }

  /** The folders above a name as the kernel sees them, nearest first, the root left out. */
  localAncestors(parent: number): number[] {
    const above: number[] = []
    for (let at = parent; at !== rootNode && above.length <= deepest; ) {
      above.push(at)
      const [name] = this.#tree.namesOf(at)
      if (name === undefined) break
      at = name.parent
    }
    return above
  }

  /** The provider confirmed a change of ours to this name of this folder: what a listing that runs says of it is out of date. */
  confirmed(folder: number, name: Buffer): void {
    for (const listener of this.#onConfirmed) listener(folder, name)
  }

  onConfirmed(listener: (folder: number, name: Buffer) => void): void {
    this.#onConfirmed.push(listener)
  }

  /** Raised before and after every move of a folder: a listing during which it changed may be of another place. */
  get moves(): number {
    return this.#moves
  }

  folderMoves(): void {
    this.#moves++
  }
}

/** The name under which the kernel sees an object. */
export function shownName(row: Pick<RemoteRow, 'name' | 'shown'>): Buffer {
  return row.shown ?? row.name
}
