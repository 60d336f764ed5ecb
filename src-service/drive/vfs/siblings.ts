import type { Contents } from '../cache/contents.ts'
import { isFile, type NodeRow, type Tree } from '../cache/tree.ts'

/** Files up to this size are worth fetching before they are asked for. */
const smallFile = 1024 * 1024
const ahead = 64

/**
 * Notices programs that read the small files of a folder one after the other (in listing order) and has the next ones
 * fetched behind: over a slow line one reader then gets many files per round trip.
 */
export class Siblings {
  readonly #tree: Tree
  readonly #contents: Contents
  /** Per folder: name.id of the last open and up to where files were asked for. Bounded; the oldest goes first. */
  readonly #folders = new Map<number, { last: number; asked: number }>()

  constructor(tree: Tree, contents: Contents) {
    this.#tree = tree
    this.#contents = contents
  }

  opened(row: NodeRow): void {
    if (row.size > smallFile || row.size === 0) return
    const [name] = this.#tree.namesOf(row.id)
    if (name === undefined) return
    const seen = this.#folders.get(name.parent)
    if (seen === undefined) {
      if (this.#folders.size >= 256) this.#forgetOldest()
      this.#folders.set(name.parent, { last: name.id, asked: name.id })
      return
    }
    const inOrder = name.id > seen.last && name.id - seen.last <= ahead
    seen.last = name.id
    if (!inOrder) {
      seen.asked = name.id
      return
    }
    // Asks again when half of what was asked for has been used.
    if (seen.asked - name.id > ahead / 2) return
    const from = Math.max(seen.asked, name.id)
    const next = this.#tree.entries(name.parent, from, ahead)
    const last = next.at(-1)
    if (last === undefined) return
    seen.asked = last.name_id
    const wanted = next.filter((entry) => isFile(entry.mode) && entry.size > 0 && entry.size <= smallFile).map((entry) => entry.id)
    if (wanted.length > 0) this.#contents.expect(wanted)
  }

  #forgetOldest(): void {
    for (const folder of this.#folders.keys()) {
      this.#folders.delete(folder)
      return
    }
  }
}
