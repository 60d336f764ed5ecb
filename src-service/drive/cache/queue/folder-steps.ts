import { CloudError } from '../../../common/errors.ts'
import { isFolder, type NameRow, rootNode } from '../tree.ts'
import type { Situation } from './decide.ts'
import { ghostNode } from './ghost-node.ts'
import { posixOf } from './identity.ts'
import { again, type QueueParts, type StepContext, type StepResult } from './queue-parts.ts'
import type { QueueRow } from './queue-rows.ts'

/** Makes the name's folder. `exists` goes to the conflict step, which takes over a folder that is there already. */
export async function makeFolderStep(parts: QueueParts, row: QueueRow, { name, node }: Situation, step: StepContext): Promise<StepResult> {
  const { connector, places, database, ledger, tree, rows } = parts
  const place = places.placeFor(name.parent, name.name)
  const target = place === undefined ? undefined : database.transaction(() => expectFolder(parts, row, name))
  if (place === undefined || target === undefined) return again
  step.claim(target)
  const entry = await connector.makeFolder(place, posixOf(node), step.signal)
  database.transaction(() => {
    const made = tree.remote(target)?.id ?? ledger.expect(name.parent, entry.name, 'folder', node.id, 0)
    ledger.confirmed(name.id, made, entry, { node: node.id, content: node.content, attrs: node.attrs }, 'sent')
    rows.settled(row.id)
  })
  return again
}

/**
 * The row of the folder that is about to be made: a listing meanwhile knows it as ours, and if its name goes away, it goes too.
 * undefined if the name is not to be there any more.
 */
function expectFolder({ tree, rows, ledger }: QueueParts, row: QueueRow, name: NameRow): number | undefined {
  const queued = rows.get(row.id)
  const now = tree.nameById(name.id)
  if (queued === undefined || now === undefined || now.parent !== name.parent || !now.name.equals(name.name)) return undefined
  if (queued.target !== null && tree.remote(queued.target) !== undefined) return queued.target
  const target = ledger.expect(name.parent, name.name, 'folder', ghostNode(tree), 0)
  rows.workingOn(row.id, target)
  return target
}

/**
 * The folder that something was to go to is not found. If the provider surely does not have it, it is made again, before
 * what goes into it. Otherwise the error stands.
 */
export async function lostFolderStep(parts: QueueParts, folder: number, error: CloudError, step: StepContext): Promise<StepResult> {
  const { places, connector, database, tree, rows } = parts
  if (folder === rootNode)
    throw new CloudError('unavailable', `the folder or bucket of this mount does not exist: ${error.message}`, { cause: error })
  const row = places.folderRow(folder)
  const place = row === undefined ? undefined : places.placeOfRemote(row)
  if (row === undefined || place === undefined) return again
  const entry = await connector.stat(place, 'folder', step.signal)
  if (entry !== null) throw new CloudError('unavailable', `the provider has the folder, but says: ${error.message}`, { cause: error })
  database.transaction(() => {
    const [name] = tree.namesOf(folder)
    if (tree.remote(row.id) === undefined || name === undefined) return
    tree.deleteRemote(row.id)
    rows.wantName(name.id, 0)
  })
  return again
}

/** Changes attributes without sending contents. */
export async function attributesStep(
  parts: QueueParts,
  _row: QueueRow,
  { node, remote }: Situation,
  step: StepContext,
): Promise<StepResult> {
  const { connector, places, database, ledger, tree } = parts
  const place = remote === null ? undefined : places.placeOfRemote(remote)
  if (remote === null || place === undefined || connector.setAttributes === undefined) return again
  const precondition = isFolder(node.mode) ? ({ kind: 'any' } as const) : ({ kind: 'rev', rev: remote.rev } as const)
  try {
    const entry = await connector.setAttributes(place, remote.type, posixOf(node), precondition, step.signal)
    database.transaction(() => {
      ledger.attributesStored(remote, entry, node.attrs)
    })
  } catch (caught) {
    // A folder that is only a prefix has no place for attributes.
    const { kind } = CloudError.from(caught)
    if (kind !== 'unsupported' && !(kind === 'not-found' && isFolder(node.mode) && !connector.capabilities.realFolders)) throw caught
    database.transaction(() => {
      const now = tree.remote(remote.id)
      if (now !== undefined) tree.updateRemote({ ...now, attrs: node.attrs })
    })
  }
  return again
}
