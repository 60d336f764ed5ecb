import { CloudError } from '../../../common/errors.ts'
import { unpackHandle } from './identity.ts'
import type { QueueParts } from './queue-parts.ts'

/**
 * What was changed here is given up: the name shows what the provider has of it, or goes with it.
 * @throws busy if the name became another one meanwhile, and what `stat` throws
 */
export async function takeTheirs(parts: QueueParts, nameId: number, signal: AbortSignal): Promise<void> {
  const { tree, places, connector, database } = parts
  const name = tree.nameById(nameId)
  if (name === undefined) return
  const row = name.remote === null ? undefined : tree.remote(name.remote)
  const place = row === undefined ? undefined : places.placeOfRemote(row)
  const entry = place === undefined ? null : await connector.stat(place, 'file', signal)
  database.transaction(() => {
    const { takeIn, rows, ledger, notifier, dropNode } = parts
    const now = tree.nameById(nameId)
    if (now?.node !== name.node || now.remote !== name.remote) throw new CloudError('busy', 'the name was changed meanwhile')
    const queued = rows.ofName(nameId)
    if (queued !== undefined) {
      if (queued.target !== name.remote) ledger.doomTarget(queued)
      if (queued.handle !== null) rows.abandon(unpackHandle(queued.handle).handle)
      rows.remove(queued.id)
    }
    const known = row === undefined ? undefined : tree.remote(row.id)
    if (known === undefined) {
      tree.removeName(now, tree.needNode(now.node).mode)
      database.afterCommit(() => {
        notifier()?.entryChanged(now.parent, now.name)
        dropNode(now.node)
      })
    } else if (entry === null) {
      takeIn.remove(now, known)
    } else {
      takeIn.newVersion(now, known, entry)
      // Their version may still have to follow a rename of ours.
      rows.wantName(nameId, 0)
    }
  })
}
