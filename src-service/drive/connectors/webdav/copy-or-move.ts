import { CloudError } from '../../../common/errors.ts'
import type { Precondition, RemotePlace, RemoteType } from '../connector.ts'
import { checkFound } from './conditions.ts'
import type { Conditions } from './conditions.ts'
import type { DavClient } from './dav-client.ts'
import { pathOf } from './dav-place.ts'
import { find, isCoarse, revOf } from './find.ts'
import { explained } from './why.ts'

export interface Transfer {
  readonly method: 'COPY' | 'MOVE'
  readonly from: RemotePlace
  readonly to: RemotePlace
  readonly type: RemoteType
  /** Of the source. */
  readonly precondition: Precondition
  /** What may be replaced; null: nothing. */
  readonly target: Precondition | null
}

/** @throws CloudError `exists`, `conflict`, `not-found` (source, or the folder above the target) */
export async function copyOrMove(client: DavClient, conditions: Conditions, transfer: Transfer, signal: AbortSignal): Promise<void> {
  const { method, from, to, type, precondition, target } = transfer
  const { origin, base } = client.settings
  const as = type === 'folder' ? 'folder' : 'file'
  await conditions.probe(signal)
  if (needsLook(conditions, precondition) || needsLook(conditions, target)) await look(client, transfer, signal)
  else if (target?.kind === 'any') await refuseFolder(client, to, signal)
  const listed = [...versioned(from, precondition), ...versioned(to, target)]
  const headers = {
    ...conditions.ifHeader(listed),
    destination: `${origin}${pathOf(base, to, as)}`,
    overwrite: target === null || target.kind === 'absent' ? 'F' : 'T',
  }
  try {
    await explained(
      client,
      to,
      signal,
      () => client.head({ method, path: pathOf(base, from, as), headers }, signal),
      target === null ? 'exists' : 'is-a-folder',
    )
  } catch (caught) {
    throw await whyNot(client, transfer, CloudError.from(caught), signal)
  }
}

function needsLook(conditions: Conditions, precondition: Precondition | null): boolean {
  return precondition?.kind === 'rev' && (!conditions.areKept || isCoarse(precondition.rev))
}

async function look(client: DavClient, { from, to, precondition, target }: Transfer, signal: AbortSignal): Promise<void> {
  const found = await find(client, from, signal)
  if (!found) throw new CloudError('not-found', 'what is to be moved does not exist')
  checkFound(found, precondition)
  if (target === null) return
  const there = await find(client, to, signal)
  checkFound(there, target)
  if (there?.collection) throw new CloudError('is-a-folder', 'the target is a folder')
}

/** Overwriting a folder removes all that is in it. */
async function refuseFolder(client: DavClient, to: RemotePlace, signal: AbortSignal): Promise<void> {
  if ((await find(client, to, signal))?.collection) throw new CloudError('is-a-folder', 'the target is a folder')
}

function versioned(place: RemotePlace, precondition: Precondition | null): [RemotePlace, string][] {
  return precondition?.kind === 'rev' ? [[place, precondition.rev]] : []
}

/** 412 is the answer to everything: a look says what it was. */
async function whyNot(
  client: DavClient,
  { from, to, precondition, target }: Transfer,
  error: CloudError,
  signal: AbortSignal,
): Promise<CloudError> {
  if (error.kind !== 'conflict' && error.kind !== 'exists' && error.kind !== 'not-found') return error
  const found = await find(client, from, signal)
  if (!found) return new CloudError('not-found', 'what is to be moved does not exist', { cause: error })
  if (precondition.kind === 'rev' && revOf(found) !== precondition.rev)
    return new CloudError('conflict', 'it was changed meanwhile', { cause: error })
  if (target === null && (await find(client, to, signal))) return new CloudError('exists', 'the name is taken', { cause: error })
  return error
}
