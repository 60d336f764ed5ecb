import { chmod, lstat, unlink } from 'node:fs/promises'
import { createServer as createHttp1 } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { createServer as createHttp2 } from 'node:http2'
import type { Http2ServerRequest, Http2ServerResponse, ServerHttp2Session } from 'node:http2'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { dirname } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import { checkSocketPath, ensurePrivateFolder } from '../../common/paths.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { Principal } from '../users/principal.ts'
import { sniffProtocol } from './sniff-protocol.ts'

export type Request = IncomingMessage | Http2ServerRequest
export type Response = ServerResponse | Http2ServerResponse

export interface ListenerOptions {
  readonly socketPath: string
  /** Mode of the folder that holds the socket: 0o700, or 0o750 where a group comes in. */
  readonly folderMode: number
  /** Who is at the other end; null = is sent away. */
  readonly admit: (socket: Socket) => Principal | null
  readonly handle: (request: Request, response: Response, principal: Principal) => void
  readonly log: Log
  readonly limits?: Partial<ListenerLimits>
}

export interface ListenerLimits {
  /** Further connections are closed at once. */
  readonly connections: number
  /** Calls at a time on one HTTP/2 connection. */
  readonly streamsPerConnection: number
  /** Milliseconds for the first bytes, and for the headers of a request. */
  readonly headersMs: number
  /** Milliseconds for a whole request (not its answer). */
  readonly requestMs: number
}

const defaultLimits: ListenerLimits = { connections: 512, streamsPerConnection: 128, headersMs: 10_000, requestMs: 60_000 }
const maxHeaderBytes = 16 * 1024

export interface Listener {
  /** Takes no new calls, lets those at work end within `graceMs`, then cuts them. */
  close(graceMs: number): Promise<void>
}

/**
 * Listens on a unix socket, mode 0600 in a folder of ours. One socket serves HTTP/1.1 and HTTP/2: the first bytes of a connection
 * tell which. Throws `invalid` (path too long), `access` (the folder), `exists` (the path is something else), `busy` (HOME_IN_USE).
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const limits = { ...defaultLimits, ...options.limits }
  checkSocketPath(options.socketPath)
  await ensurePrivateFolder(dirname(options.socketPath), options.folderMode)
  await removeStaleSocket(options.socketPath)

  const principals = new WeakMap<object, Principal>()
  const sockets = new Set<Socket>()
  const sessions = new Set<ServerHttp2Session>()

  const http1 = createHttp1({
    maxHeaderSize: maxHeaderBytes,
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: Math.min(1000, limits.headersMs),
  })
  // It never listens itself, but only then does it watch over slow clients.
  http1.emit('listening')
  http1.on('request', (request, response) => serve(request, response, principals.get(request.socket)))

  const http2 = createHttp2({
    maxSessionMemory: 16,
    settings: { maxConcurrentStreams: limits.streamsPerConnection, maxHeaderListSize: maxHeaderBytes },
  })
  let arriving: Principal | null = null
  http2.on('session', (session) => {
    // Emitted while the connection is handed over, see below.
    if (arriving !== null) principals.set(session, arriving)
    sessions.add(session)
    session.once('close', () => sessions.delete(session))
    session.on('error', (caught) => options.log.write('debug', 'an HTTP/2 connection failed', { error: CloudError.from(caught) }))
  })
  http2.on('request', (request, response) => serve(request, response, principals.get(request.stream.session ?? request)))

  function serve(request: Request, response: Response, principal: Principal | undefined): void {
    if (principal === undefined) request.destroy()
    else options.handle(request, response, principal)
  }

  function receive(socket: Socket): void {
    sockets.add(socket)
    socket.once('close', () => sockets.delete(socket))
    socket.on('error', () => socket.destroy())
    const principal = admitOrNull(socket)
    if (principal === null) {
      socket.destroy()
      return
    }
    sniffProtocol(socket, limits.headersMs, (protocol) => {
      if (protocol === 'http1') {
        principals.set(socket, principal)
        http1.emit('connection', socket)
      } else {
        arriving = principal
        http2.emit('connection', socket)
        arriving = null
      }
    })
  }

  function admitOrNull(socket: Socket): Principal | null {
    try {
      const principal = options.admit(socket)
      if (principal === null) options.log.write('warn', 'a connection was refused: it comes from another user')
      return principal
    } catch (caught) {
      options.log.write('error', 'a connection was refused: its user could not be found out', { error: CloudError.from(caught) })
      return null
    }
  }

  const server = createServer(receive)
  server.maxConnections = limits.connections
  await listen(server, options.socketPath)
  await chmod(options.socketPath, 0o600)

  return {
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

function listen(server: ReturnType<typeof createServer>, path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (caught) => reject(CloudError.from(caught)))
    server.listen(path, resolve)
  })
}

/** Removes the socket of a service that died; a live one, or anything that is no socket, is refused. */
async function removeStaleSocket(path: string): Promise<void> {
  const found = await lstat(path).catch(() => null)
  if (found === null) return
  if (!found.isSocket()) throw new CloudError('exists', `${path} is not a socket`, { hint: 'Move it away.' })
  if (await isAnswered(path))
    throw new CloudError('busy', `another service answers on ${path}`, { code: 'HOME_IN_USE', hint: 'Stop it first.' })
  await unlink(path)
}

function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path)
    const end = (answered: boolean) => {
      socket.destroy()
      resolve(answered)
    }
    socket.setTimeout(2000, () => end(true))
    socket.once('connect', () => end(true))
    socket.once('error', (error: NodeJS.ErrnoException) => end(error.code !== 'ECONNREFUSED' && error.code !== 'ENOENT'))
  })
}
