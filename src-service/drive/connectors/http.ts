/**
 * HTTP/1.1 straight on undici's dispatcher: chunks go from the socket to the reader without a stream in between, and the
 * socket is paused while the reader is behind.
 */
import { Pool } from 'undici'
import type { Dispatcher } from 'undici'
import { CloudError } from '../../common/errors.ts'

export type Headers = Readonly<Record<string, string | string[] | undefined>>

export interface HttpRequest {
  readonly method: string
  /** Path and query, encoded. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
  readonly body: Buffer | AsyncIterable<Buffer> | null
}

export interface HttpResponse {
  readonly status: number
  readonly headers: Headers
  /** Must be read to its end or cancelled: otherwise the connection is lost. */
  readonly body: Body
}

/** Bytes held for a slow reader before the socket is paused. */
const highWater = 2 ** 20

/** What the certificate of the server is held against, and what we show ours by. PEM. */
export interface TlsOptions {
  readonly ca?: readonly string[]
  readonly cert?: string
  readonly key?: string
  readonly rejectUnauthorized?: boolean
}

export interface HttpOptions {
  /** At most so many at once; more requests wait in line. */
  readonly connections: number
  readonly tls?: TlsOptions
  /** What a person can do about a certificate that nobody vouches for. */
  readonly certificateHint: string
  /** … and about one that is for another host. */
  readonly altNameHint: string
}

interface Words {
  readonly certificate: string
  readonly altName: string
}

export class HttpClient {
  readonly #pool: Pool
  readonly #words: Words

  constructor(endpoint: URL, options: HttpOptions) {
    this.#words = { certificate: options.certificateHint, altName: options.altNameHint }
    this.#pool = new Pool(endpoint.origin, {
      connections: options.connections,
      pipelining: 1,
      allowH2: false,
      keepAliveTimeout: 20_000,
      // A server may think for minutes over a completion or a copy; who cannot wait has a deadline of its own.
      headersTimeout: 300_000,
      bodyTimeout: 120_000,
      connect: { ...options.tls, timeout: 10_000 },
    })
  }

  /** Resolves when the head of the answer is here. */
  send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(CloudError.from(signal.reason))
        return
      }
      const exchange = new Exchange(signal, this.#words, resolve, reject)
      this.#pool.dispatch(
        {
          method: request.method,
          path: request.target,
          headers: request.headers,
          // undici takes generators too, its types do not say so.
          body: request.body as Buffer | null,
          // undici otherwise closes the connection after each HEAD.
          reset: false,
          // A body that comes from a generator is sent once; a request may not be sent again behind our back.
          idempotent: false,
        },
        exchange,
      )
    })
  }

  async close(): Promise<void> {
    await this.#pool.destroy()
  }
}

/** The body of an answer. One reader. */
export class Body implements AsyncIterable<Buffer> {
  readonly #exchange: Exchange

  constructor(exchange: Exchange) {
    this.#exchange = exchange
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Buffer> {
    let finished = false
    try {
      for (;;) {
        const chunk = await this.#exchange.next()
        if (!chunk) break
        yield chunk
      }
      finished = true
    } finally {
      if (!finished) this.cancel()
    }
  }

  /** The whole body. @throws CloudError `garbage` beyond `limit` bytes */
  async bytes(limit: number): Promise<Buffer> {
    const chunks: Buffer[] = []
    let length = 0
    for await (const chunk of this) {
      length += chunk.length
      if (length > limit) throw new CloudError('garbage', `an answer of more than ${limit} bytes`)
      chunks.push(chunk)
    }
    return Buffer.concat(chunks)
  }

  async text(limit: number): Promise<string> {
    return (await this.bytes(limit)).toString()
  }

  /** Reads a short rest away, so that the connection can be used again. */
  async drain(): Promise<void> {
    await this.bytes(2 ** 16).catch(() => undefined)
  }

  cancel(): void {
    this.#exchange.cancel()
  }
}

/** One request on its way, as undici's callbacks tell it. */
class Exchange implements Dispatcher.DispatchHandler {
  readonly #signal: AbortSignal
  readonly #resolve: (response: HttpResponse) => void
  readonly #reject: (error: CloudError) => void
  readonly #onAbort: () => void
  readonly #words: Words
  #controller: Dispatcher.DispatchController | null = null
  #chunks: Buffer[] = []
  #held = 0
  #ended = false
  #error: CloudError | null = null
  #wake: (() => void) | null = null

