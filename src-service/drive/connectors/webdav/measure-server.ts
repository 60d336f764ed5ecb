import type { CapabilityCheck } from '../../../common/drive-state.ts'
import { CloudError } from '../../../common/errors.ts'
import type { RemotePlace } from '../connector.ts'
import { check } from './conditions.ts'
import type { Conditions } from './conditions.ts'
import type { DavClient } from './dav-client.ts'
import { pathOf } from './dav-place.ts'
import { find, revOf, rootPlace } from './find.ts'
import { newTempName } from './temp-name.ts'

const contents = Buffer.from('0123456789')
const longAgo = 1_000_000_000

/** Tries what servers differ in, on tiny files in the root that are removed again. */
export async function measureServer(
  client: DavClient,
  conditions: Conditions,
  write: boolean,
  signal: AbortSignal,
): Promise<readonly CapabilityCheck[]> {
  const { origin, verifiesTls } = client.settings
  const quota = await find(client, rootPlace, signal, 'quota')
  const always: CapabilityCheck[] = [
    check('space left', quota?.quotaAvailable != null, 'the server does not say'),
    check('encrypted connection', origin.startsWith('https:'), 'http: everybody on the way can read'),
    ...(origin.startsWith('https:') ? [check('server certificate checked', verifiesTls, unsafe)] : []),
  ]
  if (!write) return always
  return [...(await conditions.checks(signal)), ...(await onFile(client, signal)), ...always]
}

/** Said wherever somebody may see it. */
export const unsafe = 'TLS VERIFICATION IS OFF (verifyTls=false): whoever answers gets the password'

async function onFile(client: DavClient, signal: AbortSignal): Promise<CapabilityCheck[]> {
  const place: RemotePlace = { path: [newTempName()], id: null, parentId: null }
  const path = pathOf(client.settings.base, place, 'file')
  const put = (headers: Readonly<Record<string, string>>, body: Buffer | (() => AsyncIterable<Buffer>)) =>
    client.head({ method: 'PUT', path, headers: { ...headers, 'content-length': String(contents.length) }, body }, signal)
  try {
    await put({ 'x-oc-mtime': String(longAgo) }, contents)
    const fact = await find(client, place, signal)
    const part = await client.send({ method: 'GET', path, headers: { range: 'bytes=2-4' } }, signal)
    const bytes = await part.body.bytes(contents.length)
    await put({}, brokenOff).catch(() => undefined)
    const after = await find(client, place, signal)
    return [
      check('versions by tag', fact?.etag != null, 'a version is its second and its size'),
      check('part of a file', part.status === 206 && bytes.toString() === '234', 'the server sends whole files'),
      check('modification times kept', fact?.modified === longAgo * 1000, 'the time of the upload is shown'),
      check(
        'uploads appear whole',
        after !== null && fact !== null && revOf(after) === revOf(fact),
        'what breaks off replaces the old version',
      ),
    ]
  } finally {
    await client.head({ method: 'DELETE', path }, signal).catch(() => undefined)
  }
}

async function* brokenOff(): AsyncIterable<Buffer> {
  yield contents.subarray(0, 3)
  await Promise.resolve()
  throw new CloudError('cancelled', 'broken off on purpose')
}
