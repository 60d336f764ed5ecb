import { createReadStream } from 'node:fs'
import { mkdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'
import { exitCodes } from './exit-codes.ts'
import { Failure, usageFailure } from './failure.ts'
import { readAll } from './read-all.ts'

type Words = readonly [what: string, hint: string]

const rights = 'Give yourself the right to it, or choose another place.'
const room = 'Make room there, then try again.'

/** By errno name (errno(3)): what this program's own files may meet. Of its files the service tells in the same words. */
const words: Readonly<Record<string, Words>> = {
  ENOENT: ['does not exist', 'Look at the path.'],
  ENOTDIR: ['has something in its path that is no folder', 'Look at the path.'],
  EISDIR: ['is a folder', 'Name a file.'],
  EEXIST: ['exists already', 'Choose another place.'],
  ELOOP: ['leads round in symbolic links', 'Look at the path.'],
  ENAMETOOLONG: ['has too long a name', 'Choose a shorter path.'],
  EACCES: ['cannot be used: the rights do not allow it', rights],
  EPERM: ['cannot be used: the rights do not allow it', rights],
  EROFS: ['is on a disk that is read-only', 'Make its disk writable, or choose another place.'],
  ENOSPC: ['cannot be written: its disk is full', room],
  EDQUOT: ['cannot be written: the quota of its disk is used up', room],
  EFBIG: ['cannot be written: a file may not be that large there', 'Choose another place.'],
  EIO: ['cannot be read or written: its disk fails', 'Look at that disk before anything else is kept there.'],
  EMFILE: ['cannot be opened: too many files are open', 'Try again later, or raise the limit of open files.'],
  ENFILE: ['cannot be opened: too many files are open', 'Try again later.'],
}

/**
 * What to say in place of "ENOENT: no such file or directory, open '/…'"; null = the error is not about a file.
 * @param name what to call it, where the error does not tell or it is no path
 */
export function fileFailure(error: unknown, name?: string): Failure | null {
  if (!(error instanceof Error) || !('code' in error)) return null
  const place = name ?? placeOf(error)
  const known = words[String(error.code)]
  if (known === undefined || place === undefined) return null
  const [what, hint] = known
  return new Failure(`${place} ${what}`, { exitCode: exitCodes.failed, reason: 'FILE', hint })
}

/** A socket's error has its path as an address. */
function placeOf(error: Error): string | undefined {
  if ('path' in error && typeof error.path === 'string') return error.path
  return 'address' in error && typeof error.address === 'string' ? error.address : undefined
}

/** The text of a file that was named on the command line, at most 1 MiB. Throws a usage Failure with what to do. */
export async function readText(path: string): Promise<string> {
  try {
    return await readAll(createReadStream(path), path)
  } catch (error) {
    const failure = fileFailure(error, path)
    throw failure === null ? error : usageFailure(failure.message, failure.hint)
  }
}

/**
 * Makes a folder for this user alone, and those above it that are missing. Node's own `recursive` never ends below a folder such as
 * /proc, which takes no new ones and says of them that they do not exist. Rejects with the system's error.
 */
export async function makeFolders(path: string): Promise<void> {
  try {
    await makeFolder(path)
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ENOENT') || dirname(path) === path) throw error
    await makeFolders(dirname(path))
    await makeFolder(path)
  }
}

async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { mode: 0o700 }).catch(async (error: unknown) => {
    if ((await stat(path).catch(() => null))?.isDirectory() !== true) throw error
  })
}
