/** Servers say 400, 405, 409 or 500 where a parent is missing or a name is taken: a look says which it is. */
import { CloudError } from '../../../common/errors.ts'
import type { RemotePlace } from '../connector.ts'
import type { DavClient } from './dav-client.ts'
import { find } from './find.ts'

const unclear: ReadonlySet<string | undefined> = new Set(['400', '403', '404', '405', '409', '500'])

/**
 * Runs a change that makes `place`. @throws CloudError `not-found` where the folder above is missing, `is-a-folder` (or `exists`, as told)
 * where the name is taken; else what `run` throws
 */
export async function explained<T>(
  client: DavClient,
  place: RemotePlace,
  signal: AbortSignal,
  run: () => Promise<T>,
  taken: 'is-a-folder' | 'exists' = 'is-a-folder',
): Promise<T> {
  try {
    return await run()
  } catch (caught) {
    const error = CloudError.from(caught)
    if (!unclear.has(error.code)) throw error
    throw (await reason(client, place, signal, taken, error)) ?? error
  }
}

async function reason(
  client: DavClient,
  place: RemotePlace,
  signal: AbortSignal,
  taken: 'is-a-folder' | 'exists',
  cause: CloudError,
): Promise<CloudError | null> {
  const found = await find(client, place, signal)
  if (found) return taken === 'exists' || found.collection ? new CloudError(taken, 'the name is taken', { cause }) : null
  const parent = await find(client, { path: place.path.slice(0, -1), id: null, parentId: null }, signal)
  if (!parent) return new CloudError('not-found', 'the folder above does not exist', { cause })
  return parent.collection ? null : new CloudError('not-a-folder', 'what is above is not a folder', { cause })
}
