import { connect } from 'node:net'
import { homedir } from 'node:os'
import { join, resolve } from 'node:path'

/** A place where a service may listen. `status` shows which one answered. */
export interface SocketPlace {
  readonly path: string
  readonly from: 'server' | 'home' | 'user' | 'system'
}

export interface SocketHints {
  /** Value of `--server`: path of a socket, or `unix:` and a path. */
  readonly server?: string | undefined
  readonly env?: Readonly<Record<string, string | undefined>>
  readonly home?: string
}

/** Where a service may listen, in the order in which to look. `--server` and `CLOUDMOOR_HOME` name the only one. */
export function socketPlaces({ server, env = process.env, home = homedir() }: SocketHints = {}): readonly SocketPlace[] {
  if (server !== undefined && server !== '') return [{ path: resolve(server.replace(/^unix:(\/\/(?=\/))?/, '')), from: 'server' }]
  const moved = env['CLOUDMOOR_HOME']
  if (moved !== undefined && moved !== '') return [{ path: join(resolve(moved), 'run', 'service.sock'), from: 'home' }]
  const runtime = absolute(env['XDG_RUNTIME_DIR'])
  const state = absolute(env['XDG_STATE_HOME']) ?? join(home, '.local', 'state')
  const user = runtime === null ? join(state, 'cloudmoor', 'run', 'service.sock') : join(runtime, 'cloudmoor', 'service.sock')
  return [
    { path: user, from: 'user' },
    { path: '/run/cloudmoor/service.sock', from: 'system' },
  ]
}

function absolute(path: string | undefined): string | null {
  return path?.startsWith('/') === true ? path : null
}

/** The first place where a service takes connections; null = none does. Rejects with EACCES if one is there but not for this user. */
export async function findSocket(hints: SocketHints = {}): Promise<SocketPlace | null> {
  for (const place of socketPlaces(hints)) if (await answers(place.path)) return place
  return null
}

const nobodyThere: ReadonlySet<string> = new Set(['ENOENT', 'ECONNREFUSED', 'ENOTDIR', 'ENOTSOCK', 'ETIMEDOUT'])

function answers(path: string): Promise<boolean> {
  return new Promise((fulfil, reject) => {
    const socket = connect(path)
    socket.setTimeout(2000, () => socket.destroy(Object.assign(new Error(`no answer on ${path}`), { code: 'ETIMEDOUT' })))
    socket.once('connect', () => {
      socket.destroy()
      fulfil(true)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== undefined && nobodyThere.has(error.code)) fulfil(false)
      else reject(error)
    })
  })
}
