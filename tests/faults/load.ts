/**
 * A program that works on a drive and keeps a manifest outside of it: run as a child process, because it uses synchronous calls on
 * the mount. Arguments: folder on the mount, manifest file, seed, seconds. Every file it has closed (and for `fsync` lines:
 * fsynced) stands in the manifest with its SHA-256 before it goes on; every call that fails is written there as an `error` line.
 */
import { createHash } from 'node:crypto'
import { appendFileSync, closeSync, fsyncSync, mkdirSync, openSync, readFileSync, renameSync, rmSync, statSync, writeSync } from 'node:fs'
import { join } from 'node:path'

const [folder = '', manifest = '', seedText = '1', secondsText = '10'] = process.argv.slice(2)
let seed = Number(seedText)
const end = Date.now() + Number(secondsText) * 1000
let worst = 0
let calls = 0

function random(below: number): number {
  seed = (seed * 1103515245 + 12345) % 2147483648
  return Math.floor((seed / 2147483648) * below)
}

function note(line: Record<string, unknown>): void {
  appendFileSync(manifest, `${JSON.stringify(line)}\n`)
}

/** Times a call on the mount; a failure is noted and reported by `undefined`. */
function attempt<T>(what: string, path: string, call: () => T): T | undefined {
  const begun = performance.now()
  calls++
  try {
    return call()
  } catch (error) {
    note({ kind: 'error', what, path, error: String(error) })
    return undefined
  } finally {
    worst = Math.max(worst, performance.now() - begun)
  }
}

function bytes(length: number): Buffer {
  const buffer = Buffer.alloc(length)
  for (let i = 0; i < length; i += 4) buffer.writeUInt32LE(random(2 ** 31), Math.min(i, Math.max(0, length - 4)))
  return buffer
}

/** What we know to be on the mount: path below `folder` -> SHA-256 of the whole file. */
const known = new Map<string, { sha: string; data: Buffer }>()

function save(path: string, data: Buffer, fsync: boolean): void {
  const fd = attempt('open', path, () => openSync(join(folder, path), 'w'))
  if (fd === undefined) return
  for (let at = 0; at < data.length; ) {
    const length = Math.min(data.length - at, 1 + random(200_000))
    attempt('write', path, () => writeSync(fd, data, at, length))
    at += length
  }
  if (fsync) attempt('fsync', path, () => { fsyncSync(fd) })
  attempt('close', path, () => { closeSync(fd) })
  remember(path, data, fsync)
}

function remember(path: string, data: Buffer, fsync: boolean): void {
  const sha = createHash('sha256').update(data).digest('hex')
  known.set(path, { sha, data })
  note({ kind: fsync ? 'fsync' : 'close', path, sha, size: data.length })
}

function step(i: number): void {
  const paths = [...known.keys()]
  const some = paths[random(paths.length)]
  const choice = random(10)
  if (choice < 4 || some === undefined) {
    const sub = `d${random(5)}`
    attempt('mkdir', sub, () => mkdirSync(join(folder, sub), { recursive: true }))
    save(`${sub}/f${i}`, bytes(random(choice === 0 ? 600_000 : 20_000) + 1), random(3) === 0)
  } else if (choice < 6) {
    const old = known.get(some)
    if (old === undefined) return
    const extra = bytes(random(5000) + 1)
    note({ kind: 'going', path: some })
    const fd = attempt('open', some, () => openSync(join(folder, some), 'a'))
    if (fd === undefined) return
    attempt('append', some, () => writeSync(fd, extra))
    attempt('close', some, () => { closeSync(fd) })
    remember(some, Buffer.concat([old.data, extra]), false)
  } else if (choice < 8) {
    const to = `d${random(5)}/r${i}`
    attempt('mkdir', to, () => mkdirSync(join(folder, to, '..'), { recursive: true }))
    note({ kind: 'going', path: some })
    if (attempt('rename', some, () => { renameSync(join(folder, some), join(folder, to)); return true }) !== true) return
    const old = known.get(some)
    known.delete(some)
    if (old !== undefined) remember(to, old.data, false)
  } else if (choice === 8) {
    if (known.size < 20) return
    note({ kind: 'going', path: some })
    attempt('unlink', some, () => { rmSync(join(folder, some)) })
    known.delete(some)
    note({ kind: 'gone', path: some })
  } else {
    const got = attempt('read', some, () => readFileSync(join(folder, some)))
    const size = attempt('stat', some, () => statSync(join(folder, some)).size)
    const expected = known.get(some)
    if (got === undefined || expected === undefined) return
    if (size !== expected.data.length || !got.equals(expected.data)) note({ kind: 'error', what: 'contents', path: some, size, expected: expected.data.length })
  }
}

mkdirSync(folder, { recursive: true })
let i = 0
while (Date.now() < end) step(i++)
note({ kind: 'end', steps: i, calls, worstMs: Math.round(worst) })
