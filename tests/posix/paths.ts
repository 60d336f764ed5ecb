/** What is wrong with a path on the way to its last name, and what every call says of it. */
import type { Case } from './table.ts'

const calls = [
  'open P r',
  'open P w',
  'open P rw|creat',
  'open P r|directory',
  'open P path',
  'mkdir P',
  'rmdir P',
  'unlink P',
  'rename P new',
  'rename f P',
  'rename d P',
  'renameat2 f P noreplace',
  'renameat2 f P exchange',
  'link P new',
  'link f P',
  'linkfollow P new',
  'symlink x P',
  'readlink P',
  'mkfifo P',
  'mknod P f 0644 0 0',
  'mknod P c 0644 1 2',
  'chmod P 0644',
  'chown P 1 1',
  'lchown P 1 1',
  'truncate P 0',
  'utimens P 1 1',
  'lutimens P 1 1',
  'access P exists',
  'stat P',
  'lstat P',
  'list P',
  'statvfs P',
]

const faults: readonly (readonly [string, string, string, string])[] = [
  ['an absent folder', 'none/x', 'ENOENT', ''],
  ['a file for a folder', 'f/x', 'ENOTDIR', ''],
  ['a FIFO for a folder', 'p/x', 'ENOTDIR', ''],
  ['a link to a file for a folder', 'lf/x', 'ENOTDIR', ''],
  ['a link to nothing for a folder', 'dang/x', 'ENOENT', ''],
  ['a link to itself for a folder', 'loop/x', 'ELOOP', ''],
  ['a name of 256 bytes', '{256}', 'ENAMETOOLONG', ''],
  ['a folder with a name of 256 bytes', '{256}/x', 'ENAMETOOLONG', ''],
  ['a path of more than PATH_MAX', '{path}', 'ENAMETOOLONG', ''],
  ['an empty path', '{empty}', 'ENOENT', ''],
  ['a folder that may not be entered', 'locked/x', 'EACCES', '@65534:65534 '],
]

export const paths: readonly Case[] = faults.flatMap(([fault, path, error, as]) =>
  calls.map((call) => ({ name: `${fault}, ${call}`, steps: `${as}${call.replace('P', path)} => ${error}` })),
)
