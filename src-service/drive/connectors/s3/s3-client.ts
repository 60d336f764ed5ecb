/** Signed requests to one endpoint; every refusal becomes a CloudError here. */
import { CloudError } from '../../../common/errors.ts'
import type { ErrorDetail } from '../../../common/errors.ts'
import { HttpClient } from '../http.ts'
import type { HttpRequest, HttpResponse } from '../http.ts'
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
  readonly #http: HttpClient
  readonly #signer: Signer
  readonly #host: string
  /** When a bucket last answered well, milliseconds since 1970. */
  readonly #seen = new Map<string, number>()

  constructor(settings: S3Settings) {
    this.settings = settings
    this.#signer = new Signer(settings.region, 's3')
    const { endpoint, bucket, pathStyle } = settings
    this.#host = pathStyle || bucket === null ? endpoint.host : `${bucket}.${endpoint.host}`
    this.#http = new HttpClient(new URL(`${endpoint.protocol}//${this.#host}`), { connections: 64, ...hints })
  }

  /**
   * Sends and resolves with an answer of status 200–299, whose body must be read or cancelled.
   * @throws CloudError of the kind that `s3Error` finds, or offline, timeout, garbage, cancelled
   */
  async send(request: S3Request, signal: AbortSignal): Promise<HttpResponse> {
    const response = await this.#http.send(this.#signed(request), signal).catch((caught: unknown) => {
      throw this.#located(CloudError.from(caught))
    })
    if (response.status >= 200 && response.status < 300) {
      if (request.bucket !== null) this.#seen.set(request.bucket, Date.now())
      return response
    }
    const body = request.method === 'HEAD' ? '' : await response.body.text(longestError).catch(() => '')
    throw this.#withoutBucket(s3Error(response.status, response.headers, body, Date.now()))
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
    return Date.now() - (this.#seen.get(bucket) ?? 0) < 60_000
  }

  async close(): Promise<void> {
    await this.#http.close()
  }

  #signed(request: S3Request): HttpRequest {
    const { endpoint, pathStyle, credentials } = this.settings
    const base = endpoint.pathname.replace(/\/$/, '')
    const inPath = request.bucket !== null && pathStyle ? `/${request.bucket}` : ''
    const path = `${base}${inPath}/${encodeKey(request.key)}`
    const query = canonicalQuery(request.query ?? [])
    const { accessKeyId, secretAccessKey, sessionToken } = credentials()
    const headers: Record<string, string> = {
      ...request.headers,
      host: this.#host,
      'x-amz-date': amzDate(Date.now()),
      'x-amz-content-sha256': unsignedPayload,
      ...(sessionToken !== undefined && { 'x-amz-security-token': sessionToken }),
    }
    const authorization = this.#signer.sign(
      { method: request.method, path, query, headers, payloadHash: unsignedPayload },
      { accessKeyId, secretAccessKey },
    )
    return {
      method: request.method,
      target: query === '' ? path : `${path}?${query}`,
      headers: { ...headers, authorization },
      body: request.body ?? null,
    }
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

function detailOf({ cause, code, hint }: CloudError): ErrorDetail {
  return { cause, ...(code !== undefined && { code }), ...(hint !== undefined && { hint }) }
}
