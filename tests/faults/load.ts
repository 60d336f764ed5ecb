/**
 * A program that works on a drive and keeps a manifest outside of it: run as a child process, because it uses synchronous calls on
 * the mount. Arguments: folder on the mount, manifest file, folder for the contents of all versions (none: not kept). It ends by itself when `<manifest>.stop` is there, and at its first
 * failed call: every call is one that fails, or shows in the contents, if it takes effect twice. Before every change stands in the
 * manifest what may come of it, and after it what has come.
 */
import { createHash, randomBytes } from 'node:crypto'
import * as fs from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { randomInt } from '../support/random.ts'
import type { ManifestLine } from './manifest.ts'

const [folder = '', manifest = '', contents = ''] = process.argv.slice(2)
const manifestFd = fs.openSync(manifest, 'a')
let worstMs = 0
let calls = 0

interface Known {
  readonly data: Buffer
  readonly fsynced: boolean
}

/** What is on the mount: path below `folder` -> contents. */
const files = new Map<string, Known>()
const folders = new Set<string>()
const links = new Map<string, string>()

function note(line: ManifestLine): void {
  fs.writeSync(manifestFd, `${JSON.stringify(line)}\n`)
}

/** Times a call on the mount. A failure is noted, and ends the program. */
function attempt<T>(what: string, path: string, call: (whole: string) => T): T {
  const begun = performance.now()
  calls++
  try {
    return call(join(folder, path))
  } catch (error) {
    fail(what, path, String(error))
  } finally {
    worstMs = Math.max(worstMs, performance.now() - begun)
  }
}

function fail(what: string, path: string, error: string): never {
  note({ kind: 'error', what, path, error })
  process.exit(1)
}

const sumOf = (data: Buffer): string => createHash('sha256').update(data).digest('hex')

/** Says that a file may be so from now on. */
function may(path: string, data: Buffer, from?: string): void {
  const sha = sumOf(data)
  if (contents !== '') fs.writeFileSync(join(contents, sha), data)
  note({ kind: 'may', path, sha, ...(from === undefined ? {} : { from }) })
}

function pick<T>(from: Iterable<T>): T | undefined {
  const all = [...from]
  return all[randomInt(Math.max(1, all.length))]
}

function remember(path: string, known: Known): void {
  files.set(path, known)
  note({ kind: known.fsynced ? 'fsync' : 'close', path, sha: sumOf(known.data), size: known.data.length })
}

let counter = 0
const newName = (letter: string): string => join(pick(folders) ?? '', `${letter}${counter++}`)

/** One FUSE request holds 1 MiB: a write of less than that is done as a whole or not at all. */
const largestWrite = 200_000

function create(fsync: boolean): void {
  const path = newName('f')
  const data = randomBytes(randomInt(8) === 0 ? randomInt(900_000) : randomInt(20_000))
  may(path, data.subarray(0, 0))
  const fd = attempt('create', path, (whole) => fs.openSync(whole, 'wx'))
  for (let at = 0; at < data.length; ) {
    const length = Math.min(data.length - at, 1 + randomInt(largestWrite))
    may(path, data.subarray(0, at + length))
    const written = attempt('write', path, () => fs.writeSync(fd, data, at, length))
    if (written !== length) fail('write', path, `wrote ${written} of ${length}`)
    at += length
  }
  end(fd, path, fsync)
  remember(path, { data, fsynced: fsync })
}

function end(fd: number, path: string, fsync: boolean): void {
  if (fsync) attempt('fsync', path, () => fs.fsyncSync(fd))
  attempt('close', path, () => fs.closeSync(fd))
}

/** Doubled, it would be there twice. */
function append(path: string, { data }: Known, fsync: boolean): void {
  const extra = randomBytes(1 + randomInt(5000))
  const whole = Buffer.concat([data, extra])
  may(path, whole)
  note({ kind: 'going', path })
  const fd = attempt('open', path, (file) => fs.openSync(file, 'a'))
  attempt('append', path, () => fs.writeSync(fd, extra))
  end(fd, path, fsync)
  remember(path, { data: whole, fsynced: fsync })
}

