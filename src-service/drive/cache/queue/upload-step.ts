import { CloudError } from '../../../common/errors.ts'
import type { Precondition, RemoteEntry, RemotePlace, UploadSource } from '../../connectors/connector.ts'
import { isFile, type NodeRow, type RemoteRow, remoteTypeOf } from '../tree.ts'
import { baseGoneStep } from './base-gone-step.ts'
import { isInPlace, type Situation } from './decide.ts'
import { packHandle, posixOf, statKind, unpackHandle } from './identity.ts'
import { again, type QueueParts, type StepContext, type StepResult } from './queue-parts.ts'
import type { QueueRow } from './queue-rows.ts'

/** After a WRITE stopped an upload, the next try waits for this much quiet. */
const quietAfterOvertaken = 5000

type Source = UploadSource & { readonly content: number; close(): void }

/** Sends one generation of a file (or the facts of a link or special node) to the name's place. */
export async function uploadStep(
  parts: QueueParts,
  row: QueueRow,
  situation: Situation,
  over: RemoteRow | null,
  step: StepContext,
): Promise<StepResult> {
  const source = await openSource(parts, situation.node, step.signal)
  if (source === undefined) return baseGoneStep(parts, row, situation, step)
  // Without its last byte nothing can have been completed. Those of a session may be there from an earlier try.
  const outcome = { overtaken: false, mayBeWhole: source.size === 0 || row.handle !== null }
  let session: string | null = null
  const watched: UploadSource = {
    size: source.size,
    read: async (start, end, signal) => {
      if (step.isUnwanted()) throw new CloudError('cancelled', 'the file was removed')
      outcome.mayBeWhole ||= end === source.size
      try {
        return await source.read(start, end, signal)
      } catch (caught) {
        if (CloudError.from(caught).kind === 'cancelled' && !signal.aborted) outcome.overtaken = true
        throw caught
      }
    },
  }
  let sending: Sending | undefined
  try {
    sending = begin(parts, row, source, over)
    if (sending === undefined) return again
    step.claim(sending.target)
    const entry = await send(parts, row, sending, watched, step, (packed) => {
      session = packed
    })
    if (isFile(sending.node.mode) && entry.size !== source.size) {
      throw new CloudError('garbage', `the provider confirmed ${entry.size} of ${source.size} bytes`)
    }
    finish(parts, row, sending, entry)
    return again
  } catch (caught) {
    abandonIfUnwanted(parts, row, session)
    if (sending !== undefined && !outcome.mayBeWhole) parts.late.answered(sending.target)
    if (!outcome.overtaken) throw caught
    // The source gave up before its last byte, so nothing can have been completed.
    parts.database.transaction(() => forgetTry(parts, row.id))
    parts.quiet.overtaken(situation.node.id)
    const quiet = parts.quiet.isUrgent(situation.node.id) ? 0 : quietAfterOvertaken
    return { kind: 'wait', until: parts.clock.now() + quiet, reason: 'written to during the upload' }
  } finally {
    source.close()
  }
}

interface Sending {
  readonly name: number
  readonly node: NodeRow
  readonly content: number
  readonly place: RemotePlace
  readonly target: number
  readonly precondition: Precondition
}

/** undefined if bytes are missing here that the provider does not have any more. */
async function openSource(parts: QueueParts, node: NodeRow, signal: AbortSignal): Promise<Source | undefined> {
  const { contents, places } = parts
  if (!isFile(node.mode)) {
    return { content: node.content, size: 0, read: () => Promise.resolve(Buffer.alloc(0)), close: () => undefined }
  }
  if (!contents.isWhole(node.id) && places.placeOfNode(node.id) === undefined) return undefined
  try {
    if (!contents.isWhole(node.id)) await contents.fetchAll(node.id, signal, true)
    return await contents.source(node.id, { snapshot: parts.quiet.needsSnapshot(node.id) })
  } catch (caught) {
    const { kind } = CloudError.from(caught)
    if (kind === 'conflict' || kind === 'not-found') return undefined
    throw caught
  }
}

