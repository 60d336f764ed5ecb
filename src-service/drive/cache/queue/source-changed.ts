import type { RemoteEntry } from '../../connectors/connector.ts'
import { isFile, isFolder, type RemoteRow } from '../tree.ts'
import type { QueueParts } from './queue-parts.ts'
import type { QueueRow } from './queue-rows.ts'

/**
 * Another client removed or replaced an object that was to be moved or copied; `entry` is what is there now. Inside a transaction.
 * Without changes of ours its name follows the provider; with changes, or when all of it is here, it is made anew.
 */
export function sourceChanged(parts: QueueParts, known: RemoteRow, entry: RemoteEntry | null): void {
  const { tree, ledger, takeIn, contents } = parts
  const row = tree.remote(known.id)
  if (row === undefined || row.rev !== known.rev) return
  const name = tree.nameOfRemote(row.id)
  if (name === undefined) {
    if (entry === null) ledger.gone(row.id)
    else ledger.theirs(row.id, entry)
    return
  }
  const node = tree.needNode(name.node)
  const clean = node.content === row.content && contents.writerCount(node.id) === 0
  if (entry !== null) {
    if (clean && entry.type !== 'folder') {
      takeIn.newVersion(name, row, entry)
    } else {
      ledger.theirs(row.id, entry)
      takeIn.entry(row.parent, entry, { complete: true, tell: true })
      if (!takeIn.isQueued(name.id)) parts.rows.wantName(name.id, 0)
    }
    return
  }
  const isOnlyThere = isFile(node.mode) && !contents.isWhole(node.id)
  if (!isFolder(node.mode) && clean && (isOnlyThere || !takeIn.isQueued(name.id))) takeIn.remove(name, row)
  else ledger.gone(row.id)
}

/**
 * A link of the same node whose bytes were to come from that object, and are not here, follows it: to the newer version,
 * or away. Inside a transaction.
 */
export function followSource(parts: QueueParts, queued: QueueRow, source: RemoteRow): void {
  const { tree, contents, database, notifier, dropNode } = parts
  const name = queued.name === null ? undefined : tree.nameById(queued.name)
  const node = name === undefined ? undefined : tree.node(name.node)
  if (name === undefined || node === undefined || !isFile(node.mode)) return
  if (node.id !== source.node || node.content !== source.content || contents.isWhole(node.id)) return
  if (tree.remotesOf(node.id).some((row) => row.content === node.content)) return
  const newer = tree.remote(source.id)
  if (newer === undefined || newer.node === 0 || newer.node === node.id) {
    dropName(parts, queued, name.id)
    return
  }
  tree.replaceNode(name, newer.node)
  database.afterCommit(() => {
    notifier()?.entryChanged(name.parent, name.name)
    dropNode(node.id)
  })
}

/** Nothing of what the name stands for exists any more, here or there. */
export function dropName({ tree, rows, database, notifier, dropNode, log }: QueueParts, queued: QueueRow, id: number): void {
  const name = tree.nameById(id)
  if (name === undefined || rows.get(queued.id) === undefined) return
  log('warn', 'another client deleted the contents of a link before they were here', { path: tree.pathOf(name) })
  const { mode } = tree.needNode(name.node)
  if (name.remote !== null) tree.deleteRemote(name.remote)
  tree.removeName(name, mode)
  rows.remove(queued.id)
  database.afterCommit(() => {
    notifier()?.entryChanged(name.parent, name.name)
    dropNode(name.node)
  })
}
