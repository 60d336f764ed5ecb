import { CloudError } from '../../../common/errors.ts'
import type { RemoteEntry, RemotePlace } from '../../connectors/connector.ts'
import { timeOf } from '../remote-facts.ts'
import { modeTypeOf, type NameRow, type NodeRow, type RemoteRow } from '../tree.ts'
import type { Decision, Situation } from './decide.ts'
import type { Destination } from './destination.ts'
import { likeness, posixOf, statKind } from './identity.ts'
import { tryOf } from './ledger.ts'
import { ghostNode } from './ghost-node.ts'
import { again, type QueueParts, type StepContext, type StepResult } from './queue-parts.ts'
import type { QueueRow } from './queue-rows.ts'
import { sourceChanged } from './source-changed.ts'
import { isSwapName } from './swap-name.ts'
import { switchFolders } from './switch-folders.ts'
import { isSameThere, transfer } from './transfer.ts'

const copiesAtOnce = 4
const copiesAhead = 128

/**
 * Moves a folder where the provider cannot: copies everything known below it, then lets the names change sides in one
 * transaction, then leaves the old objects to the queue to remove. The copies are rows below a folder node of their own
 * (`ghost`) until then, so that a crash at any point goes on from there. Nothing is removed before its copy is confirmed.
 */
export async function copyFolder(
  parts: QueueParts,
  row: QueueRow,
  name: NameRow,
  from: RemoteRow,
  to: Destination,
  step: StepContext,
): Promise<StepResult> {
  if (!(await isListed(parts, from, step))) return again
  const ghost = await target(parts, row, name, to, step)
  if (ghost === undefined) return again
  const skipped = new Set<number>()
  for (;;) {
    step.signal.throwIfAborted()
    if (parts.rows.get(row.id) === undefined) return again
    if (parts.tree.remote(ghost.id) === undefined) {
      parts.database.transaction(() => parts.rows.settled(row.id))
      return again
    }
    const missing = findMissing(parts, from.node, ghost.node, skipped)
    if (missing.length === 0) {
      switchFolders(parts, row.id, from.id, ghost.id)
      return again
    }
    await copyAll(parts, missing, skipped, step)
  }
}

/** The copy of a folder that was begun is for a place where the folder is not to go any more. */
export function isCopyingElsewhere({ tree }: QueueParts, row: QueueRow, { name }: Situation, decision: Decision): boolean {
  const target = row.target === null || row.sent !== 0 ? undefined : tree.remote(row.target)
  if (target === undefined) return false
  if (decision.kind === 'move-aside') return !isSwapName(target.name)
  return target.parent !== name.parent || !target.name.equals(name.name)
}

/** False if it turned out that the folder is not there any more. */
async function isListed(parts: QueueParts, from: RemoteRow, step: StepContext): Promise<boolean> {
  try {
    await listBelow(parts, from.node, step)
    return true
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind !== 'unavailable' && error.kind !== 'stale') throw error
    const place = parts.places.placeOfRemote(from)
    const entry = place === undefined ? null : await parts.connector.stat(place, 'folder', step.signal)
    if (entry !== null) throw error
    parts.database.transaction(() => {
      sourceChanged(parts, from, null)
    })
    return false
  }
}

/** What was never listed would be left behind. */
async function listBelow(parts: QueueParts, folder: number, step: StepContext): Promise<void> {
  const { tree, listings } = parts
  for (const pending = [folder]; ; ) {
    const next = pending.pop()
    if (next === undefined) return
    if (tree.node(next)?.listed_at === 0) await listings.refresh(next, step.signal)
    for (const row of tree.remotesIn(next)) {
      if (row.type === 'folder' && row.node !== 0 && tree.nameOfRemote(row.id) !== undefined) pending.push(row.node)
    }
  }
}

/** The row of the folder that is copied to, made at the provider; undefined if another client's folder stands there. */
async function target(parts: QueueParts, row: QueueRow, name: NameRow, to: Destination, step: StepContext): Promise<RemoteRow | undefined> {
  const { tree, database, places, ledger, rows } = parts
  const before = row.target === null ? undefined : tree.remote(row.target)
  if (before !== undefined && before.content > 0) {
    step.claim(before.id)
    return before
  }
  const id =
    before?.id ??
    database.transaction(() => {
      const made = ledger.expect(to.parent, to.name, 'folder', ghostNode(tree), 0)
      rows.workingOn(row.id, made)
      return made
    })
  step.claim(id)
  const expected = tree.remote(id)
  const place = expected === undefined ? undefined : places.placeOfRemote(expected)
  if (expected === undefined || place === undefined) throw new CloudError('busy', 'the folder is not at the provider')
  const entry = await makeFolder(parts, place, posixOf(tree.needNode(name.node)), step)
  return database.transaction(() => {
    const now = tree.remote(id)
    if (now === undefined) return undefined
    if (entry.joined && !entry.empty) {
      rows.settled(row.id)
      if (entry.entry.type === 'folder') {
        ledger.theirs(id, entry.entry)
      } else {
        tree.deleteRemote(id)
        ledger.found(now.parent, entry.entry)
      }
      return undefined
    }
    tree.updateRemote({ ...now, rev: entry.entry.rev, key: entry.entry.id, content: 1, attrs: 1 })
    return tree.remote(id)
  })
}

