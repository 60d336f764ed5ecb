/** What a disk refused, in words for people. */
export interface DiskWords {
  readonly message: string
  /** What the person can do. */
  readonly hint?: string
}

type Words = readonly [what: string, hint: string]

const rights = 'Give the user who runs CloudMoor the right to it, or choose another place.'
const room = 'Make room there, then try again.'

/** By errno name (errno(3)). */
const words: Readonly<Record<string, Words>> = {
  ENOENT: ['does not exist', 'Look at the path, or make what is missing.'],
  ENOTDIR: ['has something in its path that is no folder', 'Look at the path.'],
  ELOOP: ['leads round in symbolic links', 'Look at the path.'],
  EISDIR: ['is a folder', 'Name a file.'],
  EEXIST: ['exists already', 'Choose another name.'],
  ENOTEMPTY: ['is not empty', 'Choose an empty folder.'],
  ENAMETOOLONG: ['has too long a name', 'Choose a shorter path.'],
  EACCES: ['cannot be used: the rights do not allow it', rights],
  EPERM: ['cannot be changed: the rights do not allow it', rights],
  EROFS: ['is on a disk that is read-only', 'Make its disk writable, or choose another place.'],
  ENOSPC: ['cannot be written: its disk is full', room],
  EDQUOT: ['cannot be written: the quota of its disk is used up', room],
  EIO: ['cannot be read or written: its disk fails', 'Look at that disk before anything else is kept there.'],
  EMFILE: ['cannot be opened: too many files are open', 'Try again later, or raise the limit of open files.'],
  ENFILE: ['cannot be opened: too many files are open', 'Try again later.'],
  ETXTBSY: ['is a program that runs', 'End it first.'],
}

/** Those that are about a disk, also when it is not said which file it was. */
const aboutDisks = new Set(['EROFS', 'ENOSPC', 'EDQUOT', 'EIO'])

/** What to say in place of "ENOENT: no such file or directory, open '/…'"; null = the error is not about a file. */
export function wordsForFile(error: Error, code: string): DiskWords | null {
  const known = words[code]
  const place = placeOf(error)
  if (known === undefined || (place === null && !aboutDisks.has(code))) return null
  const [what, hint] = known
  return { message: `${place ?? 'a file'} ${what}`, hint }
}

/** The target of a rename or link is what stands in the way of it, unless the source is missing. */
function placeOf(error: Error): string | null {
  if ('dest' in error && typeof error.dest === 'string' && !('code' in error && error.code === 'ENOENT')) return error.dest
  return 'path' in error && typeof error.path === 'string' ? error.path : null
}

/** What to say of a database, by SQLite's extended result code (sqlite.org/rescode.html); null = its own text is better. */
export function wordsForDatabase(code: string): (DiskWords & { readonly kind: 'no-space' | 'read-only' }) | null {
  // The file that its processes share is given its room by writing to it.
  if (/^SQLITE_(FULL|IOERR_SHMSIZE)/.test(code))
    return { kind: 'no-space', message: 'the database cannot be written: its disk is full', hint: room }
  if (!code.startsWith('SQLITE_READONLY')) return null
  return { kind: 'read-only', message: 'the database cannot be written: it is read-only', hint: 'Look at its rights, and at its disk.' }
}
