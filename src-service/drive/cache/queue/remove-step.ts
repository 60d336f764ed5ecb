import { CloudError } from '../../../common/errors.ts'
import type { Precondition, RemoteEntry, RemotePlace } from '../../connectors/connector.ts'
import { shownName } from '../places.ts'
import type { RemoteRow } from '../tree.ts'
import { likeness } from './identity.ts'
import { again, mayStillCome, type QueueParts, type StepContext, type StepResult } from './queue-parts.ts'
import { type QueueRow, untilWoken } from './queue-rows.ts'
import { isSameThere } from './transfer.ts'

export type RemovalDecision =
  | { readonly kind: 'drop' }
  | { readonly kind: 'wait'; readonly until: number; readonly reason: string }
  /** Another client's object is in the folder: the folder stays. */
  | { readonly kind: 'keep'; readonly row: RemoteRow; readonly place: RemotePlace }
  | { readonly kind: 'remove'; readonly row: RemoteRow; readonly place: RemotePlace }

/** Milliseconds between two looks whether a file is still open. */
const openWaitMs = 1000
/** Part of the cache that an open file may take which is about to be replaced at the provider. */
const mostKept = 1 / 4

/** What is to be done about an object that no name stands for any more. */
export function decideRemoval(parts: QueueParts, queued: QueueRow): RemovalDecision {
  const { tree, places, rows, ledger } = parts
  const row = queued.remote === null ? undefined : tree.remote(queued.remote)
  if (row === undefined || row.node === 0 || tree.nameOfRemote(row.id) !== undefined) return { kind: 'drop' }
  if (rows.targeting(row.id) !== undefined) return { kind: 'wait', until: untilWoken, reason: 'waits for the upload that replaces it' }
  const place = places.placeOfRemote(row)
  // The folder that it lay in is gone, and it with the folder.
  if (place === undefined) return { kind: 'drop' }
  if (row.type === 'folder') {
    if (ledger.foreignChild(row.node) !== undefined) return { kind: 'keep', row, place }
    if (ledger.hasRemoteChildren(row.node)) return { kind: 'wait', until: untilWoken, reason: 'waits until the folder is empty' }
  } else if (isStillRead(parts, row)) {
    // Nothing tells of the end of what was opened before this process took over.
    return { kind: 'wait', until: parts.clock.now() + openWaitMs, reason: 'is still open here' }
  } else if (queued.sent === 0 && row.content > 0 && !parts.late.mayCome(row.id) && isAboutToBeReplaced(parts, row)) {
    return { kind: 'wait', until: untilWoken, reason: 'is replaced by an upload' }
  }
  return { kind: 'remove', row, place }
}

/**
 * A program has the file open whose last name it removed, and not all of it is here. The object may be a version before the
 * file's own, which changes were made to, or one that a move of unknown outcome went to.
 */
function isStillRead({ tree, contents, mayBeOpen }: QueueParts, row: RemoteRow): boolean {
  if (tree.node(row.node) === undefined || tree.hasName(row.node) || contents.isWhole(row.node)) return false
  return mayBeOpen(row.node)
}

/**
 * Before an object is replaced that a program still has open: what is not here of it is fetched, if that is a small part of
 * the cache. Without room for it what replaces it waits, until others that are uploaded made room or the file is closed.
 * @returns why it is not to be replaced now
 */
export async function keepReadable(parts: QueueParts, over: RemoteRow, step: StepContext): Promise<StepResult | undefined> {
  const { contents, clock } = parts
  if (!isStillRead(parts, over) || over.size > contents.usage().limit * mostKept) return undefined
  try {
    await contents.fetchAll(over.node, step.signal, true)
    return undefined
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'no-space') {
      const reason = 'waits for room in the cache to keep the file that it replaces, which is still open here'
      return { kind: 'wait', until: clock.now() + openWaitMs, reason }
    }
    if (error.kind === 'conflict' || error.kind === 'not-found' || error.kind === 'stale') return undefined
    throw error
  }
}

/** A name of ours is at this place and will overwrite the object: there is no moment without one of both. */
function isAboutToBeReplaced({ tree, rows }: QueueParts, row: RemoteRow): boolean {
  const name = tree.nameIn(row.parent, shownName(row))
  if (name === undefined || rows.ofName(name.id) === undefined) return false
  return (tree.needNode(name.node).mode & 0o170000) !== 0o040000
}

/**
 * Removes an object. If it is not the version that was deleted here, it comes back: an edit wins over a deletion. What a try
 * of unknown outcome may still make is looked for until it cannot come any more.
 */
