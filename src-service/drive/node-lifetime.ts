import type { Clock } from '../common/clock.ts'
import type { Contents } from './cache/contents.ts'
import type { Notifier } from './cache/notifier.ts'
import { rootNode, type Tree } from './cache/tree.ts'

/** Milliseconds within which a drive that is opened for a kernel connection gets it. */
const attachMs = 30_000

/**
 * How long a node without a name is kept: until its last RELEASE if this process saw all of its OPENs, else until the
 * kernel connection ends (lookup counts are not kept, and FORGET is only a hint).
 */
export class NodeLifetime {
  readonly #tree: Tree
  readonly #contents: Contents
  readonly #nameless
  readonly #highest
  /** Folder -> how often it is open. */
  readonly #openFolders = new Map<number, number>()
  /** Nodes up to this one may be open since before a takeover. */
  #unseenUpTo = 0
  /** Nodes up to this one may be open as long as it is not known whether a kernel connection is taken over. */
  #olderUpTo
  readonly #knownBy: number
  readonly #clock: Clock
  readonly #kernel: () => Notifier | null

  /** @param kernel null = there is no connection, or not yet */
  constructor(tree: Tree, contents: Contents, clock: Clock, kernel: () => Notifier | null) {
    this.#tree = tree
    this.#contents = contents
    this.#clock = clock
    this.#kernel = kernel
    this.#knownBy = clock.monotonic() + attachMs
    const { sql } = tree.database
    this.#nameless = sql.prepare<[number, number], { id: number }>(
      'SELECT id FROM node WHERE id > ? AND id <> ? AND NOT EXISTS (SELECT 1 FROM name WHERE name.node = node.id) ORDER BY id LIMIT 500',
    )
    this.#highest = sql.prepare<[], { id: number | null }>('SELECT max(id) AS id FROM node')
    this.#olderUpTo = this.#highest.get()?.id ?? 0
  }

  /** Highest node id so far; what exists now may be open in ways that this process has not seen. */
  tookOver(): number {
    this.#unseenUpTo = this.#highest.get()?.id ?? 0
    return this.#unseenUpTo
  }

  /** A file without a name: the kernel, which does not say when what it opened before a takeover is closed, is asked. */
  mayBeOpen(node: number): boolean {
    if (this.#contents.openCount(node) > 0) return true
    if (node > Math.max(this.#unseenUpTo, this.#olderUpTo)) return false
    return this.#kernel()?.knows(node) ?? this.#clock.monotonic() < this.#knownBy
  }

  folderOpened(folder: number): void {
    this.#openFolders.set(folder, (this.#openFolders.get(folder) ?? 0) + 1)
  }

  /** One that was opened before a takeover is not counted. */
  folderReleased(folder: number): void {
    const left = (this.#openFolders.get(folder) ?? 0) - 1
    if (left > 0) this.#openFolders.set(folder, left)
    else if (this.#openFolders.delete(folder)) this.drop(folder)
  }

  /** Forgets the node if it has no name and is not open. */
  drop(node: number): void {
    if (node === rootNode || node <= this.#unseenUpTo || this.#contents.openCount(node) > 0 || this.#openFolders.has(node)) return
    if (this.#tree.hasName(node) || this.#tree.node(node) === undefined) return
    this.#tree.database.transaction(() => {
      this.#contents.forget(node)
      this.#tree.deleteNode(node)
    })
  }

  /** The kernel connection ended: nothing is open any more. Nodes without a name go. */
  async sweep(): Promise<void> {
    this.#unseenUpTo = 0
    this.#olderUpTo = 0
    this.#openFolders.clear()
    let after = 0
    for (;;) {
      const rows = this.#nameless.all(after, rootNode)
      const last = rows.at(-1)
      if (last === undefined) return
      this.#tree.database.transaction(() => {
        for (const row of rows) this.drop(row.id)
      })
      after = last.id
      await new Promise((resolve) => setImmediate(resolve))
    }
  }
}
