/** PROPFIND: what is there. */
import { CloudError } from '../../../common/errors.ts'
import type { ListPage, RemoteEntry, RemotePlace } from '../connector.ts'
import { header } from '../http.ts'
import { timeOfMs } from '../posix-mode.ts'
import type { DavClient } from './dav-client.ts'
import { isName, pathOf } from './dav-place.ts'
import { readMultistatus } from './multistatus.ts'
import type { DavFact } from './multistatus.ts'
import { isAbandoned, isTempName } from './temp-name.ts'

const properties = ['resourcetype', 'getcontentlength', 'getlastmodified', 'getetag']
const quota = ['quota-available-bytes', 'quota-used-bytes']

/** What the server says of one place; null = surely absent. */
export async function find(
  client: DavClient,
  place: RemotePlace,
  signal: AbortSignal,
  asked: 'facts' | 'quota' = 'facts',
): Promise<DavFact | null> {
  // Servers agree on what they answer about a folder without its slash; about a file with one they do not.
  const path = pathOf(client.settings.base, place, 'file')
  try {
    for await (const page of propfind(client, path, '0', asked === 'quota' ? quota : properties, signal)) {
      const fact = page[0]
      if (!fact) continue
      if (fact.status === 404) break
      if (fact.status >= 300) throw new CloudError('unavailable', `the server says nothing of it (${fact.status})`)
      return fact
    }
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind !== 'not-found') throw error
  }
  if (place.path.length > 0 && !client.wasSeen()) await rootIsThere(client, signal)
  return null
}

/** A page of one folder at a time. @throws CloudError `not-found`, `not-a-folder` */
export async function* listFolder(
  client: DavClient,
  folder: RemotePlace,
  signal: AbortSignal,
): AsyncIterable<ListPage & { readonly self: DavFact; readonly abandoned: number }> {
  const path = pathOf(client.settings.base, folder, 'folder')
  let self: DavFact | null = null
  try {
    for await (const page of propfind(client, path, '1', properties, signal)) {
      const isFirst = self === null
      self ??= selfIn(page, folder)
      const { names } = self
      yield { ...pageOf(client, isFirst ? page.slice(1) : page, names), self }
    }
  } catch (caught) {
    throw await absentOrNot(client, folder, CloudError.from(caught), signal)
  }
  if (self === null) throw new CloudError('garbage', 'the listing does not say what it lists')
}

export function entryOf(name: Buffer, fact: DavFact, keepsMtime: boolean): RemoteEntry {
  const mtime = timeOfMs(fact.modified ?? 0)
  if (fact.collection) return { name, type: 'folder', size: 0, mtime, rev: 'folder', id: null, posix: {} }
  return { name, type: 'file', size: fact.size ?? 0, mtime, rev: revOf(fact), id: null, posix: keepsMtime ? { mtime } : {} }
}

/** The tag of a version; where the server has none, second of the change and size. */
export function revOf(fact: Pick<DavFact, 'etag' | 'modified' | 'size'>): string {
  return fact.etag ?? `t${Math.floor((fact.modified ?? 0) / 1000)}-${fact.size ?? 0}`
}

/** Made of time and size: the server cannot compare it. */
export function isCoarse(rev: string): boolean {
  return rev.startsWith('t')
}

async function* propfind(
  client: DavClient,
  path: string,
  depth: '0' | '1',
  names: readonly string[],
  signal: AbortSignal,
): AsyncIterable<DavFact[]> {
  const wanted = names.map((name) => `<D:${name}/>`).join('')
  const body = Buffer.from(`<?xml version="1.0" encoding="utf-8"?><D:propfind xmlns:D="DAV:"><D:prop>${wanted}</D:prop></D:propfind>`)
  const headers = { depth, 'content-type': 'application/xml; charset=utf-8', 'content-length': String(body.length) }
  const response = await client.send({ method: 'PROPFIND', path, headers, body }, signal)
  if (response.status !== 207) {
    response.body.cancel()
    const type = header(response.headers, 'content-type') ?? 'nothing'
    throw new CloudError('garbage', `no WebDAV answer (${response.status}, ${type})`, { hint: 'Check the url: no WebDAV is spoken there.' })
  }
  yield* readMultistatus(response.body)
}

/** Servers name the folder itself first. Its own address may differ from ours behind a proxy, its name may not. */
function selfIn(page: readonly DavFact[], folder: RemotePlace): DavFact {
  const [first] = page
  const [theirs, ours] = [first?.names.at(-1), folder.path.at(-1)]
  if (!first || (ours && ours.toString().normalize() !== theirs?.toString().normalize())) {
    throw new CloudError('garbage', 'the listing is of another folder')
  }
  if (!first.collection) throw new CloudError('not-a-folder', 'this is not a folder')
  return first
}

function pageOf({ settings }: DavClient, facts: readonly DavFact[], parent: readonly Buffer[]): ListPage & { readonly abandoned: number } {
  const entries: RemoteEntry[] = []
  const hidden: string[] = []
  for (const fact of facts) {
    const name = fact.names.at(-1)
    const isChild = fact.names.length === parent.length + 1 && parent.every((one, index) => fact.names[index]?.equals(one))
    if (!isChild || !name) throw new CloudError('garbage', 'the listing names something that is not in the folder')
    // Gone between two looks of the server.
    if (fact.status === 404) continue
    if (fact.status >= 300 || !isName(name) || isTempName(name)) hidden.push(name.toString())
    else entries.push(entryOf(name, fact, settings.dialect.keepsMtime))
  }
  return { entries, hidden, abandoned: facts.filter(isAbandoned).length }
}

/** Where the whole drive is missing, nothing in it is surely absent: it may be the wrong server that answers. */
async function rootIsThere(client: DavClient, signal: AbortSignal): Promise<void> {
  if (await find(client, rootPlace, signal)) return
  throw new CloudError('unavailable', 'the folder of the whole drive is missing on the server', { code: 'NoRoot' })
}

async function absentOrNot(client: DavClient, folder: RemotePlace, error: CloudError, signal: AbortSignal): Promise<CloudError> {
  if (error.code === '400' || error.kind === 'not-found') {
    const found = folder.path.length === 0 ? null : await find(client, folder, signal)
    if (found) return found.collection ? error : new CloudError('not-a-folder', 'this is not a folder')
    if (folder.path.length > 0) return new CloudError('not-found', 'the folder does not exist', { cause: error })
    return new CloudError('unavailable', 'the folder of the whole drive is missing on the server', { code: 'NoRoot' })
  }
  return error
}

export const rootPlace: RemotePlace = { path: [], id: null, parentId: null }