export async function removeStep(
  parts: QueueParts,
  queued: QueueRow,
  row: RemoteRow,
  place: RemotePlace,
  step: StepContext,
): Promise<StepResult> {
  const { connector, late } = parts
  const { conditionalRemove, conditionalWrite } = connector.capabilities
  const isFolder = row.type === 'folder'
  const unsettled = queued.sent !== 0 || (!isFolder && row.content === 0)
  // What replaces a version that is gone is refused, where the provider checks that.
  let mayCome = unsettled && (isFolder || row.content === 0 || conditionalWrite !== 'server')
  // A removal that was not answered may come too, and would take what is made at the place until then: also where the provider
  // checks the version, for the same bytes may be put there again.
  const mayRemove = late.mayCome(row.id)
  let { rev } = row
  if (!isFolder && (unsettled || conditionalRemove === 'none')) {
    const entry = await connector.stat(place, 'file', step.signal)
    if (entry === null) return gone(parts, row, mayCome || mayRemove)
    if (!(await isOurs(parts, queued, row, place, entry, step.signal))) return comesBack(parts, row, entry)
    mayCome &&= entry.rev === row.rev
    rev = entry.rev
  }
  if (!mayRemove) {
    parts.database.transaction(() => parts.rows.workingOn(queued.id, row.id))
    step.claim(row.id)
  }
  const precondition: Precondition = isFolder ? { kind: 'any' } : { kind: 'rev', rev }
  try {
    await connector.remove(place, row.type, precondition, step.signal)
    return gone(parts, row, mayCome || mayRemove)
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'not-found') return gone(parts, row, mayCome || mayRemove)
    if (error.kind !== 'conflict' && error.kind !== 'not-empty' && error.kind !== 'is-a-folder' && error.kind !== 'not-a-folder')
      throw error
    return lookAgain(parts, queued, row, place, error, step)
  }
}

async function lookAgain(
  parts: QueueParts,
  queued: QueueRow,
  row: RemoteRow,
  place: RemotePlace,
  error: CloudError,
  step: StepContext,
): Promise<StepResult> {
  const entry = await parts.connector.stat(place, row.type === 'folder' ? 'folder' : 'file', step.signal)
  if (entry === null) return gone(parts, row, queued.sent !== 0)
  if (row.type !== 'folder' && (await isOurs(parts, queued, row, place, entry, step.signal)))
    throw new CloudError('unavailable', `the provider refused a removal: ${error.message}`)
  return comesBack(parts, row, entry)
}

/** For a folder with something of another client in it. */
export async function keepFolderStep(parts: QueueParts, row: RemoteRow, place: RemotePlace, step: StepContext): Promise<StepResult> {
  const entry = await parts.connector.stat(place, 'folder', step.signal)
  return entry === null ? gone(parts, row) : comesBack(parts, row, entry)
}

/** The version that was deleted, or what the try of unknown outcome made. */
async function isOurs(
  parts: QueueParts,
  queued: QueueRow,
  row: RemoteRow,
  place: RemotePlace,
  entry: RemoteEntry,
  signal: AbortSignal,
): Promise<boolean> {
  if (row.content > 0 && entry.rev === row.rev) return true
  const like = queued.sent === 0 ? 'no' : likeness(entry, queued, parts.connector)
  return like === 'yes' || (like !== 'no' && (await isCopy(parts, row, place, entry, signal)))
}

/** True if another object of the node has the same bytes. */
async function isCopy(parts: QueueParts, row: RemoteRow, place: RemotePlace, entry: RemoteEntry, signal: AbortSignal): Promise<boolean> {
  const { tree, places, connector } = parts
  for (const other of tree.remotesOf(row.node)) {
    const there = other.id === row.id || other.content === 0 || other.size !== entry.size ? undefined : places.placeOfRemote(other)
    const original = there === undefined ? null : await connector.stat(there, 'file', signal)
    if (there === undefined || original?.rev !== other.rev) continue
    if (await isSameThere(parts, there, original, place, entry, signal)) return true
  }
  return false
}

/** @param mayCome the object is not there, but a try that was not answered may still make it */
function gone({ database, ledger, rows, late }: QueueParts, row: RemoteRow, mayCome = false): StepResult {
  const next = mayCome ? late.nextLook(row.id) : undefined
  if (next !== undefined) return { kind: 'wait', until: next, reason: mayStillCome }
  late.forget(row.id)
  database.transaction(() => {
    if (rows.ofRemote(row.id) !== undefined) ledger.gone(row.id)
  })
  return again
}

function comesBack(parts: QueueParts, row: RemoteRow, entry: RemoteEntry): StepResult {
  parts.database.transaction(() => {
    if (parts.rows.ofRemote(row.id) !== undefined)
      parts.ledger.comesBack(row.id, entry, 'it was changed by another client, so it was not deleted')
  })
  return again
}
