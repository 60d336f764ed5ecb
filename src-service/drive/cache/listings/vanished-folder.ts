import type { SyncParts } from '../sync-parts.ts'
import { isFolder, type NameRow, type RemoteRow } from '../tree.ts'
import type { TakeIn } from './take-in.ts'

/** Names removed in one transaction: a few milliseconds. */
const chunk = 200

/** A folder that the provider does not have any more: what was below it goes too, unless something below waits for the queue. */
export class VanishedFolder {
  readonly #parts: SyncParts
  readonly #takeIn: TakeIn
  readonly #nameChanged: (name: number) => void
  readonly #sql

  constructor(parts: SyncParts, takeIn: TakeIn, nameChanged: (name: number) => void) {
    this.#parts = parts
    this.#takeIn = takeIn
    this.#nameChanged = nameChanged
    const { sql } = parts.database
    const below = `WITH RECURSIVE below (folder) AS (
      SELECT ? UNION ALL SELECT name.node FROM below JOIN name ON name.parent = below.folder JOIN node ON node.id = name.node AND node.mode & 61440 = 16384
    )`
    this.#sql = {
      queuedBelow: sql.prepare<[number], { id: number }>(
        `${below} SELECT queue.id FROM below JOIN name ON name.parent = below.folder JOIN queue ON queue.name = name.id LIMIT 1`,
      ),
      countBelow: sql.prepare<[number, number], { count: number }>(
        `${below} SELECT count(*) AS count FROM (SELECT 1 FROM below JOIN name ON name.parent = below.folder LIMIT ?)`,
      ),
      someNames: sql.prepare<[number, number], NameRow>('SELECT * FROM name WHERE parent = ? ORDER BY id LIMIT ?'),
      forgetRemovals: sql.prepare('DELETE FROM queue WHERE remote IN (SELECT id FROM remote WHERE parent = ?)'),
      forgetPlaces: sql.prepare('UPDATE name SET remote = NULL WHERE remote IN (SELECT id FROM remote WHERE parent = ?)'),
      forgetRemotes: sql.prepare('DELETE FROM remote WHERE parent = ?'),
    }
  }

  /** Names below a folder, counted up to `most`. */
  namesBelow(folder: number, most: number): number {
    return this.#sql.countBelow.get(folder, most)?.count ?? 0
  }

  /**
   * Removes the name of a folder and everything below it, a chunk at a time: a crash in between leaves a part for the next
   * listing. Where something has to be kept, the folder is made again at the provider instead.
   */
  async remove(nameId: number, remoteId: number): Promise<void> {
    for (let first = true; ; first = false) {
      const done = this.#parts.database.transaction(() => this.#step(nameId, remoteId, first))
      if (done) return
      await new Promise((resolve) => setImmediate(resolve))
    }
  }

  #step(nameId: number, remoteId: number, first: boolean): boolean {
    const { tree } = this.#parts
    const name = tree.nameById(nameId)
    const row = tree.remote(remoteId)
    if (name === undefined || row === undefined || name.remote !== remoteId || this.#takeIn.isQueued(nameId)) return true
    if (first && this.#sql.queuedBelow.get(name.node) !== undefined) return this.#makeAgain(name)
    let left = chunk
    for (const outcome of this.#walk(name, row)) {
      if (outcome === 'kept') return this.#makeAgain(name)
      if (--left === 0) return tree.nameById(nameId) === undefined
    }
    return true
  }

  /** Removes from the leaves upward, yielding after each name. */
  *#walk(name: NameRow, row: RemoteRow): Generator<'removed' | 'kept'> {
    const { tree } = this.#parts
    for (;;) {
      const children = this.#sql.someNames.all(name.node, chunk)
      if (children.length === 0) break
      for (const child of children) {
        const remote = child.remote === null ? undefined : tree.remote(child.remote)
        if (remote === undefined || this.#takeIn.isBusy(child)) {
          yield 'kept'
          return
        }
        if (isFolder(tree.needNode(child.node).mode)) {
          yield* this.#walk(child, remote)
        } else {
          this.#takeIn.remove(child, remote)
          yield 'removed'
        }
      }
    }
    this.#sql.forgetRemovals.run(name.node)
    // Of names that are on their way out of the folder, which the queue finds out about.
    this.#sql.forgetPlaces.run(name.node)
    this.#sql.forgetRemotes.run(name.node)
    this.#takeIn.remove(name, row)
    yield 'removed'
  }

  #makeAgain(name: NameRow): true {
    if (name.remote !== null) this.#parts.tree.deleteRemote(name.remote)
    this.#nameChanged(name.id)
    return true
  }
}
