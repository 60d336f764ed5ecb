/** Signed requests to one endpoint; every refusal becomes a CloudError here. */
import { CloudError } from '../../../common/errors.ts'
import type { ErrorDetail } from '../../../common/errors.ts'
import { HttpClient } from '../http.ts'
import type { HttpRequest, HttpResponse } from '../http.ts'
import { LastSeen } from '../last-seen.ts'
import type { CurrentCredentials } from './credentials.ts'
import type { Dialect } from './dialects.ts'
import { s3Error } from './s3-errors.ts'
import { parseXml } from '../xml.ts'
import type { XmlNode } from '../xml.ts'
import type { S3Settings } from './settings.ts'
import { amzDate, canonicalQuery, encodeKey, Signer, unsignedPayload } from './sign-v4.ts'

export interface S3Request {
  readonly method: HttpRequest['method']
  /** Null: the account. */
  readonly bucket: string | null
  /** Empty: the bucket. */
  readonly key: Buffer
  readonly query?: readonly (readonly [string, string])[]
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>
  /** Can be sent twice: an iterable begins anew each time. */
  readonly body?: Buffer | AsyncIterable<Buffer>
}

const longestError = 64 * 1024
const hints = {
  certificateHint:
    'The certificate is not from an authority that this machine trusts: start the service with NODE_EXTRA_CA_CERTS=/path/to/ca.pem.',
  altNameHint: 'The certificate is for another host name: check the endpoint, or set pathStyle=true.',
}
export const noKey = Buffer.alloc(0)

export class S3Client {
  readonly settings: S3Settings
  #dialect: Dialect
  readonly #http: HttpClient
  readonly #signer: Signer
  readonly #host: string
  readonly #onRequest: () => void
  /** When a bucket last answered well. */
  readonly #seen = new Map<string, LastSeen>()

  /** @param onRequest called as each request leaves */
  constructor(settings: S3Settings, onRequest: () => void = () => undefined) {
    this.settings = settings
    this.#dialect = settings.dialect
    this.#onRequest = onRequest
    this.#signer = new Signer(settings.region, 's3')
    const { endpoint, bucket, pathStyle } = settings
    this.#host = pathStyle || bucket === null ? endpoint.host : `${bucket}.${endpoint.host}`
    this.#http = new HttpClient(new URL(`${endpoint.protocol}//${this.#host}`), { connections: 64, ...hints })
  }

  /** What the server does: as its preset says, and as was learned since. */
  get dialect(): Dialect {
    return this.#dialect
  }

  learn(facts: Partial<Dialect>): void {
    this.#dialect = { ...this.#dialect, ...facts }
  }

  /**
   * Sends and resolves with an answer of status 200–299, whose body must be read or cancelled.
   * @throws CloudError of the kind that `s3Error` finds, or offline, timeout, garbage, cancelled
   */
  async send(request: S3Request, signal: AbortSignal): Promise<HttpResponse> {
    const first = await this.#exchange(request, signal)
    if (!(first instanceof CloudError)) return first
    if (!isExpiry(request, first) || !this.settings.credentials.expired()) throw first
    const second = await this.#exchange(request, signal)
    if (second instanceof CloudError) throw second
    return second
  }

  /** Sends and reads nothing of the answer but its head. */
  async head(request: S3Request, signal: AbortSignal): Promise<HttpResponse> {
    const response = await this.send(request, signal)
    await response.body.drain()
    return response
  }

  /**
   * Sends and reads an XML document named `root`, of at most `limit` bytes. An error that comes with status 200, as
   * completions and copies may answer after a long think, is thrown like any other.
   */
  async xml(request: S3Request, root: string, limit: number, signal: AbortSignal): Promise<{ node: XmlNode; response: HttpResponse }> {
    const response = await this.send(request, signal)
    const text = await response.body.text(limit)
    if (text.includes('<Error>')) throw s3Error(500, response.headers, text, Date.now())
    return { node: parseXml(text, root), response }
  }

  /** The bucket answered within the last minute: what is missing in it is the object. */
  wasSeen(bucket: string): boolean {
    return this.#seen.get(bucket)?.isWithin(60_000) === true
  }

  async close(): Promise<void> {
    await this.#http.close()
  }

  #noteSeen(bucket: string): void {
    const seen = this.#seen.get(bucket) ?? new LastSeen()
    seen.note()
    this.#seen.set(bucket, seen)
  }

  /** The answer, or the server's refusal. */
  async #exchange(request: S3Request, signal: AbortSignal): Promise<HttpResponse | CloudError> {
    const current = this.settings.credentials.current()
    const signed = this.#signed(request, current instanceof Promise ? await current : current)
    this.#onRequest()
    const response = await this.#http.send(signed, signal).catch((caught: unknown) => {
      throw this.#located(CloudError.from(caught))
    })
    if (response.status >= 200 && response.status < 300) {
      if (request.bucket !== null) this.#noteSeen(request.bucket)
      return response
    }
    const body = request.method === 'HEAD' ? '' : await response.body.text(longestError).catch(() => '')
    return this.#withoutBucket(s3Error(response.status, response.headers, body, Date.now()))
  }

  #signed(request: S3Request, credentials: CurrentCredentials): HttpRequest {
    const { endpoint, pathStyle, everyRequest } = this.settings
    const base = endpoint.pathname.replace(/\/$/, '')
    const inPath = request.bucket !== null && pathStyle ? `/${request.bucket}` : ''
    const path = `${base}${inPath}/${encodeKey(request.key)}`
    const query = canonicalQuery(request.query ?? [])
    const target = query === '' ? path : `${path}?${query}`
    const { method, body = null } = request
    const plain = { ...request.headers, ...everyRequest, host: this.#host }
    if (credentials === null) return { method, target, headers: plain, body }
    const headers: Record<string, string> = {
      ...plain,
      'x-amz-date': amzDate(Date.now()),
      'x-amz-content-sha256': unsignedPayload,
      ...(credentials.sessionToken !== undefined && { 'x-amz-security-token': credentials.sessionToken }),
    }
    const authorization = this.#signer.sign({ method, path, query, headers, payloadHash: unsignedPayload }, credentials)
    return { method, target, headers: { ...headers, authorization }, body }
  }

  /** An object whose whole bucket is missing is not surely absent: it may be the wrong server that answers. */
  #withoutBucket(error: CloudError): CloudError {
    if (error.code !== 'NoSuchBucket' || this.settings.bucket === null) return error
    return new CloudError('unavailable', `${this.settings.bucket}: ${error.message}`, { ...detailOf(error), code: 'NoSuchBucket' })
  }

  #located(error: CloudError): CloudError {
    if (error.kind !== 'offline') return error
    return new CloudError('offline', `${this.settings.endpoint.origin}: ${error.message}`, detailOf(error))
  }
}

const expiryCodes: ReadonlySet<string> = new Set(['ExpiredToken', 'TokenRefreshRequired', 'InvalidToken', 'InvalidAccessKeyId'])

/** A refusal of credentials that were good before. The answer to a HEAD does not say why. */
function isExpiry({ method }: S3Request, { code, kind }: CloudError): boolean {
  if (code !== undefined) return expiryCodes.has(code)
  return method === 'HEAD' && (kind === 'access' || kind === 'sign-in' || kind === 'invalid')
}

function detailOf({ cause, code, hint }: CloudError): ErrorDetail {
  return { cause, ...(code !== undefined && { code }), ...(hint !== undefined && { hint }) }
}
