import { CloudError } from '../../../common/errors.ts'
import type { PosixAttributes, Precondition, RemotePlace, UploadSource } from '../connector.ts'
import { checkFound } from './conditions.ts'
import type { Conditions } from './conditions.ts'
import { copyOrMove } from './copy-or-move.ts'
import type { DavClient } from './dav-client.ts'
import { pathOf } from './dav-place.ts'
import { find } from './find.ts'
import { newTempName } from './temp-name.ts'
import { explained } from './why.ts'
import { putFile } from './write-file.ts'

/** Beyond this an upload takes so long that somebody else may well change the file meanwhile. Bytes. */
export const largeUpload = 2 ** 20

/** Milliseconds to take away what an upload left that failed. */
const cleanMs = 5_000

/**
 * Sends a large file under a name of its own and then moves it: servers compare versions when an upload begins and replace when it ends, so that only a move has
 * the two together.
 * @throws CloudError `conflict`
 */
export async function putBeside(
  client: DavClient,
  conditions: Conditions,
  place: RemotePlace,
  source: UploadSource,
  posix: PosixAttributes,
  precondition: Precondition,
  signal: AbortSignal,
): Promise<void> {
  checkFound(await find(client, place, signal), precondition)
  const from: RemotePlace = { path: [...place.path.slice(0, -1), newTempName()], id: null, parentId: null }
  const target = precondition.kind === 'absent' ? null : precondition
  try {
    await explained(client, from, signal, () => putFile(client, from, source, posix, {}, signal))
    await copyOrMove(client, conditions, { method: 'MOVE', from, to: place, type: 'file', precondition: { kind: 'any' }, target }, signal)
  } catch (caught) {
    const path = pathOf(client.settings.base, from, 'file')
    await client.head({ method: 'DELETE', path }, AbortSignal.timeout(cleanMs)).catch(() => undefined)
    const error = CloudError.from(caught)
    throw error.kind === 'exists' ? new CloudError('conflict', 'the object was changed meanwhile', { cause: error }) : error
  }
}
