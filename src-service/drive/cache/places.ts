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
  readonly #tried
  #onConfirmed: ((folder: number, name: Buffer) => void)[] = []
  #moves = 0

  constructor(tree: Tree) {
    this.#tree = tree
    const { sql } = tree.database
    this.#folderRow = sql.prepare<[number], RemoteRow>("SELECT * FROM remote WHERE node = ? AND type = 'folder' AND content > 0")
    // One that no name stands for is on its way to be removed.
    this.#contentRows = sql.prepare<[number], RemoteRow>(
      `SELECT * FROM remote WHERE node = ? AND type <> 'folder' AND content > 0
       ORDER BY content DESC, EXISTS (SELECT 1 FROM name WHERE name.remote = remote.id) DESC, id`,
    )
    this.#tried = sql.prepare<[number], RemoteRow>(
      'SELECT remote.* FROM name JOIN queue ON queue.name = name.id JOIN remote ON remote.id = queue.target WHERE name.node = ? AND queue.sent <> 0',
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

  /** Where a node's bytes (or a folder) are, of several hard links the newest; undefined while the provider has none. */
  placeOfNode(node: number): { readonly place: RemotePlace; readonly row: RemoteRow } | undefined {
    const row = this.#contentRows.get(node) ?? this.#folderRow.get(node)
    const place = row === undefined ? undefined : this.placeOfRemote(row)
    return row === undefined || place === undefined ? undefined : { place, row }
  }

  /**
   * Where version `rev` of a file's bytes may be, the likeliest place first. While a move of ours, of the file or of a
   * folder above it, is under way or was not answered, they are at the old place, at the new one, or at both.
   */
  *placesOfBytes(node: number, rev: string): IterableIterator<RemotePlace> {
    const confirmed = this.#contentRows.all(node).filter((row) => row.rev === rev)
    const tried = [...this.#tree.remotesOf(node).filter(({ content }) => content === 0), ...this.#tried.all(node)]
    // An object that is only to be replaced may have the same rev where a server's revs say little.
    const all = [...confirmed, ...tried.filter((row) => row.type !== 'folder' && row.rev !== rev)]
    const given = new Set<string>()
    for (const places of [(row: RemoteRow) => [this.placeOfRemote(row)], (row: RemoteRow) => this.#besidesFolderMoves(row)]) {
      for (const place of all.flatMap(places)) {
        if (place === undefined || given.has(keyOf(place))) continue
        given.add(keyOf(place))
        yield place
      }
    }
  }

  /** True while a move of ours, of the file or of a folder above it, is under way or of unknown outcome. */
  isMoving(node: number): boolean {
    const rows = this.#tree.remotesOf(node)
    const above = rows.flatMap((row) => this.remoteAncestors(row.parent))
    return rows.some(({ content }) => content === 0) || [node, ...above].some((one) => this.#tried.get(one) !== undefined)
  }

  /** Places of an object if moves of folders above it, of unknown outcome, were done. */
  #besidesFolderMoves(row: RemoteRow, depth = 0): RemotePlace[] {
    if (row.parent === rootNode) return [{ path: [row.name], id: row.key, parentId: null }]
    const folder = this.#folderRow.get(row.parent)
    if (folder === undefined || depth > deepest) return []
    return [folder, ...this.#tried.all(row.parent)].flatMap((one) =>
      this.#besidesFolderMoves(one, depth + 1).map(({ path }) => ({ path: [...path, row.name], id: row.key, parentId: folder.key })),
    )
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

/** The same for two places of one path. */
export function keyOf({ path }: RemotePlace): string {
  return path.map((name) => name.toString('latin1')).join('/')
}

/** The name under which the kernel sees an object. */
export function shownName(row: Pick<RemoteRow, 'name' | 'shown'>): Buffer {
  return row.shown ?? row.name
}
