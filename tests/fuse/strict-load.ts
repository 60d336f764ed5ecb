/**
 * A program on the mount that allows no call to fail, to happen twice or to be lost. Arguments: folder on the mount, manifest
 * outside of it. Works until the file `<manifest>.stop` exists, then compares everything with what it knows and says `ok N`.
 */
import {
  appendFileSync,
  closeSync,
  existsSync,
  fsyncSync,
  linkSync,
  mkdirSync,
  openSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeSync,
} from 'node:fs'
import { createHash, randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { randomInt } from '../support/random.ts'

const [folder, manifest] = process.argv.slice(2)
if (folder === undefined || manifest === undefined) throw new Error('folder and manifest are needed')

const known = new Map<string, Buffer>()
let steps = 0

function note(what: string): void {
  appendFileSync(manifest ?? '', `${steps} ${what}\n`)
}

function refused(code: string, call: () => void): void {
  try {
    call()
  } catch (caught) {
    if (caught instanceof Error && 'code' in caught && caught.code === code) return
    throw caught
  }
  throw new Error(`not refused with ${code}`)
}

function check(path: string): void {
  const wanted = known.get(path) ?? Buffer.alloc(0)
  const found = readFileSync(path)
  if (!found.equals(wanted)) throw new Error(`${path}: ${found.length} bytes instead of ${wanted.length}, or other ones`)
}

function pick(): string | undefined {
  const paths = [...known.keys()]
  return paths.length === 0 ? undefined : paths[randomInt(paths.length)]
}

/** Each call must succeed at its only try: EEXIST or ENOENT would mean that it happened twice. */
const actions: Readonly<Record<string, () => void>> = {
  create() {
    const path = join(folder, `f${steps}`)
    const data = randomBytes(randomInt(1, 200_000))
    const fd = openSync(path, 'wx')
    for (let at = 0; at < data.length; at += 65_536) writeSync(fd, data, at, Math.min(65_536, data.length - at))
    if (steps % 3 === 0) fsyncSync(fd)
    closeSync(fd)
    known.set(path, data)
    refused('EEXIST', () => closeSync(openSync(path, 'wx')))
  },
  append() {
    const path = pick()
    if (path === undefined) return
    const more = randomBytes(randomInt(1, 5000))
    appendFileSync(path, more)
    known.set(path, Buffer.concat([known.get(path) ?? Buffer.alloc(0), more]))
    check(path)
  },
  rename() {
    const path = pick()
    if (path === undefined) return
    const to = join(folder, `r${steps}`)
    renameSync(path, to)
    known.set(to, known.get(path) ?? Buffer.alloc(0))
    known.delete(path)
    refused('ENOENT', () => renameSync(path, `${to}x`))
  },
  replace() {
    const [from, to] = [pick(), pick()]
    if (from === undefined || to === undefined || from === to) return
    renameSync(from, to)
    known.set(to, known.get(from) ?? Buffer.alloc(0))
    known.delete(from)
  },
  unlink() {
    const path = pick()
    if (path === undefined || known.size < 10) return
    unlinkSync(path)
    known.delete(path)
    refused('ENOENT', () => unlinkSync(path))
  },
  folders() {
    const path = join(folder, `d${steps}`)
    mkdirSync(path)
    refused('EEXIST', () => mkdirSync(path))
    symlinkSync('x', join(path, 'link'))
    refused('ENOTEMPTY', () => rmdirSync(path))
    unlinkSync(join(path, 'link'))
    rmdirSync(path)
    refused('ENOENT', () => rmdirSync(path))
  },
  links() {
    const path = pick()
    if (path === undefined) return
    const other = `${path}-link`
    linkSync(path, other)
    if (statSync(path).nlink !== 2) throw new Error(`${path} has ${statSync(path).nlink} links`)
    unlinkSync(other)
  },
  truncate() {
    const path = pick()
    const data = path === undefined ? undefined : known.get(path)
    if (path === undefined || data === undefined) return
    const size = randomInt(0, data.length + 1)
    truncateSync(path, size)
    known.set(path, data.subarray(0, size))
  },
  list() {
    const found = readdirSync(folder).sort()
    const wanted = [...known.keys()].map((path) => path.slice(folder.length + 1)).sort()
    if (found.join() !== wanted.join()) throw new Error(`listing: ${found.join()} instead of ${wanted.join()}`)
  },
}

mkdirSync(folder)
const names = Object.keys(actions)
while (!existsSync(`${manifest}.stop`)) {
  const name = names[randomInt(names.length)] ?? 'list'
  note(name)
  actions[name]?.()
  steps++
}
actions['list']?.()
for (const [path, data] of known) {
  check(path)
  note(`has ${path.slice(folder.length + 1)} ${createHash('sha256').update(data).digest('hex')}`)
}
process.stdout.write(`ok ${steps}\n`)
