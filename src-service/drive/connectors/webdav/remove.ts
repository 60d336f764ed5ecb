/** DELETE removes a folder with all that is in it: hence so much looking. */
import { CloudError } from '../../../common/errors.ts'
import type { Precondition, RemotePlace } from '../connector.ts'
import type { Conditions } from './conditions.ts'
import type { DavClient } from './dav-client.ts'
import { pathOf } from './dav-place.ts'
import { find, listFolder } from './find.ts'
import type { DavFact } from './multistatus.ts'

export async function removeFile(
  client: DavClient,
  conditions: Conditions,
  place: RemotePlace,
  precondition: Precondition,
  signal: AbortSignal,
): Promise<void> {
  try {
    if (precondition.kind === 'any') {
      const found = await find(client, place, signal)
      if (!found) return
      // It may have become a folder, with contents of somebody else.
      if (found.collection) throw new CloudError('is-a-folder', 'this is a folder')
    }
    const headers = await conditions.headersFor(place, precondition, signal)
    await client.head({ method: 'DELETE', path: pathOf(client.settings.base, place, 'file'), headers }, signal)
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'not-found') return
    // What is gone already is removed.
    if (error.kind === 'conflict' && !(await find(client, place, signal))) return
    throw error
  }
}

/**
 * Removes a folder that is empty. Where the server keeps conditions, it removes the folder only as it was listed: what somebody puts in between the look and the
 * removal changes its tag.
 */
export async function removeFolder(client: DavClient, conditions: Conditions, place: RemotePlace, signal: AbortSignal): Promise<void> {
  if (place.path.length === 0) throw new CloudError('permission', 'the root cannot be removed')
  await conditions.probe(signal)
  try {
    const self = await emptyFolder(client, place, signal)
    const headers = self.etag === null ? {} : conditions.ifHeader([[place, self.etag]])
    await client.head({ method: 'DELETE', path: pathOf(client.settings.base, place, 'folder'), headers }, signal)
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'not-found') return
    if (error.kind === 'conflict') throw new CloudError('not-empty', 'somebody else uses the folder', { cause: error })
    throw error
  }
}

async function emptyFolder(client: DavClient, place: RemotePlace, signal: AbortSignal): Promise<DavFact> {
  let found: DavFact | null = null
  for await (const { self, entries, hidden, abandoned } of listFolder(client, place, signal)) {
    if (entries.length + hidden.length - abandoned > 0) throw new CloudError('not-empty', 'the folder is not empty')
    found = self
  }
  if (!found) throw new CloudError('not-found', 'the folder does not exist')
  return found
}
