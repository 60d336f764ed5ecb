import { chmod, chown, lstat, unlink } from 'node:fs/promises'
import { connect, createServer } from 'node:net'
import type { Server, Socket } from 'node:net'
import { dirname } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import { checkSocketPath, ensurePrivateFolder } from '../../common/paths.ts'
import type { Log } from '../../common/telemetry/log.ts'
import type { Principal } from '../users/principal.ts'
import { defaultLimits, serveConnections } from './connections.ts'
import type { Listener, ListenerLimits, Request, Response } from './connections.ts'

export interface ListenerOptions {
  readonly socketPath: string
  /** Mode of the folder that holds the socket: 0o700, or 0o750 where a group comes in. */
  readonly folderMode: number
  /** Group whose members may connect, besides this user; null = none. */
  readonly groupId?: number | null
  /** Who is at the other end; null = is sent away. */
  readonly admit: (socket: Socket) => Principal | null
  readonly handle: (request: Request, response: Response, principal: Principal) => void
  readonly log: Log
  readonly limits?: Partial<ListenerLimits>
}

/**
 * Listens on a unix socket, mode 0600 in a folder of ours, or 0660 where a group comes in. Throws `invalid` (path too long), `access`
 * (the folder), `exists` (the path is something else), `busy` (HOME_IN_USE).
 */
export async function openListener(options: ListenerOptions): Promise<Listener> {
  const limits = { ...defaultLimits, ...options.limits }
  checkSocketPath(options.socketPath)
  await ensurePrivateFolder(dirname(options.socketPath), options.folderMode)
  await removeStaleSocket(options.socketPath)

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

  const server = createServer((socket) => {
    const principal = admitOrNull(socket)
    if (principal !== null) {
      connections.receive(socket, principal)
      return
    }
    socket.on('error', () => {})
    socket.destroy()
  })
  const connections = serveConnections(server, limits, options.log, options.handle)
  server.maxConnections = limits.connections
  await listen(server, options.socketPath)
  await letIn(options)
  return connections
}

async function letIn({ socketPath, groupId }: ListenerOptions): Promise<void> {
  const group = groupId ?? null
  if (group !== null) {
    for (const path of [dirname(socketPath), socketPath]) await chown(path, process.getuid?.() ?? 0, group)
  }
  await chmod(socketPath, group === null ? 0o600 : 0o660)
}

function listen(server: Server, path: string): Promise<void> {
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
