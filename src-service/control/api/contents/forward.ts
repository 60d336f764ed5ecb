import { request as httpRequest } from 'node:http'
import type { ClientRequest, IncomingMessage } from 'node:http'
import type { Socket } from 'node:net'
import { pipeline } from 'node:stream/promises'
import { CloudError } from '../../../common/errors.ts'
import { errorHeader, fromWireError } from '../../../common/frames/wire-error.ts'
import type { WireError } from '../../../common/frames/messages.ts'
import { correlationHeader } from '../call.ts'
import type { Request, Response } from '../connections.ts'
import { begin, plainHeaders } from '../rest/write-answer.ts'
import type { ContentsPath } from './contents-path.ts'

interface Transfer {
  readonly request: Request
  readonly response: Response
  readonly target: ContentsPath
  /** To the worker, for this request alone. */
  readonly connection: Socket
  readonly correlationId: string
  /** Milliseconds without a byte in either direction. */
  readonly idleMs: number
  readonly signal: AbortSignal
}

/** What the worker is told of a request. */
const asked = ['range', 'if-range', 'if-match', 'if-none-match', 'content-length', 'content-range']
/** What the client is told of the worker's answer. */
const answered = ['content-length', 'content-range', 'accept-ranges', 'last-modified', 'etag']

/** Nobody takes contents for a page of this service. */
const harmless = {
  ...plainHeaders,
  'content-type': 'application/octet-stream',
  'content-security-policy': "sandbox; default-src 'none'",
}

/** Hands a request on to a worker, and its answer back. Throws what the worker says, `timeout`, `cancelled`, `offline`. */
export async function forward(transfer: Transfer): Promise<void> {
  const { request, connection, idleMs, signal } = transfer
  const idle = new AbortController()
  const timer = setTimeout(() => idle.abort(new CloudError('timeout', `nothing moved for ${idleMs / 1000} s`)), idleMs)
  const ended = AbortSignal.any([signal, idle.signal])
  const cut = () => connection.destroy()
  ended.addEventListener('abort', cut, { once: true })
  try {
    if (ended.aborted) throw CloudError.from(ended.reason)
    const answer = await ask(transfer, () => timer.refresh())
    answer.on('data', () => timer.refresh())
    answer.pause()
    await pass(transfer, answer, ended)
  } catch (caught) {
    throw ended.aborted ? CloudError.from(ended.reason) : CloudError.from(caught)
  } finally {
    clearTimeout(timer)
    ended.removeEventListener('abort', cut)
    request.unpipe()
    cut()
  }
}

/** The worker's answer, which may come before it has the whole body. */
function ask({ request, target, connection }: Transfer, moved: () => void): Promise<IncomingMessage> {
  const headers = Object.fromEntries(asked.flatMap((name) => (request.headers[name] === undefined ? [] : [[name, request.headers[name]]])))
  return new Promise((resolve, reject) => {
    const upstream = httpRequest({
      ...{ createConnection: () => connection, method: request.method ?? 'GET', path: target.encoded, setHost: false },
      headers: { ...headers, host: 'drive' },
    })
    upstream.on('response', resolve)
    upstream.on('error', (caught) =>
      reject(new CloudError('unavailable', 'the worker broke off', { code: 'WORKER_UNAVAILABLE', cause: caught })),
    )
    if (request.method === 'PUT') send(request, upstream, moved, reject)
    else upstream.end()
  })
}

function send(request: Request, upstream: ClientRequest, moved: () => void, fail: (error: CloudError) => void): void {
  const { 'content-encoding': encoding = 'identity' } = request.headers
  if (encoding !== 'identity') {
    upstream.destroy()
    fail(new CloudError('invalid', 'contents must not be compressed', { code: 'MEDIA_TYPE' }))
    return
  }
  const brokenOff = () => {
    if (request.complete && !request.destroyed) return
    upstream.destroy()
    fail(new CloudError('cancelled', 'the client broke off'))
  }
  request.once('error', brokenOff)
  request.once('aborted', brokenOff)
  request.on('data', moved)
  request.pipe(upstream)
}

async function pass({ request, response, target, correlationId }: Transfer, answer: IncomingMessage, signal: AbortSignal): Promise<void> {
  const status = answer.statusCode ?? 500
  const copied = answered.flatMap((name) => {
    const value = answer.headers[name]
    return typeof value === 'string' ? [[name, value] as const] : []
  })
  const told = { ...Object.fromEntries(copied), [correlationHeader]: correlationId }
  if (status === 416) {
    response.setHeader('content-range', answer.headers['content-range'] ?? '')
    throw new CloudError('range', 'the file has nothing there', { code: 'RANGE_NOT_SATISFIABLE' })
  }
  const failure = answer.headers[errorHeader]
  if (typeof failure === 'string') throw fromWireError(JSON.parse(decodeURIComponent(failure)) as WireError)
  if (status >= 400) throw new CloudError('garbage', `the worker answers ${status}`)
  if (request.method === 'PUT' || status === 304) {
    begin(response, status, { ...plainHeaders, ...told })
    response.end()
    return
  }
  begin(response, status, { ...harmless, ...told, 'content-disposition': attachment(target.path) })
  if (request.method === 'HEAD') response.end()
  else await pipeline(answer, response as NodeJS.WritableStream, { signal })
}

/** As RFC 6266 says, with a name for clients that know no UTF-8. */
function attachment(path: string): string {
  const name = path.slice(path.lastIndexOf('/') + 1)
  const plain = name.replace(/[^A-Za-z0-9._ -]/g, '_')
  const whole = encodeURIComponent(name.toWellFormed()).replace(/['()*]/g, (sign) => `%${sign.charCodeAt(0).toString(16).toUpperCase()}`)
  return `attachment; filename="${plain}"; filename*=UTF-8''${whole}`
}
