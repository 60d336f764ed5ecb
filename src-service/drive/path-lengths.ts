import { rootNode, type Tree } from './cache/tree.ts'

/** Length of a folder's path, for the rule that a provider's longest path is kept to when a name is made. */
export class PathLengths {
  readonly #tree: Tree
  readonly #limited: boolean

  constructor(tree: Tree, maxPathBytes: number) {
    this.#tree = tree
    // The kernel takes no path longer than PATH_MAX: with that or more there is nothing to count.
    this.#limited = maxPathBytes < 4096
  }

  /** Bytes from the mount's root to the folder, separators included; 0 where no length can be too long. */
  readonly of = (folder: number): number => {
    if (!this.#limited) return 0
    let bytes = 0
    for (let at = folder; at !== rootNode; ) {
      const [name] = this.#tree.namesOf(at)
      if (name === undefined) break
      bytes += name.name.length + 1
      at = name.parent
    }
    return bytes
  }
}
