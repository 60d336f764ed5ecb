/**
 * HTTP/1.1 over connections that are kept: bytes go from the socket straight into the memory that the reader gets, and the
 * socket is paused while the reader is behind. Why our own: docs/decisions/0020-own-http-client.md.
 */
import { CloudError } from '../../common/errors.ts'
import { Connection, type TlsOptions } from './http-connection.ts'
import { Exchange, type HttpRequest, type HttpResponse } from './http-exchange.ts'
import type { Headers } from './http-head.ts'

export type { Headers, HttpRequest, HttpResponse, TlsOptions }

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

/** One server. A request is sent once: what may be repeated is decided above. */
export class HttpClient {
  readonly #origin: URL
  readonly #options: HttpOptions
  readonly #connections = new Set<Connection>()
  /** The one used last comes first: the others may grow old and close. */
  readonly #free: Connection[] = []
  readonly #line = new Set<Exchange>()
  #session: Buffer | undefined
  #closed = false

  constructor(endpoint: URL, options: HttpOptions) {
    this.#origin = new URL(endpoint.origin)
    this.#options = options
  }

  /** Resolves when the head of the answer is here. */
  send(request: HttpRequest, signal: AbortSignal): Promise<HttpResponse> {
    return new Promise((resolve, reject) => {
      if (signal.aborted || this.#closed) {
        reject(signal.aborted ? CloudError.from(signal.reason) : closed())
        return
      }
      const { certificateHint: certificate, altNameHint: altName } = this.#options
      const exchange = new Exchange(request, signal, (error) => transportError(error, { certificate, altName }), { resolve, reject })
      const connection = this.#free.pop()
      if (connection !== undefined) run(connection, exchange)
      else if (this.#connections.size < this.#options.connections) this.#open(exchange)
      else this.#queue(exchange)
    })
  }

  async close(): Promise<void> {
    this.#closed = true
    for (const exchange of [...this.#line]) exchange.stop(closed())
    for (const connection of [...this.#connections]) connection.destroy(closed())
  }

  #queue(exchange: Exchange): void {
    this.#line.add(exchange)
    exchange.stop = (error) => {
      this.#line.delete(exchange)
      exchange.failed(error)
    }
  }

  #open(exchange: Exchange): void {
    const connection = new Connection(this.#origin, this.#options.tls, this.#session, exchange, {
      onFree: (free) => {
        const next = this.#next()
        if (next === undefined) this.#free.push(free)
        else run(free, next)
      },
      onGone: (gone) => {
        this.#connections.delete(gone)
        const at = this.#free.indexOf(gone)
        if (at >= 0) this.#free.splice(at, 1)
        const next = this.#closed ? undefined : this.#next()
        if (next !== undefined) this.#open(next)
      },
      onSession: (session) => (this.#session = session),
    })
    this.#connections.add(connection)
    exchange.stop = (error) => connection.destroy(error)
  }

  /** Who has waited longest. */
  #next(): Exchange | undefined {
    const [first] = this.#line
    if (first !== undefined) this.#line.delete(first)
    return first
  }
}

function run(connection: Connection, exchange: Exchange): void {
  exchange.stop = (error) => connection.destroy(error)
  connection.run(exchange)
}

function closed(): CloudError {
  return new CloudError('cancelled', 'the connection to the provider is being closed')
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
  const known = CloudError.from(error)
  return known.kind === 'internal' ? new CloudError('offline', error.message, detail) : known
}

const hints: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'Check host and port of the endpoint, and that the server runs.',
  ENOTFOUND: 'The host name is not known: check the endpoint.',
  EAI_AGAIN: 'Names cannot be resolved: check the network of this machine.',
  ENETUNREACH: 'Check the network of this machine.',
  EHOSTUNREACH: 'Check the endpoint, and the network of this machine.',
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
