import { createServer as createHttp1 } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2'
import type { Server, Socket } from 'node:net'
import { TLSSocket } from 'node:tls'
import { CloudError } from '../../common/errors.ts'
import type { Log } from '../../common/telemetry/log.ts'
import { sniffProtocol } from './sniff-protocol.ts'

export type Request = IncomingMessage | Http2ServerRequest
export type Response = ServerResponse | Http2ServerResponse

export interface ListenerLimits {
  /** Further connections are closed at once. */
  readonly connections: number
  /** Calls at a time on one HTTP/2 connection. */
  readonly streamsPerConnection: number
  /** Milliseconds for the first bytes, and for the headers of a request. */
  readonly headersMs: number
  /** Milliseconds for a whole request (not its answer), and in HTTP/2 without any sign of life while it is incomplete. */
  readonly requestMs: number
}

export const defaultLimits: ListenerLimits = { connections: 512, streamsPerConnection: 128, headersMs: 10_000, requestMs: 60_000 }
const maxHeaderBytes = 16 * 1024

export interface Listener {
  /** Takes no new calls, lets those at work end within `graceMs`, then cuts them. */
  close(graceMs: number): Promise<void>
}

/** Serves HTTP/1.1 and HTTP/2 on each connection: its first bytes, or for TLS the handshake, tell which. `server` made them. */
export function serveConnections<Who extends object>(
  server: Server,
  limits: ListenerLimits,
  log: Log,
  handle: (request: Request, response: Response, who: Who) => void,
): { readonly receive: (socket: Socket, who: Who) => void; readonly close: (graceMs: number) => Promise<void> } {
  const owners = new WeakMap<object, Who>()
  const sockets = new Set<Socket>()
  const sessions = new Set<ServerHttp2Session>()

  const http1 = createHttp1({
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: limits.headersMs,
    // Own timers, see limitBody: some bodies may take as long as they take.
    requestTimeout: 0,
    connectionsCheckingInterval: Math.min(1000, limits.headersMs),
  })
  // It never listens itself, but only then does it watch over slow clients.
  http1.emit('listening')
  http1.on('request', (request, response) => serve(request, response, owners.get(request.socket)))

  const http2 = createHttp2({
    maxSessionMemory: 16,
    settings: { maxConcurrentStreams: limits.streamsPerConnection, maxHeaderListSize: maxHeaderBytes },
  })
  let arriving: Who | null = null
  http2.on('session', (session) => {
    // Emitted while the connection is handed over, see below.
    if (arriving !== null) owners.set(session, arriving)
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    session.on('error', (caught) => log.write('debug', 'an HTTP/2 connection failed', { error: CloudError.from(caught) }))
  })
  http2.on('request', (request, response) => serve(request, response, owners.get(request.stream.session ?? request)))

  function serve(request: Request, response: Response, who: Who | undefined): void {
    if (who === undefined) {
      request.destroy()
      return
    }
    // Who waits for them hears of them; an end that nobody waits for any more must not end the service.
    request.on('error', () => {})
    response.on('error', () => {})
    limitBody(request, limits.requestMs)
    handle(request, response, who)
  }

  function serveAs(protocol: 'http1' | 'http2', socket: Socket, who: Who): void {
    if (protocol === 'http1') {
      owners.set(socket, who)
      http1.emit('connection', socket)
      return
    }
    arriving = who
    http2.emit('connection', socket)
    arriving = null
  }

  return {
    receive: (socket, who) => {
      sockets.add(socket)
      socket.once('close', () => sockets.delete(socket))
      socket.on('error', () => socket.destroy())
      if (socket instanceof TLSSocket) serveAs(socket.alpnProtocol === 'h2' ? 'http2' : 'http1', socket, who)
      else sniffProtocol(socket, limits.headersMs, (protocol) => serveAs(protocol, socket, who))
    },
    close: async (graceMs) => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()))
      for (const session of sessions) session.close()
      http1.close()
      http1.closeIdleConnections()
      const cut = setTimeout(() => {
        for (const socket of sockets) socket.destroy()
      }, graceMs)
      await closed
      clearTimeout(cut)
    },
  }
}

const bodyTimers = new WeakMap<Request, NodeJS.Timeout>()

/** Cuts a request whose body takes too long. */
function limitBody(request: Request, milliseconds: number): void {
  if ('stream' in request) {
    request.stream.setTimeout(milliseconds, () => {
      if (!request.complete) request.stream.close()
    })
    return
  }
  const { socket } = request
  const timer = setTimeout(() => {
    if (!request.complete) socket.end('HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n', () => socket.destroy())
  }, milliseconds)
  bodyTimers.set(request, timer)
  request.once('close', () => clearTimeout(timer))
}

/** From here on whoever reads the body watches over it. */
export function takeTime(request: Request): void {
  if ('stream' in request) request.stream.setTimeout(0)
  else clearTimeout(bodyTimers.get(request))
}
