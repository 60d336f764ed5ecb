/** What every call does to every type of file. */
import type { Case } from './table.ts'

const types = ['f', 'd', 'full', 'p', 's', 'b', 'c', 'lf', 'ld', 'dang', 'loop', 'none'] as const

/** Short words for what is expected; '-' leaves a case out. */
const words: Readonly<Record<string, string>> = {
  ok: '0',
  acc: 'EACCES',
  dir: 'EISDIR',
  exist: 'EEXIST',
  full: 'ENOTEMPTY',
  inval: 'EINVAL',
  loop: 'ELOOP',
  noent: 'ENOENT',
  nodir: 'ENOTDIR',
  nxio: 'ENXIO',
  perm: 'EPERM',
}

/** Columns: file, folder, full folder, FIFO, socket, block device, character device; links to a file, to a folder, to nothing, to itself; absent. */
const rows: readonly (readonly [string, string])[] = [
  ['open T r|nonblock', 'ok ok ok ok nxio - - ok ok noent loop noent'],
  ['open T w|nonblock', 'ok dir dir nxio nxio - - ok dir noent loop noent'],
  ['open T rw|nonblock', 'ok dir dir ok nxio - - ok dir noent loop noent'],
  ['open T w|creat|nonblock', 'ok dir dir nxio nxio - - ok dir ok loop ok'],
  ['open T w|creat|excl', 'exist exist exist exist exist exist exist exist exist exist exist ok'],
  ['open T w|trunc|nonblock', 'ok dir dir nxio nxio - - ok dir noent loop noent'],
  ['open T r|nofollow|nonblock', 'ok ok ok ok nxio - - loop loop loop loop noent'],
  ['open T r|directory', 'nodir ok ok nodir nodir nodir nodir nodir ok noent loop noent'],
  ['open T path', 'ok ok ok ok ok ok ok ok ok noent loop noent'],
  ['open T path|nofollow', 'ok ok ok ok ok ok ok ok ok ok ok noent'],
  ['open T/ r', 'nodir ok ok nodir nodir nodir nodir nodir ok noent loop noent'],
  ['mkdir T', 'exist exist exist exist exist exist exist exist exist exist exist ok'],
  ['rmdir T', 'nodir ok full nodir nodir nodir nodir nodir nodir nodir nodir noent'],
  ['rmdir T/', 'nodir ok full nodir nodir nodir nodir nodir nodir nodir nodir noent'],
  ['unlink T', 'ok dir dir ok ok ok ok ok ok ok ok noent'],
  ['symlink x T', 'exist exist exist exist exist exist exist exist exist exist exist ok'],
  ['readlink T', 'inval inval inval inval inval inval inval - - - - noent'],
  ['link T new', 'ok perm perm ok ok ok ok ok ok ok ok noent'],
  ['linkfollow T new', 'ok perm perm ok ok ok ok ok perm noent loop noent'],
  ['link f T', 'exist exist exist exist exist exist exist exist exist exist exist ok'],
  ['mkfifo T', 'exist exist exist exist exist exist exist exist exist exist exist ok'],
  ['mknod T f 0644 0 0', 'exist exist exist exist exist exist exist exist exist exist exist ok'],
  ['mknod T c 0644 1 2', 'exist exist exist exist exist exist exist exist exist exist exist ok'],
  ['rename T new', 'ok ok ok ok ok ok ok ok ok ok ok noent'],
  ['rename T T', 'ok ok ok ok ok ok ok ok ok ok ok noent'],
  ['rename f T', 'ok dir dir ok ok ok ok ok ok ok ok ok'],
  ['rename d T', 'nodir ok full nodir nodir nodir nodir nodir nodir nodir nodir ok'],
  ['rename full T', 'nodir ok ok nodir nodir nodir nodir nodir nodir nodir nodir ok'],
  ['renameat2 f T noreplace', 'exist exist exist exist exist exist exist exist exist exist exist ok'],
  ['renameat2 f T exchange', 'ok ok ok ok ok ok ok ok ok ok ok noent'],
  ['renameat2 full T exchange', 'ok ok ok ok ok ok ok ok ok ok ok noent'],
  ['renameat2 f T both', 'inval inval inval inval inval inval inval inval inval inval inval inval'],
  ['chmod T 0640', 'ok ok ok ok ok ok ok ok ok noent loop noent'],
  ['chown T 12 13', 'ok ok ok ok ok ok ok ok ok noent loop noent'],
  ['lchown T 12 13', 'ok ok ok ok ok ok ok ok ok ok ok noent'],
  ['truncate T 3', 'ok dir dir inval inval inval inval ok dir noent loop noent'],
  ['utimens T 5.000000007 6.000000008', 'ok ok ok ok ok ok ok ok ok noent loop noent'],
  ['lutimens T 5.000000007 6.000000008', 'ok ok ok ok ok ok ok ok ok ok ok noent'],
  ['access T exists', 'ok ok ok ok ok ok ok ok ok noent loop noent'],
  ['statvfs T', 'ok ok ok ok ok ok ok ok ok noent loop noent'],
]

/** What is seen afterwards, of every type that there is. */
const seen: readonly (readonly [string, string])[] = [
  ['chmod T 07751; stat T mode', '7751'],
  ['lchown T 12 13; lstat T uid,gid', '12,13'],
  ['lutimens T 5.000000007 6.000000008; lstat T atime,mtime', '5.000000007,6.000000008'],
  ['lutimens T 1 2; lutimens T omit 9.5; lstat T atime', '1.000000000'],
  ['rename T new; lstat T => ENOENT; lstat new nlink', 'N'],
  ['save 0 T c; wait 15; lchown T 12 13; since 0 T c', 'later'],
  ['save 0 T c; wait 15; lutimens T 1 2; since 0 T c', 'later'],
  ['save 0 . m; wait 15; rename T new; since 0 . m', 'later'],
  ['lstat T type', 'Y'],
]

const linkable = ['f', 'p', 's', 'b', 'c', 'lf', 'ld', 'dang', 'loop']
const typeNames: Readonly<Record<string, string>> = {
  f: 'file',
  p: 'fifo',
  s: 'socket',
  b: 'block',
  c: 'char',
  d: 'folder',
  full: 'folder',
}

function expectedOf(word: string, type: string): string {
  if (word === 'N') return type === 'd' || type === 'full' ? '2' : '1'
  return word === 'Y' ? (typeNames[type] ?? 'symlink') : word
}

const matrix = rows.flatMap(([call, line]) =>
  line.split(' ').flatMap((word, column): Case[] => {
    const type = types[column] ?? 'none'
    if (word === '-') return []
    const steps = call.replaceAll(/\bT\b/g, type)
    return [{ name: `${call}, ${type}`, steps: `${steps} => ${words[word] ?? word}` }]
  }),
)

const afterwards = seen.flatMap(([steps, word]) =>
  types
    .filter((type) => type !== 'none' && !(steps.startsWith('chmod') && ['lf', 'ld', 'dang', 'loop'].includes(type)))
    .map((type): Case => ({ name: `${steps}, ${type}`, steps: `${steps.replaceAll(/\bT\b/g, type)} => ${expectedOf(word, type)}` })),
)

const hardLinks = linkable.map(
  (type): Case => ({
    name: `links of ${type} are one`,
    steps: `link ${type} new; lstat new nlink => 2; lchown new 7 8; lstat ${type} uid,gid => 7,8; unlink ${type}; lstat new nlink => 1; lstat new uid,gid => 7,8`,
  }),
)

export const typeCases: readonly Case[] = [...matrix, ...afterwards, ...hardLinks]
