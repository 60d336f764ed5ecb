import { CloudError } from '../../../common/errors.ts'
import type { Precondition, RemotePlace } from '../../connectors/connector.ts'
import { isFolder, type NameRow, type NodeRow, type RemoteRow, rootNode } from '../tree.ts'
import { isInPlace, type Situation } from './decide.ts'
import { copyFolder } from './copy-folder.ts'
import type { Destination } from './destination.ts'
import { followSource, sourceChanged } from './source-changed.ts'
import { again, type QueueParts, type StepContext, type StepResult } from './queue-parts.ts'
import type { QueueRow } from './queue-rows.ts'
import { isSwapName, swapName } from './swap-name.ts'
import { transfer } from './transfer.ts'
import { forgetTry } from './upload-step.ts'

/** Brings the name's object to the name's place. */
export async function moveStep(
  parts: QueueParts,
  row: QueueRow,
  { name, node }: Situation,
  from: RemoteRow,
  over: RemoteRow | null,
  step: StepContext,
): Promise<StepResult> {
  return goTo(parts, row, name, node, from, { parent: name.parent, name: name.name, over }, step)
}

/** Frees the place of a name that waits in a circle: its object goes to a name of our own in the same folder, and from there on. */
export async function moveAsideStep(
  parts: QueueParts,
  row: QueueRow,
  situation: Situation,
  from: RemoteRow,
  step: StepContext,
): Promise<StepResult> {
  const { name, node } = situation
  if (isInPlace(name, from) || isSwapName(from.name)) {
    parts.situations.steppedAside(name.id)
    return again
  }
  const parent = remainingFolder(parts, from.parent)
  const temporary = freePlace(parts, parent, from)
  const result = await goTo(parts, row, name, node, from, { parent, name: temporary, over: null }, step)
  parts.situations.steppedAside(name.id)
  return result
}

/** The nearest folder at the provider that is not to be removed itself. */
function remainingFolder(parts: QueueParts, folder: number): number {
  const { tree, places } = parts
  if (folder === rootNode || tree.namesOf(folder).length > 0) return folder
  return remainingFolder(parts, places.folderRow(folder)?.parent ?? rootNode)
}

/** A name of our own that nothing known has in the folder. */
function freePlace({ tree }: QueueParts, parent: number, from: RemoteRow): Buffer {
  for (let number = 0; ; number++) {
    const name = swapName(from.id, number)
    if (tree.remoteAt(parent, name, false) === undefined && tree.remoteAt(parent, name, true) === undefined) return name
  }
}

function goTo(
  parts: QueueParts,
  row: QueueRow,
  name: NameRow,
  node: NodeRow,
  from: RemoteRow,
  to: Destination,
  step: StepContext,
): Promise<StepResult> {
  const { move } = parts.connector.capabilities
  if (isFolder(node.mode))
    return move === 'tree' ? moveFolder(parts, row, name, from, to, step) : copyFolder(parts, row, name, from, to, step)
  return move === 'none' ? copyTo(parts, row, name, node, from, to, step) : moveFile(parts, row, node, from, to, step)
}

async function moveFile(
  parts: QueueParts,
  row: QueueRow,
  node: NodeRow,
  from: RemoteRow,
  to: Destination,
  step: StepContext,
): Promise<StepResult> {
  const { connector, places } = parts
  const source = places.placeOfRemote(from)
  // The time that was stored with the object goes along when it moves, whatever was written here since it was sent.
  const begun = begin(parts, row, from, to, node, from)
  if (source === undefined || begun === undefined || connector.move === undefined) return again
  step.claim(begun.target)
  // It is copied and then removed: that removal may come late too, and would take the same bytes put there again.
  if (!connector.capabilities.atomicMove) step.claim(from.id)
  const replace: Precondition | null = to.over === null ? null : { kind: 'rev', rev: to.over.rev }
  try {
    const entry = await connector.move(source, begun.place, from.type, { kind: 'rev', rev: from.rev }, replace, step.signal)
    parts.database.transaction(() => {
      parts.ledger.moved(from.id, to, entry, begun.target)
      parts.rows.settled(row.id)
      parts.rows.progressed(row.id)
    })
    return again
  } catch (caught) {
    const error = CloudError.from(caught)
    // Onto the same bytes: the source may be gone because an earlier try came through. That is looked for before it counts as lost.
    if (error.kind === 'not-found' && to.over?.rev === from.rev) throw new CloudError('unavailable', error.message, { cause: error })
    return await afterFailedMove(parts, row, from, source, error, step)
  }
}

