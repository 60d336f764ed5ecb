import type { RemoteRow } from '../tree.ts'
import { tryOf } from './ledger.ts'
import type { QueueParts } from './queue-parts.ts'

interface Pair {
  /** Node of a folder as the kernel sees it; its old objects lie below. */
  readonly from: number
  /** Node that the copies lie below, and that the old ones change to. */
  readonly ghost: number
}

/**
 * The copies below a ghost folder become the objects of the names, and the old objects become the ghost's, to be removed:
 * one transaction over everything below. What came or went while it was copied is left consistent: an object without a
 * copy that a name still stands for cannot be (the caller looked in the same turn), a copy without a name goes.
 */
export function switchFolders(parts: QueueParts, queueId: number, oldRow: number, newRow: number): void {
  const { database, tree, places, rows, contents, ledger, clock } = parts
  const { sql } = database
  const changeSides = sql.prepare('UPDATE remote SET parent = ? WHERE parent = ?')
  const setNode = sql.prepare('UPDATE remote SET node = ? WHERE id = ?')
  const renamed = sql.prepare<
    { from: number; ghost: number },
    { name: number; remote: number; node: number; content: number; rev: string; before: string; type: string }
  >(
    `SELECT name.id AS name, new.id AS remote, new.node, new.content, new.rev, old.rev AS before, new.type
     FROM remote old JOIN name ON name.remote = old.id
     JOIN remote new ON new.parent = @from AND new.name = old.name AND (new.type = 'folder') = (old.type = 'folder')
     WHERE old.parent = @ghost`,
  )
  const subfolders = sql.prepare<{ from: number; ghost: number }, { old: number; new: number; from: number; ghost: number }>(
    `SELECT old.id AS old, new.id AS new, old.node AS "from", new.node AS ghost
     FROM remote old JOIN remote new ON new.parent = @from AND new.name = old.name AND new.type = 'folder'
     WHERE old.parent = @ghost AND old.type = 'folder' AND old.node <> 0`,
  )
  const unnamed = sql.prepare<[number], RemoteRow>(
    `SELECT * FROM remote WHERE parent = ? AND node <> 0 AND NOT EXISTS (SELECT 1 FROM name WHERE name.remote = remote.id)
     AND (content > 0 OR NOT EXISTS (SELECT 1 FROM queue WHERE queue.target = remote.id))`,
  )
  const leftBehind = sql.prepare<[number], { name: number }>(
    'SELECT name.id AS name FROM remote JOIN name ON name.remote = remote.id WHERE remote.parent = ?',
  )
  const changedAt = sql.prepare('UPDATE node SET changed_at = ? WHERE id = ?')

  const one = ({ from, ghost }: Pair): Pair[] => {
    changeSides.run(-1, from)
    changeSides.run(from, ghost)
    changeSides.run(ghost, -1)
    for (const row of renamed.all({ from, ghost })) {
      tree.setNameRemote(row.name, row.remote)
      if (row.type === 'file' && row.rev !== row.before && tree.node(row.node) !== undefined) contents.revised(row.node, row.rev)
    }
    const below = subfolders.all({ from, ghost })
    for (const pair of below) {
      setNode.run(pair.ghost, pair.old)
      setNode.run(pair.from, pair.new)
    }
    changedAt.run(clock.now(), from)
    // What could not be copied goes by itself now.
    for (const row of leftBehind.all(ghost)) rows.wantName(row.name, 0)
    for (const row of [...unnamed.all(from), ...unnamed.all(ghost)]) rows.doom(row.id, row.content === 0 ? tryOf(row) : undefined)
    return below
  }

  database.transaction(() => {
    const old = tree.remote(oldRow)
    const made = tree.remote(newRow)
    if (old === undefined || made === undefined) return
    setNode.run(made.node, old.id)
    setNode.run(old.node, made.id)
    for (const name of tree.namesOf(old.node)) tree.setNameRemote(name.id, made.id)
    for (const pending: Pair[] = [{ from: old.node, ghost: made.node }]; ; ) {
      const pair = pending.pop()
      if (pair === undefined) break
      pending.push(...one(pair))
    }
    ledger.doom(old.id)
    for (const row of [old, made]) {
      changedAt.run(clock.now(), row.parent)
      places.confirmed(row.parent, row.name)
    }
    rows.settled(queueId)
    rows.wakeAll()
    places.folderMoves()
  })
}