function overwrite(path: string, { data }: Known, fsync: boolean): void {
  if (data.length === 0) return
  const at = randomInt(data.length)
  const piece = randomBytes(1 + randomInt(Math.min(8000, data.length - at)))
  const next = Buffer.from(data)
  piece.copy(next, at)
  may(path, next)
  note({ kind: 'going', path })
  const fd = attempt('open', path, (file) => fs.openSync(file, 'r+'))
  attempt('write at', path, () => fs.writeSync(fd, piece, 0, piece.length, at))
  end(fd, path, fsync)
  remember(path, { data: next, fsynced: fsync })
}

/** Doubled, it would find nothing to rename. */
function rename(path: string, known: Known): void {
  const to = newName('r')
  may(to, known.data, path)
  note({ kind: 'going', path })
  attempt('rename', path, (whole) => fs.renameSync(whole, join(folder, to)))
  files.delete(path)
  note({ kind: 'gone', path })
  remember(to, { ...known, fsynced: false })
}

function unlink(path: string): void {
  note({ kind: 'going', path, what: 'unlink' })
  attempt('unlink', path, (whole) => fs.unlinkSync(whole))
  files.delete(path)
  note({ kind: 'gone', path })
}

function folderStep(): void {
  const old =
    folders.size > 6
      ? pick([...folders].filter((one) => ![...files.keys(), ...links.keys()].some((path) => dirname(path) === one)))
      : undefined
  if (old !== undefined && old !== '') {
    attempt('rmdir', old, (whole) => fs.rmdirSync(whole))
    folders.delete(old)
    return
  }
  const path = `d${counter++}`
  attempt('mkdir', path, (whole) => fs.mkdirSync(whole))
  folders.add(path)
}

function linkStep(): void {
  const old = links.size > 5 ? pick(links.keys()) : undefined
  if (old !== undefined) {
    const target = attempt('readlink', old, (whole) => fs.readlinkSync(whole))
    if (target !== links.get(old)) fail('readlink', old, target)
    note({ kind: 'link', path: old, what: 'unlink' })
    attempt('unlink', old, (whole) => fs.unlinkSync(whole))
    links.delete(old)
    return
  }
  const path = newName('l')
  const target = `somewhere/${counter}`
  note({ kind: 'link', path, what: 'symlink' })
  attempt('symlink', path, (whole) => fs.symlinkSync(target, whole))
  links.set(path, target)
}

function verify(path: string, { data }: Known): void {
  const got = attempt('read', path, (whole) => fs.readFileSync(whole))
  if (!got.equals(data))
    fail('contents', path, `${got.length} bytes for ${data.length}, first difference at ${got.findIndex((byte, i) => byte !== data[i])}`)
  const { size } = attempt('stat', path, (whole) => fs.statSync(whole))
  if (size !== data.length) fail('size', path, `${size} for ${data.length}`)
}

/** Doubled or lost, an effect on names shows here. */
function verifyListing(): void {
  const path = pick(folders)
  if (path === undefined) return
  const got = attempt('readdir', path, (whole) => fs.readdirSync(whole)).sort()
  const expected = [...files.keys(), ...links.keys()]
    .filter((name) => dirname(name) === path)
    .map((name) => basename(name))
    .sort()
  if (got.join() !== expected.join()) fail('listing', path, `${got.join()} for ${expected.join()}`)
}

/** Few enough that each is changed again and again. */
const mostFiles = 80

function step(): void {
  const path = pick(files.keys())
  const known = path === undefined ? undefined : files.get(path)
  const choice = randomInt(20)
  const fsync = randomInt(3) === 0
  if (folders.size < 3 || choice === 0) folderStep()
  else if (path === undefined || known === undefined || files.size < 10) create(fsync)
  else if (choice < 6 && files.size < mostFiles) create(fsync)
  else if (choice < 6) unlink(path)
  else if (choice < 9) append(path, known, fsync)
  else if (choice < 11) overwrite(path, known, fsync)
  else if (choice < 13) rename(path, known)
  else if (choice < 15) {
    if (files.size > 25) unlink(path)
  } else if (choice < 16) linkStep()
  else if (choice < 17) verifyListing()
  else verify(path, known)
}

attempt('mkdir', '', (whole) => fs.mkdirSync(whole))
let steps = 0
while (!fs.existsSync(`${manifest}.stop`)) {
  step()
  steps++
  note({ kind: 'step', steps, calls, worstMs: Math.round(worstMs) })
}
note({ kind: 'end', steps, calls, worstMs: Math.round(worstMs) })
