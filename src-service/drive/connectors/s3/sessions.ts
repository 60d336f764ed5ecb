/** Uploads in parts that were begun and never ended: nobody sees them, and they cost. */
import { CloudError } from '../../../common/errors.ts'
import { childrenOf, requiredText, textOf } from '../xml.ts'
import type { S3Client } from './s3-client.ts'

interface Session {
  readonly bucket: string
  /** UTF-8. */
  readonly key: string
  readonly uploadId: string
  /** Milliseconds since 1970, by the server's clock. */
  readonly begunAt: number
}

/** An upload that was about to begin: whether it did is not known. */
export interface Intent {
  readonly bucket: string
  readonly key: string
  /** Milliseconds since 1970, by our clock. */
  readonly since: number
}

const longestAnswer = 16 * 2 ** 20
/** S3 refuses requests from clocks that differ by more. */
const clockTolerance = 15 * 60_000

/** Ends the session that an intent became without our knowing: one on its key, begun since, to which nothing was ever sent. */
export async function endIntent(client: S3Client, { bucket, key, since }: Intent, signal: AbortSignal): Promise<void> {
  for await (const session of listSessions(client, bucket, key, signal)) {
    if (session.key !== key || session.begunAt < since - clockTolerance) continue
    if ((await lastPartAt(client, session, signal)) === null) await endSession(client, session, signal)
  }
}

/** Ends sessions below the prefix that are none of `known` and that nothing was added to since `idleSince`; gives their number. */
export async function endIdleSessions(
  client: S3Client,
  bucket: string,
  prefix: string,
  known: ReadonlySet<string>,
  idleSince: number,
  signal: AbortSignal,
): Promise<number> {
  let ended = 0
  for await (const session of listSessions(client, bucket, prefix, signal)) {
    if (known.has(session.uploadId) || session.begunAt >= idleSince) continue
    const last = await lastPartAt(client, session, signal)
    if (last !== null && last >= idleSince) continue
    await endSession(client, session, signal)
    ended++
  }
  return ended
}

/** Resolves also if there is none. */
export async function endSession(client: S3Client, session: Omit<Session, 'begunAt'>, signal: AbortSignal): Promise<void> {
  const { bucket, key, uploadId } = session
  const target = { bucket, key: Buffer.from(key), query: [['uploadId', uploadId]] } as const
  // A part that was still on its way when the upload ended may stay behind, which costs: asked for, and ended again.
  for (let tries = 3; tries > 0; tries--) {
    await ignoreAbsent(client.head({ method: 'DELETE', ...target }, signal))
    if (!(await ignoreAbsent(client.head({ method: 'GET', ...target }, signal)))) return
  }
}

async function* listSessions(client: S3Client, bucket: string, prefix: string, signal: AbortSignal): AsyncIterable<Session> {
  for (let marker: readonly [key: string, uploadId: string] = ['', '']; ; ) {
    const query: readonly (readonly [string, string])[] = [
      ['uploads', ''],
      ['prefix', prefix],
      ...(marker[0] === ''
        ? []
        : ([
            ['key-marker', marker[0]],
            ['upload-id-marker', marker[1]],
          ] as const)),
    ]
    const { node } = await client.xml(
      { method: 'GET', bucket, key: Buffer.alloc(0), query },
      'ListMultipartUploadsResult',
      longestAnswer,
      signal,
    )
    for (const upload of childrenOf(node, 'Upload')) {
      const begunAt = Date.parse(textOf(upload, 'Initiated') ?? '')
      // Without a time it may be a moment old.
      if (Number.isFinite(begunAt)) yield { bucket, key: requiredText(upload, 'Key'), uploadId: requiredText(upload, 'UploadId'), begunAt }
    }
    if (textOf(node, 'IsTruncated') !== 'true') return
    const next: readonly [string, string] = [requiredText(node, 'NextKeyMarker'), requiredText(node, 'NextUploadIdMarker')]
    if (next[0] === marker[0] && next[1] === marker[1]) throw new CloudError('garbage', 'the list of uploads does not move on')
    marker = next
  }
}

/** Milliseconds since 1970 of the newest part; null if it has none. An upload that is gone counts as one without. */
async function lastPartAt(client: S3Client, { bucket, key, uploadId }: Session, signal: AbortSignal): Promise<number | null> {
  let newest: number | null = null
  for (let marker = '0'; ; ) {
    const query = [
      ['uploadId', uploadId],
      ['part-number-marker', marker],
    ] as const
    const request = { method: 'GET' as const, bucket, key: Buffer.from(key), query }
    const answer = await ignoreAbsent(client.xml(request, 'ListPartsResult', longestAnswer, signal))
    if (!answer) return newest
    for (const part of childrenOf(answer.node, 'Part')) {
      const at = Date.parse(textOf(part, 'LastModified') ?? '')
      newest = Math.max(newest ?? 0, Number.isFinite(at) ? at : Date.now())
    }
    if (requiredText(answer.node, 'IsTruncated') !== 'true') return newest
    const next = requiredText(answer.node, 'NextPartNumberMarker')
    if (Number(next) <= Number(marker)) throw new CloudError('garbage', 'the list of parts does not move on')
    marker = next
  }
}

export async function ignoreAbsent<T>(promise: Promise<T>): Promise<T | null> {
  try {
    return await promise
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'not-found' && error.code !== 'NoSuchBucket') return null
    throw error
  }
}
