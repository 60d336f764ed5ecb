import { CloudError } from '../../../common/errors.ts'
import type { RemotePlace } from '../connector.ts'
import { header } from '../http.ts'
import type { HttpResponse } from '../http.ts'
import type { DavClient } from './dav-client.ts'
import { pathOf } from './dav-place.ts'
import { find, isCoarse, revOf } from './find.ts'
import { strongEtag } from './multistatus.ts'

/**
 * Bytes [start, end) of the version `rev`. The version is compared by the head of the answer, not by If-Match: servers refuse that for tags
 * that they call weak, as Apache does with those of files younger than a second.
 */
export async function* readFile(
  client: DavClient,
  place: RemotePlace,
  start: number,
  end: number,
  rev: string,
  signal: AbortSignal,
): AsyncIterable<Uint8Array> {
  if (start >= end) return
  const path = pathOf(client.settings.base, place, 'file')
  const response = await client.send({ method: 'GET', path, headers: { range: `bytes=${start}-${end - 1}` } }, signal)
  let position = start
  try {
    await checkVersion(client, place, response, rev, signal)
    for await (const chunk of wantedPart(response, start)) {
      const left = end - position
      const part = chunk.length > left ? chunk.subarray(0, left) : chunk
      position += part.length
      if (part.length > 0) yield part
      if (position === end) break
    }
  } finally {
    response.body.cancel()
  }
  if (position !== end) throw new CloudError('offline', `the answer broke off ${end - position} bytes early`)
}

async function checkVersion(
  client: DavClient,
  place: RemotePlace,
  response: HttpResponse,
  rev: string,
  signal: AbortSignal,
): Promise<void> {
  const said = versionOf(response, isCoarse(rev))
  const fact = said === null ? await find(client, place, signal) : null
  if ((said ?? (fact && revOf(fact))) !== rev) throw new CloudError('conflict', 'the file was changed meanwhile')
  // Without a version of its own the answer may be anybody's: a sign-in page of a hotel comes with status 200 too.
  if (fact && sizeOf(response) !== fact.size) throw new CloudError('garbage', 'the server answered with something else than the file')
}

function versionOf(response: HttpResponse, coarse: boolean): string | null {
  const { headers } = response
  if (!coarse) return strongEtag(header(headers, 'etag'))
  const modified = Date.parse(header(headers, 'last-modified') ?? '')
  const size = sizeOf(response)
  return Number.isNaN(modified) || !Number.isSafeInteger(size) ? null : revOf({ etag: null, modified, size })
}

/** Of the whole file; NaN if the answer does not say. */
function sizeOf({ headers, status }: HttpResponse): number {
  return Number(status === 206 ? /\/(\d+)$/.exec(header(headers, 'content-range') ?? '')?.[1] : header(headers, 'content-length'))
}

/** A server that knows no ranges sends all: the beginning is dropped. */
async function* wantedPart(response: HttpResponse, start: number): AsyncIterable<Buffer> {
  let skip = response.status === 206 ? 0 : start
  if (response.status === 206 && !(header(response.headers, 'content-range') ?? '').startsWith(`bytes ${start}-`)) {
    throw new CloudError('garbage', 'the server answered with another range than the one asked for')
  }
  for await (const chunk of response.body) {
    if (skip >= chunk.length) skip -= chunk.length
    else {
      yield skip === 0 ? chunk : chunk.subarray(skip)
      skip = 0
    }
  }
}