/** Looks at the rows once more and writes down what is about to be sent; undefined if it is not to be sent any more. */
function begin(parts: QueueParts, row: QueueRow, source: Source, over: RemoteRow | null): Sending | undefined {
  const { tree, database, contents, places, ledger, rows } = parts
  return database.transaction(() => {
    const now = rows.get(row.id)
    const name = now?.name == null ? undefined : tree.nameById(now.name)
    if (now === undefined || name === undefined || now.sent !== 0) return undefined
    if (isFile(tree.needNode(name.node).mode)) contents.settle(name.node)
    const node = tree.needNode(name.node)
    const before = over === null ? undefined : tree.remote(over.id)
    const stillThere = before !== undefined && before.rev === over?.rev && isInPlace(name, before)
    if (over !== null && !stillThere) return undefined
    const target = before?.id ?? ledger.expect(name.parent, name.name, remoteTypeOf(node.mode), node.id, source.size)
    const there = tree.remote(target)
    const place = there === undefined ? undefined : places.placeOfRemote(there)
    if (place === undefined) throw new CloudError('busy', 'the folder is not at the provider')
    rows.sent(row.id, { content: source.content, target, size: source.size, sec: node.mtime_s, nsec: node.mtime_n })
    const session = now.handle === null ? null : unpackHandle(now.handle)
    if (session !== null && !session.fits(source.content, place)) {
      rows.abandon(session.handle)
      rows.setHandle(row.id, null)
    }
    const precondition: Precondition = before === undefined ? { kind: 'absent' } : { kind: 'rev', rev: before.rev }
    return { name: name.id, node, content: source.content, place, target, precondition }
  })
}

async function send(
  parts: QueueParts,
  row: QueueRow,
  sending: Sending,
  source: UploadSource,
  step: StepContext,
  onSession: (packed: string) => void,
): Promise<RemoteEntry> {
  const { connector, database, rows } = parts
  const { node, place, precondition, content } = sending
  await checkFirst(parts, sending, step.signal)
  const stored = rows.get(row.id)?.handle ?? null
  return connector.write(
    place,
    remoteTypeOf(node.mode),
    source,
    {
      precondition,
      posix: posixOf(node, xattrsOf(parts, node.id)),
      resume: stored === null ? null : unpackHandle(stored).handle,
      saveHandle: async (handle) => {
        const packed = packHandle(content, place, handle)
        onSession(packed)
        if (rows.get(row.id)?.handle !== packed) database.transaction(() => rows.setHandle(row.id, packed))
        await Promise.resolve()
      },
      onProgress: step.progress,
    },
    step.signal,
  )
}

/** The name went away while its upload ran: nobody goes on with the session. */
function abandonIfUnwanted({ rows, database }: QueueParts, row: QueueRow, session: string | null): void {
  if (session === null || rows.get(row.id) !== undefined) return
  const { handle } = unpackHandle(session)
  database.transaction(() => rows.abandon(handle))
}

/** For a provider that checks no conditions we look just before; a window stays, and its capability sheet says so. */
async function checkFirst(parts: QueueParts, { place, precondition, node }: Sending, signal: AbortSignal): Promise<void> {
  if (parts.connector.capabilities.conditionalWrite !== 'none') return
  const there = await parts.connector.stat(place, statKind(node.mode, parts.connector), signal)
  const met = precondition.kind === 'rev' ? there?.rev === precondition.rev : there === null
  if (!met) throw new CloudError('conflict', 'the provider has another version')
}

function finish(parts: QueueParts, row: QueueRow, sending: Sending, entry: RemoteEntry): void {
  const { database, ledger, quiet } = parts
  database.transaction(() => {
    ledger.confirmed(
      sending.name,
      sending.target,
      entry,
      { node: sending.node.id, content: sending.content, attrs: sending.node.attrs },
      'sent',
    )
    forgetTry(parts, row.id)
    parts.rows.setHandle(row.id, null)
    parts.rows.progressed(row.id)
  })
  quiet.uploaded(sending.node.id)
}

/** The outcome of the last try is known: an object that it was to make, and did not, is not expected any more. */
export function forgetTry(parts: QueueParts, id: number): void {
  const { tree, rows } = parts
  const row = rows.get(id)
  if (row === undefined) return
  const target = row.target === null ? undefined : tree.remote(row.target)
  if (target?.content === 0 && target.node !== 0) {
    rows.spare(target.id)
    tree.deleteRemote(target.id)
  }
  rows.settled(id)
}

function xattrsOf(parts: QueueParts, node: number): ReadonlyMap<string, Buffer> | undefined {
  if (!parts.settings.xattrs || !parts.connector.capabilities.posix.xattrs) return undefined
  const found = parts.database.sql
    .prepare<[number], { name: Buffer; value: Buffer }>('SELECT name, value FROM xattr WHERE node = ?')
    .all(node)
  return new Map(found.map((one) => [one.name.toString(), one.value]))
}