interface MadeFolder {
  readonly entry: RemoteEntry
  /** It was there already: made by a try whose answer was lost, or by another client. */
  readonly joined: boolean
  readonly empty: boolean
}

async function makeFolder(
  { connector }: QueueParts,
  place: RemotePlace,
  posix: ReturnType<typeof posixOf>,
  step: StepContext,
): Promise<MadeFolder> {
  try {
    return { entry: await connector.makeFolder(place, posix, step.signal), joined: false, empty: true }
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind !== 'exists') throw error
    const entry = await connector.stat(place, statKind(modeTypeOf('folder'), connector), step.signal)
    if (entry === null) throw error
    if (entry.type !== 'folder') return { entry, joined: true, empty: false }
    for await (const page of connector.list(place, step.signal)) {
      if (page.entries.length + page.hidden.length > 0) return { entry, joined: true, empty: false }
    }
    return { entry, joined: true, empty: true }
  }
}

interface Missing {
  readonly source: RemoteRow
  /** Node of the ghost folder that it belongs into. */
  readonly folder: number
  /** A copy of an older version that is to be replaced, or (content 0) one that may have been made. */
  readonly over: RemoteRow | undefined
}

/** Some of what is still to be copied. Synchronous, so that "nothing" holds for the transaction that follows. */
function findMissing({ database, tree }: QueueParts, from: number, ghost: number, skipped: ReadonlySet<number>): Missing[] {
  const uncopied = database.sql.prepare<{ from: number; ghost: number; most: number }, RemoteRow>(
    `SELECT source.* FROM remote source WHERE parent = @from AND node <> 0 AND content > 0
     AND NOT EXISTS (SELECT 1 FROM queue WHERE queue.remote = source.id)
     AND NOT EXISTS (
       SELECT 1 FROM remote copy WHERE copy.parent = @ghost AND copy.name = source.name AND (copy.type = 'folder') = (source.type = 'folder')
       AND copy.content > 0 AND (copy.type = 'folder' OR (copy.node = source.node AND copy.content = source.content)))
     LIMIT @most`,
  )
  const subfolders = database.sql.prepare<{ from: number; ghost: number }, { from: number; ghost: number }>(
    `SELECT source.node AS "from", copy.node AS ghost FROM remote source
     JOIN remote copy ON copy.parent = @ghost AND copy.name = source.name AND copy.type = 'folder' AND copy.content > 0
     WHERE source.parent = @from AND source.type = 'folder' AND source.node <> 0`,
  )
  const missing: Missing[] = []
  for (const pending = [{ from, ghost }]; missing.length < copiesAhead; ) {
    const pair = pending.pop()
    if (pair === undefined) break
    const rows = uncopied.all({ ...pair, most: copiesAhead + skipped.size })
    for (const source of rows) {
      if (skipped.has(source.id)) continue
      missing.push({ source, folder: pair.ghost, over: tree.remoteAt(pair.ghost, source.name, source.type === 'folder') })
    }
    pending.push(...subfolders.all(pair))
  }
  return missing
}

async function copyAll(parts: QueueParts, missing: readonly Missing[], skipped: Set<number>, step: StepContext): Promise<void> {
  const waiting = [...missing]
  const worker = async (): Promise<void> => {
    for (let one = waiting.shift(); one !== undefined; one = waiting.shift()) {
      try {
        await copyOne(parts, one, step)
      } catch (caught) {
        const error = CloudError.from(caught)
        if (error.kind === 'not-found') await lostGhost(parts, one.folder, error, step)
        // Another client's object is in the way. What could not be copied keeps its old object, and finds its own way from there.
        else if (error.kind === 'conflict' || error.kind === 'exists' || error.kind === 'is-a-folder') skipped.add(one.source.id)
        else throw error
      }
    }
  }
  const outcomes = await Promise.allSettled(Array.from({ length: copiesAtOnce }, worker))
  for (const outcome of outcomes) if (outcome.status === 'rejected') throw CloudError.from(outcome.reason)
}

