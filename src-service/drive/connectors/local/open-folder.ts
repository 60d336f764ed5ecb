/**
 * Folders by descriptor, never by a path that somebody may bend. A folder is opened once, the kernel is asked where the
 * descriptor really is, and all work below goes through `/proc/self/fd/N/name`: a symlink planted in between leads nowhere.
 */
import fs from 'node:fs'
import { promisify } from 'node:util'
import { CloudError } from '../../../common/errors.ts'

const open = promisify(fs.open)
const close = promisify(fs.close)
const { readlink, realpath } = fs.promises

/** O_PATH has no name in Node; the number is the same on all Linux architectures that Node runs on. */
const openPath = 0o10000000
const slash = Buffer.from('/')
/** Longer paths than PATH_MAX cannot be given to the kernel, nor does it give them. */
const pathMax = 4095
const linux = process.platform === 'linux'

export interface OpenFolder {
  /** A path for a name inside; valid as long as the folder is open. */
  entry(name: Buffer): Buffer
  /** A path for the folder itself. */
  readonly self: Buffer
}

/** Joins raw names below `root`. `name-invalid` for what cannot be a name: nothing may climb out of the root. */
export function joinNames(root: Buffer, names: readonly Buffer[]): Buffer {
  const above = root.equals(slash) ? [] : [root]
  return names.length === 0 ? root : Buffer.concat([...above, ...names.flatMap((name) => [slash, checkName(name)])])
}

export function checkName(name: Buffer): Buffer {
  const dots = name.equals(Buffer.from('.')) || name.equals(Buffer.from('..'))
  if (name.length === 0 || dots || name.includes(0x2f) || name.includes(0)) {
    throw new CloudError('name-invalid', 'not a name for a file')
  }
  if (name.length > 255) throw new CloudError('name-too-long', 'a name may have 255 bytes')
  return name
}

/**
 * Runs `use` with the folder open. `realRoot` must have no symlinks in it.
 * @throws CloudError `not-found`, `not-a-folder`, `access` (a component below the root is a symlink)
 */
export async function withFolder<T>(realRoot: Buffer, names: readonly Buffer[], use: (folder: OpenFolder) => Promise<T>): Promise<T> {
  const path = joinNames(realRoot, names)
  if (!linux) {
    if (!(await realpath(path, { encoding: 'buffer' })).equals(path)) throw bent()
    return await use(folderAt(path))
  }
  if (path.length > pathMax) return await withFarFolder(realRoot, names, use)
  return await withOpen(path, async (link) => {
    if (!(await readlink(link, { encoding: 'buffer' })).equals(path)) throw bent()
    return await use(folderAt(link))
  })
}

/** As far as a path reaches, then name by name: a symlink among these is no folder. */
async function withFarFolder<T>(realRoot: Buffer, names: readonly Buffer[], use: (folder: OpenFolder) => Promise<T>): Promise<T> {
  let near = 0
  for (let length = realRoot.length; length <= pathMax; near++) length += 1 + (names[near]?.length ?? Infinity)
  const descend = (folder: OpenFolder, [name, ...rest]: readonly Buffer[]): Promise<T> =>
    name === undefined ? use(folder) : withOpen(folder.entry(name), (link) => descend(folderAt(link), rest))
  return await withFolder(realRoot, names.slice(0, near - 1), (folder) => descend(folder, names.slice(near - 1)))
}

/** Runs `use` with a path that leads to the folder as long as it is open. */
async function withOpen<T>(path: Buffer, use: (link: Buffer) => Promise<T>): Promise<T> {
  const fd = await open(path, openPath | fs.constants.O_DIRECTORY | fs.constants.O_NOFOLLOW)
  try {
    return await use(Buffer.from(`/proc/self/fd/${fd}`))
  } finally {
    await close(fd)
  }
}

function folderAt(path: Buffer): OpenFolder {
  // With the dot the kernel goes through the link to the folder, also in calls that do not follow links.
  return { self: Buffer.concat([path, Buffer.from('/.')]), entry: (name) => Buffer.concat([path, slash, checkName(name)]) }
}

function bent(): CloudError {
  return new CloudError('access', 'a folder on the way is a symbolic link', { hint: 'Symbolic links to folders are shown, not followed.' })
}