async function moveFolder(
  parts: QueueParts,
  row: QueueRow,
  name: NameRow,
  from: RemoteRow,
  to: Destination,
  step: StepContext,
): Promise<StepResult> {
  const { connector, places, tree } = parts
  const source = places.placeOfRemote(from)
  const begun = begin(parts, row, from, to, tree.needNode(name.node), from)
  if (source === undefined || begun === undefined || connector.move === undefined) return again
  step.claim(begun.target)
  places.folderMoves()
  try {
    const entry = await connector.move(source, begun.place, 'folder', { kind: 'any' }, null, step.signal)
    parts.database.transaction(() => {
      parts.ledger.moved(from.id, to, entry, begun.target)
      parts.rows.settled(row.id)
      parts.rows.progressed(row.id)
      parts.rows.wakeAll()
    })
    return again
  } catch (caught) {
    return await afterFailedMove(parts, row, from, source, CloudError.from(caught), step)
  } finally {
    places.folderMoves()
  }
}

/** A copy of an object that stays, or is removed afterwards because its name went on. */
export async function copyTo(
  parts: QueueParts,
  row: QueueRow,
  name: NameRow,
  node: NodeRow,
  from: RemoteRow,
  to: Destination,
  step: StepContext,
): Promise<StepResult> {
  const { places, database, ledger, rows } = parts
  const source = places.placeOfRemote(from)
  if (source === undefined) return again
  const begun = begin(parts, row, from, to, node, node)
  if (begun === undefined) return again
  step.claim(begun.target)
  const target: Precondition = to.over === null ? { kind: 'absent' } : { kind: 'rev', rev: to.over.rev }
  try {
    const entry = await transfer(parts, from, source, begun.place, target, step)
    database.transaction(() => {
      ledger.confirmed(name.id, begun.target, entry, { node: node.id, content: from.content, attrs: node.attrs }, 'copied')
      rows.settled(row.id)
    })
    return again
  } catch (caught) {
    return await afterFailedMove(parts, row, from, source, CloudError.from(caught), step)
  }
}

/** @param time modification time of what will be at the target */
function begin(
  parts: QueueParts,
  row: QueueRow,
  from: RemoteRow,
  to: Destination,
  node: NodeRow,
  time: Pick<NodeRow, 'mtime_s' | 'mtime_n'>,
): { readonly place: RemotePlace; readonly target: number } | undefined {
  const { places, database, ledger, rows, tree } = parts
  return database.transaction(() => {
    if (rows.get(row.id) === undefined) return undefined
    const target = to.over?.id ?? ledger.expect(to.parent, to.name, from.type, node.id, from.size)
    const there = tree.remote(target)
    const place = there === undefined ? undefined : places.placeOfRemote(there)
    if (place === undefined) throw new CloudError('busy', 'the folder is not at the provider')
    rows.sent(row.id, { content: from.content, target, size: from.size, sec: time.mtime_s, nsec: time.mtime_n })
    return { place, target }
  })
}

/** A source that is not there, or not the version that we know, is looked at before anything is said of the target. */
async function afterFailedMove(
  parts: QueueParts,
  row: QueueRow,
  from: RemoteRow,
  source: RemotePlace,
  error: CloudError,
  step: StepContext,
): Promise<StepResult> {
  if (error.kind !== 'not-found' && error.kind !== 'conflict') throw error
  const entry = await parts.connector.stat(source, from.type === 'folder' ? 'folder' : 'file', step.signal)
  const isKnown = entry !== null && (from.type === 'folder' || entry.rev === from.rev)
  if (isKnown) throw error
  parts.database.transaction(() => {
    forgetTry(parts, row.id)
    sourceChanged(parts, from, entry)
    followSource(parts, row, from)
  })
  return again
}

/** Contents that another name of the same node already has at the provider. */
export async function copyStep(
  parts: QueueParts,
  row: QueueRow,
  { name, node }: Situation,
  from: RemoteRow,
  over: RemoteRow | null,
  step: StepContext,
): Promise<StepResult> {
  return copyTo(parts, row, name, node, from, { parent: name.parent, name: name.name, over }, step)
}
