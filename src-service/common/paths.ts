import { chmod, lstat } from 'node:fs/promises'
import { homedir, tmpdir } from 'node:os'
import { join, resolve, sep } from 'node:path'
import { CloudError } from './errors.ts'
import { makeFolders } from './make-folders.ts'

/** Where a service keeps what it has. All paths absolute. */
export interface Places {
  /** A `user` service serves one uid; a `system` service the machine. */
  readonly kind: 'user' | 'system'
  /** Survives everything: database, key, mounts' data, logs. */
  readonly state: string
  /** Gone after a reboot: sockets. */
  readonly run: string
  /** Where programs talk to the service. */
  readonly socket: string
  /** Folder of the workers' sockets, `<worker id>.sock`. */
  readonly workers: string
  /** Folder of the log files. */
  readonly logs: string
  readonly database: string
  readonly backups: string
  /** Held as long as a service lives on this home. */
  readonly lock: string
  readonly keyFile: string
  /** Key of the audit log's chain. */
  readonly auditKey: string
  /** Folder of the mounts' databases and caches, one folder by mount id. */
  readonly mounts: string
}

/** What the places are computed from. */
export interface PlaceHints {
  readonly env: Readonly<Record<string, string | undefined>>
  /** Home folder of the user. */
  readonly home: string
  readonly system: boolean
}

/** Longest path that `bind` and `connect` take for a unix socket, in bytes. */
const maxSocketPath = 107
/** Room for `/workers/` and an id of at most 16 characters with `.sock`. */
const workerSocketRoom = '/workers/'.length + 16 + '.sock'.length

/**
 * Computes the places of a service: `CLOUDMOOR_HOME` moves all of them; otherwise XDG folders (user) or /var/lib and /run (system).
 * Throws `invalid` when the state would lie where files are cleaned away, or when sockets would have too long a path.
 */
export function findPlaces(hints: PlaceHints = { env: process.env, home: homedir(), system: false }): Places {
  const { state, run } = roots(hints)
  const places: Places = {
    kind: hints.system ? 'system' : 'user',
    state,
    run,
    socket: join(run, 'service.sock'),
    workers: join(run, 'workers'),
    logs: join(state, 'logs'),
    database: join(state, 'service.db'),
    backups: join(state, 'backups'),
    lock: join(state, 'service.lock'),
    keyFile: join(state, 'secrets.key'),
    auditKey: join(state, 'audit.key'),
    mounts: join(state, 'mounts'),
  }
  checkSocketPath(places.socket)
  if (Buffer.byteLength(run) + workerSocketRoom > maxSocketPath) throw tooLong(join(run, 'workers'))
  return places
}

function roots({ env, home, system }: PlaceHints): { readonly state: string; readonly run: string } {
  const moved = env['CLOUDMOOR_HOME']
  if (moved !== undefined && moved !== '') {
    const state = resolve(moved)
    return { state, run: join(state, 'run') }
  }
  if (system) return { state: '/var/lib/cloudmoor', run: '/run/cloudmoor' }
  const state = join(absolute(env['XDG_STATE_HOME']) ?? join(home, '.local', 'state'), 'cloudmoor')
  const reason = whyVolatile(state, { env, home })
  if (reason !== null) {
    throw new CloudError('invalid', `the state folder ${state} lies under ${reason}, where files are cleaned away`, {
      hint: 'Set XDG_STATE_HOME or CLOUDMOOR_HOME to a folder that is kept: it holds the only copy of files that are not uploaded yet.',
    })
  }
  const runtime = absolute(env['XDG_RUNTIME_DIR'])
  return { state, run: runtime === null ? join(state, 'run') : join(runtime, 'cloudmoor') }
}

/** The folder that is cleaned away by itself (cache or temporary) and that holds `path`; null = none. Looks at names only. */
export function whyVolatile(path: string, { env, home }: Pick<PlaceHints, 'env' | 'home'>): string | null {
  const cleaned = [absolute(env['XDG_CACHE_HOME']) ?? join(home, '.cache'), tmpdir(), '/tmp', '/var/tmp', '/dev/shm', '/run']
  return cleaned.find((folder) => path === folder || path.startsWith(folder + sep)) ?? null
}

/** As the XDG specification says, a relative path counts as not set. */
function absolute(path: string | undefined): string | null {
  return path?.startsWith('/') === true ? resolve(path) : null
}

/** Throws `invalid` with the reason if a unix socket cannot have this path. */
export function checkSocketPath(path: string): void {
  if (Buffer.byteLength(path) > maxSocketPath) throw tooLong(path)
}

function tooLong(path: string): CloudError {
  return new CloudError('invalid', `the socket path ${path} is too long: with its socket it takes more than ${maxSocketPath} bytes`, {
    hint: 'Set CLOUDMOOR_HOME (or XDG_RUNTIME_DIR) to a shorter path.',
  })
}

/** Makes the folders; each belongs to this user alone afterwards. Throws `access` if one is a link, or someone else's. */
export async function preparePlaces(places: Places): Promise<void> {
  for (const folder of [places.state, places.logs, places.backups, places.mounts]) await ensurePrivateFolder(folder, 0o700)
  await ensurePrivateFolder(places.run, places.kind === 'system' ? 0o750 : 0o700)
  await ensurePrivateFolder(places.workers, 0o700)
}

/**
 * Makes a folder with this mode, or corrects the mode of one of ours. Throws `access` if the path is a symbolic link or belongs to
 * another user, `not-a-folder` if it is something else.
 */
export async function ensurePrivateFolder(path: string, mode: number): Promise<void> {
  await makeFolders(path, mode)
  const found = await lstat(path)
  if (found.isSymbolicLink()) throw new CloudError('access', `${path} is a symbolic link`, { hint: 'Replace it by a folder of your own.' })
  if (!found.isDirectory()) throw new CloudError('not-a-folder', `${path} is not a folder`)
  if (process.getuid !== undefined && found.uid !== process.getuid()) {
    throw new CloudError('access', `${path} belongs to user ${found.uid}, not to user ${process.getuid()}, who runs this`)
  }
  if ((found.mode & 0o777) !== mode) await chmod(path, mode)
}