  constructor(signal: AbortSignal, words: Words, resolve: (response: HttpResponse) => void, reject: (error: CloudError) => void) {
    this.#signal = signal
    this.#words = words
    this.#resolve = resolve
    this.#reject = reject
    this.#onAbort = () => this.#fail(CloudError.from(signal.reason))
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  onRequestStart(controller: Dispatcher.DispatchController): void {
    this.#controller = controller
    if (this.#error) controller.abort(this.#error)
  }

  onResponseStart(_controller: Dispatcher.DispatchController, status: number, headers: Headers): void {
    // 1xx announces, it does not answer.
    if (status >= 200) this.#resolve({ status, headers, body: new Body(this) })
  }

  onResponseData(controller: Dispatcher.DispatchController, chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#held += chunk.length
    if (this.#held > highWater) controller.pause()
    this.#wake?.()
  }

  onResponseEnd(): void {
    this.#ended = true
    this.#finish()
  }

  onResponseError(_controller: Dispatcher.DispatchController, error: Error): void {
    this.#fail(transportError(error, this.#words))
  }

  /** The next chunk, null at the end. */
  async next(): Promise<Buffer | null> {
    for (;;) {
      const chunk = this.#chunks.shift()
      if (chunk) {
        this.#held -= chunk.length
        if (this.#controller?.paused && this.#held < highWater / 2) this.#controller.resume()
        return chunk
      }
      if (this.#error) throw this.#error
      if (this.#ended) return null
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
      this.#wake = null
    }
  }

  cancel(): void {
    if (!this.#ended) this.#fail(new CloudError('cancelled', 'the rest of the answer is not wanted'))
  }

  #fail(error: CloudError): void {
    if (this.#error || this.#ended) return
    this.#error = error
    this.#chunks = []
    if (this.#controller && !this.#controller.aborted) this.#controller.abort(error)
    this.#reject(error)
    this.#finish()
  }

  #finish(): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
    this.#wake?.()
  }
}

/** What went wrong below HTTP. */
function transportError(error: Error, words: Words): CloudError {
  if (error instanceof CloudError) return error
  const code = 'code' in error && typeof error.code === 'string' ? error.code : undefined
  const detail = { cause: error, ...(code !== undefined && { code }) }
  if (code && tlsCode.test(code)) {
    return new CloudError('offline', `the TLS connection failed: ${error.message}`, { ...detail, hint: tlsHint(code, words) })
  }
  const hint = code === undefined ? undefined : hints[code]
  if (hint !== undefined) return new CloudError('offline', error.message || 'no connection', { ...detail, hint })
  if (code === 'UND_ERR_HEADERS_TIMEOUT' || code === 'UND_ERR_BODY_TIMEOUT') return new CloudError('timeout', error.message, detail)
  // What answers there does not speak HTTP, unless it only broke off.
  if (error.name === 'HTTPParserError' && code !== 'HPE_INVALID_EOF_STATE')
    return new CloudError('garbage', `not HTTP: ${error.message}`, detail)
  const known = CloudError.from(error)
  return known.kind === 'internal' ? new CloudError('offline', error.message, detail) : known
}

const hints: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Check host and port of the endpoint, and that the server runs.',
  ENOTFOUND: 'The host name is not known: check the endpoint.',
  EAI_AGAIN: 'Names cannot be resolved: check the network of this machine.',
  ENETUNREACH: 'Check the network of this machine.',
  EHOSTUNREACH: 'Check the endpoint, and the network of this machine.',
  UND_ERR_CONNECT_TIMEOUT: 'Check the endpoint, and the network of this machine.',
}

const tlsCode = /^(ERR_TLS|ERR_SSL|CERT_|DEPTH_ZERO|SELF_SIGNED|UNABLE_TO_|EPROTO)/

function tlsHint(code: string, words: Words): string {
  if (code === 'EPROTO' || code.startsWith('ERR_SSL')) return 'The server may not speak TLS on this port: try http:// in the endpoint.'
  if (code === 'CERT_HAS_EXPIRED') return 'The certificate of the server has expired, or the clock of this machine is wrong.'
  return code.startsWith('ERR_TLS_CERT_ALTNAME') ? words.altName : words.certificate
}

/** Seconds or a date, as milliseconds from `now`; at most an hour. */
export function parseRetryAfter(value: string | undefined, now: number): number | undefined {
  if (value === undefined) return undefined
  const wait = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now
  return Number.isNaN(wait) ? undefined : Math.min(Math.max(0, wait), 3_600_000)
}

export function header(headers: Headers, name: string): string | undefined {
  const value = headers[name]
  return typeof value === 'string' ? value : value?.[0]
}
