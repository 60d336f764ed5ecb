import { CloudError } from '../../common/errors.ts'
import type { Listings } from '../cache/sync.ts'
import { isFolder, type NodeRow, rootNode, type Tree } from '../cache/tree.ts'

/** A node with the folder and the name under which it was found; of the root the name is empty. */
export interface Found {
  readonly row: NodeRow
  readonly parent: number
  readonly name: Buffer
}

/** From paths to nodes: names from the mount's root, '/' between; '' is the root. Folders that were never listed are. */
export class Paths {
  readonly #tree: Tree
  readonly #listings: Listings

  constructor(tree: Tree, listings: Listings) {
    this.#tree = tree
    this.#listings = listings
  }

  /** @throws not-found, not-a-folder, or an Unknown kind */
  async find(path: string): Promise<Found> {
    let found: Found = { row: this.#tree.needNode(rootNode), parent: rootNode, name: Buffer.alloc(0) }
    for (const part of partsOf(path)) {
      const name = Buffer.from(part)
      await this.ready(found.row, path)
      const row = this.#tree.lookup(found.row.id, name)
      if (row === undefined) throw new CloudError('not-found', `${path}: no such file or folder`)
      found = { row, parent: found.row.id, name }
    }
    return found
  }

  /** The folder that a path lies in, and its last name. @throws also invalid for the root */
  async place(path: string): Promise<{ readonly parent: number; readonly name: Buffer }> {
    const parts = partsOf(path)
    const last = parts.pop()
    if (last === undefined) throw new CloudError('invalid', 'the mounted folder itself cannot be changed')
    const { row } = await this.find(parts.join('/'))
    await this.ready(row, path)
    return { parent: row.id, name: Buffer.from(last) }
  }

  /** Resolves when the names in the folder are known. */
  async ready(row: NodeRow, path: string): Promise<void> {
    if (!isFolder(row.mode)) throw new CloudError('not-a-folder', `${path}: a part of the path is not a folder`)
    await this.#listings.ready(row.id)
  }
}

function partsOf(path: string): string[] {
  const parts = path.split('/').filter((name) => name !== '')
  if (parts.some((part) => part === '.' || part === '..')) throw new CloudError('invalid', `${path}: '.' and '..' are no names`)
  return parts
}