/** A row says what is about to be made before it is asked for: whatever happens then, it is known and can be removed. */
async function copyOne(parts: QueueParts, { source, folder, over }: Missing, step: StepContext): Promise<void> {
  const { places, tree, database } = parts
  step.signal.throwIfAborted()
  const from = places.placeOfRemote(source)
  const to = places.placeFor(folder, source.name)
  if (from === undefined || to === undefined) throw new CloudError('busy', 'a folder above is not at the provider')
  const node = tree.node(source.node)
  const target = database.transaction(() => expectCopy(parts, folder, source, node, over))
  if (source.type === 'folder') {
    const { entry } = await makeFolder(parts, to, node === undefined ? {} : posixOf(node), step)
    if (entry.type !== 'folder') {
      forgetCopy(parts, target)
      throw new CloudError('exists', 'a file of another client has the name')
    }
    database.transaction(() => record(parts, target, source, entry, undefined, 1))
    return
  }
  let entry
  try {
    const precondition =
      over === undefined || over.content === 0 ? ({ kind: 'absent' } as const) : ({ kind: 'rev', rev: over.rev } as const)
    entry = await transfer(parts, source, from, to, precondition, step)
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind !== 'conflict' && error.kind !== 'exists' && error.kind !== 'not-found') throw error
    const found = await lookAtBoth(parts, source, from, to, { target, over, error }, step)
    if (found === undefined) return
    entry = found
  }
  database.transaction(() => record(parts, target, source, entry, source.node, node?.attrs ?? source.attrs))
}

/** The row of a copy that is about to be made; one that is to be replaced stays as it is until it is. */
function expectCopy(parts: QueueParts, folder: number, source: RemoteRow, node: NodeRow | undefined, over: RemoteRow | undefined): number {
  const { tree, ledger } = parts
  if (over !== undefined && over.content > 0) return over.id
  const id = over?.id ?? ledger.expect(folder, source.name, source.type, ghostNode(tree), 0)
  const row = tree.remote(id)
  if (row === undefined) throw new CloudError('busy', 'the folder that is copied to went away')
  // By its size and time a copy is known again.
  const { mtime_s, mtime_n } = node ?? source
  if (source.type !== 'folder') tree.updateRemote({ ...row, size: source.size, node: source.node, mtime_s, mtime_n })
  return id
}

/** Another client's object has the place, so nothing of ours was made there. */
function forgetCopy({ tree, database, rows }: QueueParts, target: number): void {
  database.transaction(() => {
    if (tree.remote(target)?.content !== 0) return
    rows.spare(target)
    tree.deleteRemote(target)
  })
}

/** The folder that is copied to is not found. If it is surely gone, so are the copies in it: they are made again. */
async function lostGhost(parts: QueueParts, folder: number, error: CloudError, step: StepContext): Promise<void> {
  const { places, connector, tree, database } = parts
  const row = places.folderRow(folder)
  const place = row === undefined ? undefined : places.placeOfRemote(row)
  if (row === undefined || place === undefined) return
  if ((await connector.stat(place, 'folder', step.signal)) !== null) throw new CloudError('unavailable', error.message, { cause: error })
  const forget = (gone: RemoteRow): void => {
    if (gone.type === 'folder') for (const child of tree.remotesIn(gone.node)) forget(child)
    tree.deleteRemote(gone.id)
  }
  database.transaction(() => {
    forget(row)
  })
}

interface Refused {
  readonly target: number
  readonly over: RemoteRow | undefined
  readonly error: CloudError
}

/** A copy failed: was it done by a try whose answer was lost, or is the source another version by now? */
async function lookAtBoth(
  parts: QueueParts,
  source: RemoteRow,
  from: RemotePlace,
  to: RemotePlace,
  { target, over, error }: Refused,
  step: StepContext,
): Promise<RemoteEntry | undefined> {
  const { connector, database } = parts
  const original = await connector.stat(from, 'file', step.signal)
  if (original === null || original.rev !== source.rev) {
    database.transaction(() => {
      sourceChanged(parts, source, original)
    })
    return undefined
  }
  const copy = await connector.stat(to, statKind(modeTypeOf(source.type), connector), step.signal)
  if (copy === null) throw error
  if (copy.size === original.size && copy.type === original.type) {
    if (copy.rev === original.rev || (await isSameThere(parts, from, original, to, copy, step.signal))) return copy
  }
  if (over?.content === 0 && likeness(copy, tryOf(over), connector) === 'yes') {
    // Of a version before this one: it is replaced next.
    database.transaction(() => record(parts, target, source, copy, undefined, 1))
    return undefined
  }
  forgetCopy(parts, target)
  throw error
}

/** @param node whose bytes the object has; undefined if of none that a name may stand for */
function record(
  { tree }: QueueParts,
  target: number,
  source: RemoteRow,
  entry: RemoteEntry,
  node: number | undefined,
  attrs: number,
): void {
  const row = tree.remote(target)
  if (row === undefined) return
  const mtime = timeOf(entry)
  tree.updateRemote({
    ...row,
    shown: source.shown,
    key: entry.id,
    size: entry.size,
    mtime_s: mtime.sec,
    mtime_n: mtime.nsec,
    rev: entry.rev,
    node: node ?? (row.type === 'folder' ? row.node : ghostNode(tree)),
    content: node === undefined ? 1 : source.content,
    attrs,
  })
}
