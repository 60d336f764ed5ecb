/** Removing objects: one by one, or those that are removed at the same moment together. */
import { createHash } from 'node:crypto'
import { CloudError } from '../../../common/errors.ts'
import type { S3Client } from './s3-client.ts'
import { noKey } from './s3-client.ts'
import { s3Error } from './s3-errors.ts'
import { childrenOf, escapeXml, parseXml, requiredText, textOf } from '../xml.ts'

/** Milliseconds for which a removal waits for company, and the most that go together (the protocol's limit). */
const gatherMs = 3
const most = 1000
const longestAnswer = 2 ** 20

interface Waiting {
  readonly key: Buffer
  readonly signal: AbortSignal
  readonly resolve: () => void
  readonly reject: (error: CloudError) => void
}

export class Removals {
  readonly #client: S3Client
  readonly #waiting = new Map<string, Waiting[]>()

  constructor(client: S3Client) {
    this.#client = client
  }

  /** Unconditionally; resolves also if there was none. */
  async remove(bucket: string, key: Buffer, signal: AbortSignal): Promise<void> {
    if (!this.#client.dialect.batchDelete || !canBeXml(key)) {
      await removeOne(this.#client, bucket, key, signal)
      return
    }
    await this.together(bucket, key, signal)
  }

  /** With all others that are removed at this moment. */
  async together(bucket: string, key: Buffer, signal: AbortSignal): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const waiting = this.#waiting.get(bucket) ?? []
      waiting.push({ key, signal, resolve, reject })
      this.#waiting.set(bucket, waiting)
      if (waiting.length === 1) setTimeout(() => void this.#flush(bucket), gatherMs)
      if (waiting.length === most) void this.#flush(bucket)
    })
  }

  async #flush(bucket: string): Promise<void> {
    const batch = this.#waiting.get(bucket) ?? []
    this.#waiting.delete(bucket)
    if (batch.length === 0) return
    try {
      if (batch.length === 1) await this.#oneByOne(bucket, batch)
      else await this.#together(bucket, batch)
    } catch (caught) {
      const error = CloudError.from(caught)
      if (batch.length > 1 && error.kind === 'unsupported') {
        this.#client.learn({ batchDelete: false })
        await this.#oneByOne(bucket, batch)
      } else for (const one of batch) one.reject(error)
    }
  }

  async #oneByOne(bucket: string, batch: readonly Waiting[]): Promise<void> {
    await Promise.all(batch.map((one) => removeOne(this.#client, bucket, one.key, one.signal).then(one.resolve, one.reject)))
  }

  async #together(bucket: string, batch: readonly Waiting[]): Promise<void> {
    const objects = batch.map(({ key }) => `<Object><Key>${escapeXml(key.toString())}</Key></Object>`)
    const body = Buffer.from(`<Delete xmlns="http://s3.amazonaws.com/doc/2006-03-01/">${objects.join('')}</Delete>`)
    const headers = {
      'content-type': 'application/xml',
      'content-length': String(body.length),
      'content-md5': createHash('md5').update(body).digest('base64'),
    }
    const request = { method: 'POST' as const, bucket, key: noKey, query: [['delete', '']] as const, headers, body }
    // Nobody's change of mind may take back the others' removals, unless all of them have changed it.
    using abort = new AllOf(batch.map((one) => one.signal))
    const response = await this.#client.send(request, abort.signal)
    // What it says of single objects are errors within an answer, and not an error.
    const node = parseXml(await response.body.text(longestAnswer), 'DeleteResult')
    const removed = new Set(childrenOf(node, 'Deleted').map((one) => requiredText(one, 'Key')))
    const refused = new Map(childrenOf(node, 'Error').map((one) => [requiredText(one, 'Key'), one]))
    for (const { key, resolve, reject } of batch) {
      const error = refused.get(key.toString())
      const code = error && textOf(error, 'Code')
      if (removed.has(key.toString()) || code === 'NoSuchKey') resolve()
      else if (code === undefined) reject(new CloudError('garbage', 'the server did not say what became of an object'))
      else reject(s3Error(code === 'InternalError' ? 500 : 403, {}, `<Error><Code>${escapeXml(code)}</Code></Error>`, Date.now()))
    }
  }
}

async function removeOne(client: S3Client, bucket: string, key: Buffer, signal: AbortSignal): Promise<void> {
  await client.head({ method: 'DELETE', bucket, key }, signal)
}

/** XML 1.0 has no way to write most control signs. */
function canBeXml(key: Buffer): boolean {
  return !/[\u0000-\u001f\ufffe\uffff]/.test(key.toString())
}

/** Aborted as soon as all of them are. */
class AllOf implements Disposable {
  readonly #controller = new AbortController()
  readonly #done = new AbortController()

  constructor(signals: readonly AbortSignal[]) {
    let left = signals.length
    const onAbort = (signal: AbortSignal) => {
      left--
      if (left === 0) this.#controller.abort(signal.reason)
    }
    for (const signal of signals) {
      if (signal.aborted) onAbort(signal)
      else signal.addEventListener('abort', () => onAbort(signal), { once: true, signal: this.#done.signal })
    }
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  [Symbol.dispose](): void {
    this.#done.abort()
  }
}
