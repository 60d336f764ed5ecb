import { connect as connectPlain, isIP, type OnReadOpts, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { CloudError } from '../../common/errors.ts'
import { Body, type BodySource } from './http-body.ts'
import { ChunkedDecoder } from './http-chunked.ts'
import type { Exchange } from './http-exchange.ts'
import { parseHead, type ResponseHead, writeHead } from './http-head.ts'

/** What the certificate of the server is held against, and what we show ours by. PEM. */
export interface TlsOptions {
  readonly ca?: readonly string[]
  readonly cert?: string
  readonly key?: string
  readonly rejectUnauthorized?: boolean
}

export interface ConnectionEvents {
  /** May be given the next exchange. */
  readonly onFree: (connection: Connection) => void
  /** Takes no exchange any more. Once. */
  readonly onGone: (connection: Connection) => void
  /** A TLS session that later connections may resume. */
  readonly onSession: (session: Buffer) => void
}

/** `code` of the error of a connection that was never made in time. */
const connectTimeoutCode = 'CONNECT_TIMEOUT'
const connectMs = 10_000
/** A server may think for minutes over a completion or a copy; who cannot wait has a deadline of its own. */
const headMs = 300_000
const bodyMs = 120_000
const idleMs = 20_000
/** A server's own bound of an idle connection is kept by so much, so that no request meets the end of it. */
const idleMarginMs = 2_000
const longestHead = 16 * 1024
const beginning = 'HTTP/1.'
/** Bodies of which less than this is missing are copied out of the common memory. */
const directFrom = 32 * 1024

/** What no body is read into: heads, short rests, bodies without a length. Used by all sockets: what is read is taken at once. */
const common = Buffer.allocUnsafeSlow(64 * 1024)

type Reading =
  | { readonly kind: 'nothing' }
  | { readonly kind: 'head'; early: string }
  | { readonly kind: 'length'; readonly body: Body; left: number; direct: boolean }
  | { readonly kind: 'chunked'; readonly body: Body; readonly decoder: ChunkedDecoder }
  | { readonly kind: 'close'; readonly body: Body }

/** One connection of HTTP/1.1 without pipelining. Bodies go from the socket straight into the memory that the reader gets. */
export class Connection implements BodySource {
  readonly #events: ConnectionEvents
  readonly #socket: Socket
  readonly #host: string
  #exchange: Exchange | null
  #reading: Reading = { kind: 'nothing' }
  #head: ResponseHead | null = null
  #isSending = false
  #connected = false
  #paused = false
  #gone = false
  #error: CloudError | Error | null = null

  /** @param first what it is opened for */
  constructor(origin: URL, tls: TlsOptions | undefined, session: Buffer | undefined, first: Exchange, events: ConnectionEvents) {
    this.#events = events
    this.#exchange = first
    this.#host = origin.host
    const host = origin.hostname.replace(/^\[|\]$/g, '')
    const secure = origin.protocol === 'https:'
    const port = origin.port === '' ? (secure ? 443 : 80) : Number(origin.port)
    const onread: OnReadOpts = { buffer: () => this.#room(), callback: (bytes) => this.#arrived(bytes) }
    const plain = { host, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000, onread }
    const { ca, ...own } = tls ?? {}
    this.#socket = secure
      ? connectTls({
          ...{ ...plain, ...own, ...(ca !== undefined && { ca: [...ca] }), ...(session !== undefined && { session }) },
          ...{ ALPNProtocols: ['http/1.1'], servername: isIP(host) === 0 ? host : '' },
        })
      : connectPlain(plain)
    const late = setTimeout(() => this.#fail(connectTimeout()), connectMs)
    this.#socket.once(secure ? 'secureConnect' : 'connect', () => {
      clearTimeout(late)
      this.#connected = true
      this.#begin()
    })
    this.#socket.on('session', (fresh: Buffer) => events.onSession(fresh))
    this.#socket.on('timeout', () => this.#tooLong())
    this.#socket.on('end', () => this.#serverEnded())
    this.#socket.on('error', (error) => (this.#error ??= error))
    this.#socket.on('close', () => {
      clearTimeout(late)
      this.#fail(this.#error ?? brokenOff())
    })
  }

  /** The next exchange, on a connection that is free. */
  run(exchange: Exchange): void {
    this.#exchange = exchange
    this.#socket.ref()
    this.#begin()
  }

  /** Ends it with what is under way on it. */
  destroy(error: CloudError): void {
    this.#fail(error)
  }

  resume(): void {
    if (!this.#paused || this.#gone) return
    this.#paused = false
    this.#socket.resume()
  }

  abandon(error: CloudError): void {
    this.#fail(error)
  }

  // ---- sending ----

  #begin(): void {
    const exchange = this.#exchange
    if (exchange === null || !this.#connected || this.#gone) return
    this.#reading = { kind: 'head', early: '' }
    this.#socket.setTimeout(headMs)
    const { body } = exchange.request
    try {
      this.#socket.cork()
      this.#socket.write(writeHead(exchange.request, this.#host, body === null ? 0 : Buffer.isBuffer(body) ? body.length : null), 'latin1')
      if (Buffer.isBuffer(body) && body.length > 0) this.#socket.write(body)
      this.#socket.uncork()
    } catch (caught) {
      this.#fail(CloudError.from(caught))
      return
    }
    if (body !== null && !Buffer.isBuffer(body)) void this.#send(exchange, body)
  }

  async #send(exchange: Exchange, body: AsyncIterable<Buffer>): Promise<void> {
    const length = Number(exchange.request.headers['content-length'])
    let sent = 0
    this.#isSending = true
    try {
      for await (const chunk of body) {
        // The server has answered already, or nobody waits for the answer any more.
        if (this.#exchange !== exchange || this.#gone) return
        sent += chunk.length
        if (sent > length) throw new CloudError('internal', 'a body is longer than its request said')
        if (!this.#socket.write(chunk)) await this.#drained()
      }
      if (sent !== length) throw new CloudError('internal', 'a body is shorter than its request said')
      this.#isSending = false
    } catch (caught) {
      if (this.#exchange === exchange) this.#fail(CloudError.from(caught))
    }
  }

  /** Resolves when the socket takes more, or is gone. */
  #drained(): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        this.#socket.off('drain', done)
        this.#socket.off('close', done)
        resolve()
      }
      this.#socket.on('drain', done)
      this.#socket.on('close', done)
    })
  }

  // ---- receiving ----

  /** Where the next read of the socket goes. */
  #room(): Buffer {
    const reading = this.#reading
    if (reading.kind !== 'length') return common
    reading.direct = reading.left >= directFrom
    return reading.direct ? reading.body.room(reading.left) : common
  }

  /** False pauses the socket. */
  #arrived(bytes: number): boolean {
    const reading = this.#reading
    if (this.#gone) return false
    try {
      if (reading.kind === 'length' && reading.direct) {
        reading.body.filled(bytes)
        this.#shorter(reading, bytes)
      } else {
        this.#take(common.subarray(0, bytes))
      }
    } catch (caught) {
      this.#fail(CloudError.from(caught))
      return false
    }
    return this.#goesOn()
  }

  /** After each read: it may be free now, or have to wait for a slow reader. */
  #goesOn(): boolean {
    const reading = this.#reading
    if (reading.kind === 'nothing' && !this.#gone) this.#events.onFree(this)
    this.#paused = reading.kind !== 'nothing' && reading.kind !== 'head' && reading.body.full
    return !this.#paused
  }

  /** Takes bytes that lie in the common memory. */
  #take(bytes: Buffer): void {
    const reading = this.#reading
    if (bytes.length === 0) return
    switch (reading.kind) {
      case 'nothing':
        throw new CloudError('garbage', 'not HTTP: the server sends what nobody asked for')
      case 'head':
        this.#takeHead(reading, bytes)
        return
      case 'length': {
        const mine = bytes.subarray(0, reading.left)
        reading.body.put(mine)
        this.#shorter(reading, mine.length)
        this.#take(bytes.subarray(mine.length))
        return
      }
      case 'chunked': {
        const taken = reading.decoder.take(bytes, (piece) => reading.body.put(piece))
        if (reading.decoder.done) this.#complete(reading.body)
        this.#take(bytes.subarray(taken))
        return
      }
      case 'close':
        reading.body.put(bytes)
    }
  }

  #shorter(reading: Reading & { kind: 'length' }, bytes: number): void {
    reading.left -= bytes
    if (reading.left === 0) this.#complete(reading.body)
  }

  #takeHead(reading: Reading & { kind: 'head' }, bytes: Buffer): void {
    const before = reading.early.length
    const text = reading.early + bytes.toString('latin1', 0, longestHead - before)
    if (!text.startsWith(beginning.slice(0, text.length)))
      throw new CloudError('garbage', 'not HTTP: the answer does not begin with a status line')
    const end = text.indexOf('\r\n\r\n', Math.max(0, before - 3))
    if (end < 0) {
      if (text.length >= longestHead) throw new CloudError('garbage', `the head of the answer is longer than ${longestHead} bytes`)
      reading.early = text
      return
    }
    const exchange = this.#exchange
    if (exchange === null) return
    const head = parseHead(text.slice(0, end), exchange.request.method)
    if (head.status === 101) throw new CloudError('garbage', 'the server changes to another protocol, unasked')
    // 1xx announces, it does not answer.
    if (head.status < 200) reading.early = ''
    else this.#answer(exchange, head)
    this.#take(bytes.subarray(end + 4 - before))
  }

  #answer(exchange: Exchange, head: ResponseHead): void {
    const { framing } = head
    const body = new Body(this)
    this.#head = head
    this.#socket.setTimeout(bodyMs)
    if (framing.kind === 'length') this.#reading = { kind: 'length', body, left: framing.length, direct: false }
    else if (framing.kind === 'chunked') this.#reading = { kind: 'chunked', body, decoder: new ChunkedDecoder() }
    else this.#reading = { kind: 'close', body }
    exchange.answered({ status: head.status, headers: head.headers, body })
    if (framing.kind === 'length' && framing.length === 0) this.#complete(body)
  }

  /** The answer is here. What the server did not want to read any more of the request spoils the connection. */
  #complete(body: Body): void {
    const head = this.#head
    this.#exchange?.finished()
    this.#exchange = null
    this.#head = null
    this.#reading = { kind: 'nothing' }
    body.end()
    const keptMs = Math.min(idleMs, (head?.keptSeconds ?? Infinity) * 1000 - idleMarginMs)
    if (head === null || !head.stays || this.#isSending || keptMs <= 0) {
      this.#fail(brokenOff())
      return
    }
    this.#socket.setTimeout(keptMs)
    this.#socket.unref()
  }

  #serverEnded(): void {
    const reading = this.#reading
    if (reading.kind === 'close') this.#complete(reading.body)
    this.#fail(brokenOff())
  }

  #tooLong(): void {
    const reading = this.#reading
    if (reading.kind === 'nothing') this.#fail(brokenOff())
    else if (reading.kind === 'head') this.#fail(new CloudError('timeout', 'the server does not answer'))
    // It may be the reader who waits.
    else if (!this.#paused) this.#fail(new CloudError('timeout', 'the rest of the answer does not come'))
  }

  /** The end of the connection, and of what is under way on it. */
  #fail(error: CloudError | Error): void {
    if (this.#gone) return
    this.#gone = true
    const reading = this.#reading
    this.#reading = { kind: 'nothing' }
    this.#socket.destroy()
    this.#exchange?.failed(error)
    if (reading.kind !== 'nothing' && reading.kind !== 'head') reading.body.fail(this.#exchange?.error ?? CloudError.from(error))
    this.#exchange = null
    this.#events.onGone(this)
  }
}

function brokenOff(): CloudError {
  return new CloudError('offline', 'the server closed the connection', { code: 'ECONNRESET' })
}

function connectTimeout(): CloudError {
  return new CloudError('offline', 'the server does not take the connection', {
    code: connectTimeoutCode,
    hint: 'Check the endpoint, and the network of this machine.',
  })
}
