import { CloudError } from '../../../common/errors.ts'
import type { RemoteEntry, RemotePlace } from '../../connectors/connector.ts'
import { isFile, isFolder, type RemoteRow } from '../tree.ts'
import { isSame, type Likeness, likeness } from './identity.ts'
import { again, mayStillCome, type QueueParts, type StepContext, type StepResult } from './queue-parts.ts'
import type { QueueRow } from './queue-rows.ts'
import { isSameThere } from './transfer.ts'
import { forgetTry } from './upload-step.ts'

/**
 * The answer to the last change was lost, or the process died before it came: looks what there is, before anything is
 * repeated. Found as sent: confirmed. Not there, or still the version before, for as long as a request may take: not done.
 * Anything else is another client's.
 */
export async function probeStep(parts: QueueParts, row: QueueRow, step: StepContext): Promise<StepResult> {
  const { tree, places, connector, database } = parts
  const target = row.target === null ? undefined : tree.remote(row.target)
  const place = target === undefined ? undefined : places.placeOfRemote(target)
  if (target === undefined || place === undefined) {
    database.transaction(() => forgetTry(parts, row.id))
    return again
  }
  const entry = await connector.stat(place, target.type === 'folder' ? 'folder' : 'file', step.signal)
  const verdict = await judge(parts, row, target, entry, step.signal)
  const next = verdict === 'not-done' ? parts.late.nextLook(target.id) : undefined
  if (next !== undefined) return { kind: 'wait', until: next, reason: mayStillCome }
  parts.late.forget(target.id)
  database.transaction(() => {
    const now = parts.rows.get(row.id)
    const current = tree.remote(target.id)
    if (now === undefined || now.sent !== row.sent || now.target !== row.target || current === undefined || current.rev !== target.rev)
      return
    write(parts, now, current, entry, verdict)
    // What lies below a folder waited for this.
    if (target.type === 'folder') parts.rows.wakeAll()
  })
  return again
}

type Verdict = 'ours' | 'not-done' | 'theirs'

async function judge(
  parts: QueueParts,
  row: QueueRow,
  target: RemoteRow,
  entry: RemoteEntry | null,
  signal: AbortSignal,
): Promise<Verdict> {
  if (entry === null) return 'not-done'
  if (target.type === 'folder') return judgeFolder(parts, row, signal)
  const { tree, contents, connector, places } = parts
  const name = row.name === null ? undefined : tree.nameById(row.name)
  const from = name?.remote == null ? undefined : tree.remote(name.remote)
  if (target.content > 0 && entry.rev === target.rev) {
    const isMoveOfTheSame = from !== undefined && from.id !== target.id && from.rev === target.rev && from.type === 'file'
    return isMoveOfTheSame && (await isGone(parts, from, signal)) ? 'ours' : 'not-done'
  }
  const known = likeness(entry, row, connector)
  if (known === 'yes') return 'ours'
  const node = name === undefined ? undefined : tree.node(name.node)
  const place = places.placeOfRemote(target)
  if (node === undefined || place === undefined) return 'theirs'
  if (node.content === row.sent && (!isFile(node.mode) || contents.isWhole(node.id))) {
    const same = await isSame(parts, node, place, entry, signal, known === 'time' ? Infinity : undefined)
    if (same) return 'ours'
  }
  const isMove = from !== undefined && from.id !== target.id && from.content === row.sent
  return isMove && (await hasArrived(parts, from, place, entry, known, signal)) ? 'ours' : 'theirs'
}

/** What went onto the same bytes is there if it is not at its old place any more: the version tells nothing. */
async function isGone(parts: QueueParts, from: RemoteRow, signal: AbortSignal): Promise<boolean> {
  const place = parts.places.placeOfRemote(from)
  return place !== undefined && (await parts.connector.stat(place, 'file', signal)) === null
}

/** The object of a move or copy, not all of which is here: the same version, the same bytes, or the only one left of the two. */
async function hasArrived(
  parts: QueueParts,
  from: RemoteRow,
  place: RemotePlace,
  entry: RemoteEntry,
  known: Likeness,
  signal: AbortSignal,
): Promise<boolean> {
  if (entry.type !== from.type || entry.size !== from.size) return false
  if (entry.rev === from.rev) return true
  const source = parts.places.placeOfRemote(from)
  const original = source === undefined ? null : await parts.connector.stat(source, 'file', signal)
  if (source !== undefined && original?.rev === from.rev) return isSameThere(parts, source, original, place, entry, signal)
  return known === 'time' && parts.connector.capabilities.move !== 'none'
}

/** A folder that was on its way is there, and not any more where it came from: it arrived. */
async function judgeFolder(parts: QueueParts, row: QueueRow, signal: AbortSignal): Promise<Verdict> {
  const { tree, places, connector } = parts
  const name = row.name === null ? undefined : tree.nameById(row.name)
  const from = name?.remote == null ? undefined : tree.remote(name.remote)
  const place = from === undefined ? undefined : places.placeOfRemote(from)
  if (place === undefined) return 'theirs'
  return (await connector.stat(place, 'folder', signal)) === null ? 'ours' : 'theirs'
}

function write(parts: QueueParts, row: QueueRow, target: RemoteRow, entry: RemoteEntry | null, verdict: Verdict): void {
  const { ledger, rows } = parts
  switch (verdict) {
    case 'not-done':
      forgetTry(parts, row.id)
      // The version that was to be replaced is gone: what is sent next is new.
      if (entry === null && target.content > 0) ledger.gone(target.id)
      return
    case 'theirs':
      if (entry !== null && target.content === 0) ledger.theirs(target.id, entry)
      rows.settled(row.id)
      return
    case 'ours':
      if (entry === null) throw new CloudError('internal', 'nothing was found, and yet it is ours')
      if (target.type === 'folder') folderArrived(parts, row, target, entry)
      else confirmTry(parts, row, target, entry)
      rows.settled(row.id)
  }
}

function confirmTry({ ledger, tree, rows, takeIn }: QueueParts, row: QueueRow, target: RemoteRow, entry: RemoteEntry): void {
  const name = row.name === null ? undefined : tree.nameById(row.name)
  if (name === undefined) return
  // After a power loss older bytes may stand here than the provider has: its version is newer than ours.
  if (name.remote === target.id && target.content >= row.sent) {
    takeIn.newVersion(name, target, entry)
    return
  }
  const from = name.remote === null || name.remote === target.id ? undefined : tree.remote(name.remote)
  const how = from?.content === row.sent ? 'copied' : 'sent'
  ledger.confirmed(name.id, target.id, entry, { node: name.node, content: row.sent, attrs: 1 }, how)
  rows.setHandle(row.id, null)
}

function folderArrived({ ledger, tree, places }: QueueParts, row: QueueRow, target: RemoteRow, entry: RemoteEntry): void {
  const name = row.name === null ? undefined : tree.nameById(row.name)
  if (name?.remote == null || !isFolder(tree.needNode(name.node).mode)) return
  places.folderMoves()
  ledger.moved(name.remote, { parent: target.parent }, entry, target.id)
}
