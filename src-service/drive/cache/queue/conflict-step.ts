import { CloudError } from '../../../common/errors.ts'
import type { RemoteEntry, RemotePlace } from '../../connectors/connector.ts'
import { isFile, isFolder, type NameRow, type NodeRow, type RemoteRow } from '../tree.ts'
import { isSame, likeness, statKind } from './identity.ts'
import { again, type QueueParts, type StepContext, type StepResult } from './queue-parts.ts'
import type { QueueRow } from './queue-rows.ts'
import { forgetTry } from './upload-step.ts'

const openWait = 5000

/**
 * Something else stands where a name of ours is to be, or its object is not the version that we changed. Asks what it is:
 * the same contents are simply confirmed; a newer version of something that we did not change is taken over; else both live on.
 */
export async function conflictStep(parts: QueueParts, row: QueueRow, step: StepContext): Promise<StepResult> {
  const { tree, places, connector, database } = parts
  const name = row.name === null ? undefined : tree.nameById(row.name)
  const place = name === undefined ? undefined : places.placeFor(name.parent, rawName(parts, name))
  if (name === undefined || place === undefined) return again
  const node = tree.needNode(name.node)
  const entry = await connector.stat(place, statKind(node.mode, connector), step.signal)
  const same = entry !== null && (await isOurs(parts, row, node, place, entry, step.signal))
  const result = database.transaction(() => settle(parts, row, name, node, entry, same))
  // A folder that another client made too may have things in it that are not known here.
  if (same && isFolder(node.mode)) await parts.listings.refresh(node.id, step.signal).catch(() => undefined)
  return result
}

/** The provider's name for what is at the name's place. */
function rawName(parts: QueueParts, name: NameRow): Buffer {
  const own = name.remote === null ? undefined : parts.tree.remote(name.remote)
  return own?.parent === name.parent && own.shown?.equals(name.name) === true ? own.name : name.name
}

async function isOurs(
  parts: QueueParts,
  row: QueueRow,
  node: NodeRow,
  place: RemotePlace,
  entry: RemoteEntry,
  signal: AbortSignal,
): Promise<boolean> {
  const { connector, contents } = parts
  const now = parts.rows.get(row.id) ?? row
  const sent = isFile(node.mode) && now.sent === node.content ? likeness(entry, now, connector) : 'no'
  if (sent === 'yes') return true
  // Bytes that are not all here cannot be compared, and were not sent either.
  if (isFile(node.mode) && !contents.isWhole(node.id)) return false
  return isSame(parts, node, place, entry, signal, sent === 'time' ? Infinity : undefined)
}

function settle(parts: QueueParts, row: QueueRow, name: NameRow, compared: NodeRow, entry: RemoteEntry | null, same: boolean): StepResult {
  const { tree, ledger, rows } = parts
  const now = tree.nameById(name.id)
  const node = tree.node(compared.id)
  if (rows.get(row.id) === undefined || now === undefined || node === undefined) return again
  if (now.parent !== name.parent || !now.name.equals(name.name) || now.remote !== name.remote || node.content !== compared.content)
    return again
  const own = now.remote === null ? undefined : tree.remote(now.remote)
  const isHere = own?.parent === now.parent && own.name.equals(rawName(parts, now))
  const unchanged = own !== undefined && isHere && node.content === own.content && !isFolder(node.mode)
  if (unchanged && parts.contents.writerCount(node.id) > 0 && entry?.rev !== own.rev) {
    return { kind: 'wait', until: parts.clock.now() + openWait, reason: 'changed at the provider while it is open here' }
  }
  forgetTry(parts, row.id)
  if (entry === null && unchanged) {
    parts.takeIn.remove(now, own)
    return again
  }
  if (entry === null) {
    forgetPlace(parts, now, rawName(parts, now), statKind(node.mode, parts.connector))
    return again
  }
  if (own !== undefined && isHere && own.rev === entry.rev && own.type === entry.type) {
    throw new CloudError('unavailable', 'the provider refused a change that nothing stands against')
  }
  const there = tree.remoteAt(now.parent, entry.name, entry.type === 'folder')
  const holder = there === undefined ? undefined : tree.nameOfRemote(there.id)
  const isFree = holder === undefined || holder.id === now.id
  // Of another name of ours, which is on its way elsewhere: no conflict, but a wait.
  if (!isFree && rows.ofName(holder.id) !== undefined) return again
  if (same && isFree && !(isFolder(node.mode) && own !== undefined)) {
    const target = there?.id
    const row = target ?? ledger.expect(now.parent, entry.name, entry.type, node.id, entry.size)
    ledger.confirmed(now.id, row, entry, { node: node.id, content: node.content, attrs: 1 }, 'sent')
  } else if (unchanged) {
    takeOver(parts, now, own, entry)
  } else {
    ledger.keepBoth(now, entry, 'another client changed the same name')
  }
  return again
}

/** We did not change the contents: the provider's version is simply newer. */
function takeOver({ takeIn }: QueueParts, name: NameRow, own: RemoteRow, entry: RemoteEntry): void {
  if (entry.type !== 'folder') {
    takeIn.newVersion(name, own, entry)
    return
  }
  takeIn.remove(name, own)
  takeIn.entry(name.parent, entry, { complete: true, tell: true })
}

/** Surely nothing stands there: what we knew of the place is gone. */
function forgetPlace(parts: QueueParts, name: NameRow, raw: Buffer, kind: 'file' | 'folder' | 'any'): void {
  const { tree, ledger, rows, takeIn } = parts
  for (const folder of [false, true]) {
    if (kind === (folder ? 'file' : 'folder')) continue
    const there = tree.remoteAt(name.parent, raw, folder)
    if (there === undefined) continue
    const ours = there.id === name.remote
    const holder = tree.nameOfRemote(there.id)
    if (there.node === 0 || ours || rows.ofRemote(there.id) !== undefined) ledger.gone(there.id)
    // Another client's, shown under another name because a folder has this one, and removed by that client since.
    else if (!folder && holder !== undefined && !takeIn.isBusy(holder)) takeIn.remove(holder, there)
  }
}
