/** Contents of files over plain HTTP, asked for by curl, on a real mount of a real service. */
import { createHash } from 'node:crypto'
import { createReadStream, createWriteStream } from 'node:fs'
import { mkdir, readFile, readdir, stat, symlink, truncate, unlink, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { shellBlocks } from '../docs/documented-commands.ts'
import { localCloud } from '../support/clouds.ts'
import type { Cloud } from '../support/clouds.ts'
import { Installation, run, shell, signal } from '../support/installation.ts'

let place: Installation
let cloud: Cloud
let folder: string
let base: string
let scratch: string
let asked = 0

beforeAll(async () => {
  place = await Installation.create()
  cloud = await localCloud()
  scratch = join(place.folder, 'scratch')
  await mkdir(scratch)
  await place.account('cloud', cloud.account)
  folder = await place.mount('m', 'cloud')
  const mounts = JSON.parse(await place.cloudmoor(['mount', 'list', '--json'])) as { id: string }[] | { mounts: { id: string }[] }
  const [mount] = Array.isArray(mounts) ? mounts : mounts.mounts
  base = `http://localhost/api/v1/mounts/${mount?.id ?? ''}/content`
})
afterAll(async () => {
  await place[Symbol.asyncDispose]()
  await cloud[Symbol.asyncDispose]()
})

interface Answer {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  readonly body: string
}

async function curl(path: string, ...more: string[]): Promise<Answer> {
  const socket = join(place.home, 'run/service.sock')
  const told = join(scratch, `headers-${asked++}`)
  const { stdout, stderr } = await run('curl', ['-sS', '-D', told, '--unix-socket', socket, `${base}${path}`, ...more], {
    timeoutMs: 200_000,
  })
  const block =
    (await readFile(told, 'latin1').catch(() => stderr))
      .split('\r\n\r\n')
      .filter((text) => text.startsWith('HTTP/'))
      .at(-1) ?? ''
  const [first = '', ...lines] = block.split('\r\n')
  const headers = lines.map((line) => [line.slice(0, line.indexOf(':')).toLowerCase(), line.slice(line.indexOf(':') + 2)])
  return { status: Number(first.split(' ')[1]), headers: Object.fromEntries(headers) as Record<string, string>, body: stdout }
}

const put = (path: string, text: string, ...more: string[]) => curl(path, '-X', 'PUT', '--data-binary', text, ...more)
const reasonOf = ({ body }: Answer) => /"reason":"([A-Z_]+)"/.exec(body)?.[1]

/** What is the process's own: pages of the program's file are shared with the workers. */
async function memoryOf(pid: number): Promise<number> {
  return Number(/RssAnon:\s+(\d+)/.exec(await readFile(`/proc/${pid}/status`, 'utf8'))?.[1] ?? Number.NaN) * 1024
}

async function servicePid(): Promise<number> {
  return (await place.status()).service?.pid ?? 0
}

async function sumOf(path: string): Promise<string> {
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer)
  return hash.digest('hex')
}

describe('a file', () => {
  it('is made, read as an attachment, and seen in the folder', async () => {
    const made = await put('/new%20%C3%A9.txt', 'hello')
    expect(made.status).toBe(201)
    expect(await readFile(join(folder, 'new é.txt'), 'utf8')).toBe('hello')
    const read = await curl('/new%20%C3%A9.txt')
    expect(read).toMatchObject({ status: 200, body: 'hello' })
    expect(read.headers).toMatchObject({
      etag: made.headers['etag'],
      'content-type': 'application/octet-stream',
      'content-disposition': `attachment; filename="new _.txt"; filename*=UTF-8''new%20%C3%A9.txt`,
      'x-content-type-options': 'nosniff',
      'content-security-policy': "sandbox; default-src 'none'",
      'cache-control': 'no-store',
      'content-length': '5',
    })
    expect(read.headers['cloudmoor-correlation-id']).toMatch(/./)
    expect(await curl('/new%20%C3%A9.txt', '-I')).toMatchObject({ status: 200, body: expect.stringContaining('content-length: 5') })
    await writeFile(join(folder, 'new é.txt'), 'changed by a program')
    expect((await curl('/new%20%C3%A9.txt')).body).toBe('changed by a program')
    expect((await put('/new%20%C3%A9.txt', 'and back')).status).toBe(204)
    expect(await readFile(join(folder, 'new é.txt'), 'utf8')).toBe('and back')
  })

  it('is read in parts', async () => {
    const { headers } = await put('/parts', '0123456789')
    const part = await curl('/parts', '-r', '2-4')
    expect([part.status, part.headers['content-range'], part.body]).toEqual([206, 'bytes 2-4/10', '234'])
    expect((await curl('/parts', '-r', '-3')).body).toBe('789')
    const beyond = await curl('/parts', '-r', '10-')
    expect([beyond.status, beyond.headers['content-range'], reasonOf(beyond)]).toEqual([416, 'bytes */10', 'RANGE_NOT_SATISFIABLE'])
    expect((await curl('/parts', '-r', '2-4', '-H', `If-Range: ${headers['etag'] ?? ''}`)).body).toBe('234')
    expect((await curl('/parts', '-r', '2-4', '-H', 'If-Range: "other"')).body).toBe('0123456789')
  })

  it('is changed only where it is what the change was made for', async () => {
    const { headers } = await put('/agreed', 'one', '-H', 'If-None-Match: *')
    const etag = headers['etag'] ?? ''
    expect(etag).toMatch(/^"[^"]+"$/)
    const taken = await put('/agreed', 'two', '-H', 'If-None-Match: *')
    expect([taken.status, reasonOf(taken)]).toEqual([412, 'CONFLICT'])
    expect((await put('/agreed', 'two', '-H', `If-Match: ${etag}`)).status).toBe(204)
    expect((await put('/agreed', 'three', '-H', `If-Match: ${etag}`)).status).toBe(412)
    expect((await put('/absent', 'x', '-H', 'If-Match: *')).status).toBe(412)
    const now = await curl('/agreed')
    expect(now.body).toBe('two')
    expect((await curl('/agreed', '-H', `If-None-Match: ${now.headers['etag'] ?? ''}`)).status).toBe(304)
    expect((await curl('/agreed', '-H', `If-Match: ${etag}`)).status).toBe(412)
    await writeFile(join(folder, 'agreed'), 'six')
    expect((await put('/agreed', 'seven', '-H', `If-Match: ${now.headers['etag'] ?? ''}`)).status).toBe(412)
  })

  it('that is none, or no file, is refused', async () => {
    await mkdir(join(folder, 'sub'))
    await symlink('parts', join(folder, 'link'))
    expect(reasonOf(await curl('/absent'))).toBe('NOT_FOUND')
    expect((await curl('/absent', '-I')).status).toBe(404)
    expect((await curl('/parts', '-I', '-H', 'If-Match: "other"')).status).toBe(412)
    expect(reasonOf(await put('/absent/x', 'x'))).toBe('NOT_FOUND')
    for (const path of ['/sub', '/', '/link']) expect(reasonOf(await curl(path))).toBe('IS_A_FOLDER')
    expect(reasonOf(await put('/sub', 'x'))).toBe('IS_A_FOLDER')
    for (const path of ['/sub/%2e%2e/parts', '/sub/%00']) expect(reasonOf(await curl(path, '--path-as-is'))).toBe('INVALID')
    expect(await curl('/parts', '-X', 'DELETE')).toMatchObject({ status: 405, headers: { allow: 'GET, HEAD, PUT' } })
    expect((await put('/parts', 'x', '-H', 'Content-Range: bytes 0-0/10')).status).toBe(400)
    expect((await put('/parts', 'x', '-H', 'Content-Encoding: gzip')).status).toBe(400)
    expect((await curl('/sub%2Fx')).status).toBe(404)
  })

  it('leaves its name and what became of it in the audit log', async () => {
    await put('/sub/told', 'x')
    await curl('/sub/told')
    const lines = await place.cloudmoor(['audit', 'list', '--json'])
    for (const right of ['files.read', 'files.write']) expect(lines).toMatch(new RegExp(`"action":\\s*"${right}"`))
    expect(lines).toMatch(/sub\/told/)
  })
})

describe('a broken-off upload', () => {
  /** Sends some of a file, and gives what ends the connection. */
  async function half(path: string): Promise<() => void> {
    const url = new URL(base)
    const socketPath = join(place.home, 'run/service.sock')
    const upload = request({ socketPath, method: 'PUT', path: `${url.pathname}${path}`, headers: { 'content-length': String(4 << 20) } })
    upload.on('error', () => undefined)
    upload.write(Buffer.alloc(1 << 20, 'y'))
    const end = performance.now() + 10_000
    while (!(await readdir(folder)).some((name) => name.startsWith('.cloudmoor-put-'))) {
      if (performance.now() > end) throw new Error('the upload did not begin')
      await sleep(20)
    }
    return () => upload.destroy()
  }

  const gone = async () =>
    expect.poll(async () => (await readdir(folder)).filter((name) => name.startsWith('.cloudmoor-put-')), { timeout: 15_000 }).toEqual([])

  it('of a client that went leaves the old file', async () => {
    await put('/kept', 'old')
    const cut = await half('/kept')
    cut()
    await gone()
    expect((await curl('/kept')).body).toBe('old')
  })

  it('of a worker that died leaves the old file, and nothing of the new one', async () => {
    await put('/kept', 'old')
    await place.uploaded('m')
    const cut = await half('/kept')
    signal((await place.mountStatus('m')).pid, 'SIGKILL')
    await expect.poll(() => curl('/kept').then(({ body }) => body), { timeout: 15_000 }).toBe('old')
    await gone()
    cut()
    await place.uploaded('m')
    expect((await readdir(cloud.folder ?? '')).filter((name) => name.startsWith('.cloudmoor-put-'))).toEqual([])
  })
})

it('the lines of docs/api.md run', async () => {
  const [block] = shellBlocks().filter(({ place: where, text }) => where.startsWith('docs/api.md:') && text.includes('$MOUNT_ID'))
  await writeFile(join(scratch, 'notes.txt'), 'hello')
  const env = { CLOUDMOOR_HOME: place.home, MOUNT_ID: base.split('/').at(-2) ?? '' }
  expect(await shell(`cd "${scratch}"\n${block?.text ?? 'false'}`, 30_000, env)).toBe('hello')
  expect(await readFile(join(folder, 'notes-2.txt'), 'utf8')).toBe('hello')
})

it('a big file goes through without staying in the memory of the service', { timeout: 240_000 }, async () => {
  const size = process.env['CLOUDMOOR_PROOF'] === '1' ? 2 ** 30 : 2 ** 28
  const source = join(scratch, 'big')
  await new Promise((resolve) => {
    const out = createWriteStream(source)
    const block = Buffer.alloc(1 << 20)
    for (let at = 0; at < size; at += block.length) {
      block.writeUInt32LE(at / block.length, 0)
      out.write(Buffer.from(block))
    }
    out.end(resolve)
  })
  const pid = await servicePid()
  await curl('/parts')
  const before = await memoryOf(pid)
  let most = before
  const watch = setInterval(() => void memoryOf(pid).then((now) => (most = Math.max(most, now))), 50)
  try {
    expect((await curl('/big', '-T', source)).status).toBe(201)
    expect((await stat(join(folder, 'big'))).size).toBe(size)
    expect((await curl('/big', '-o', join(scratch, 'copy'))).status).toBe(200)
  } finally {
    clearInterval(watch)
  }
  expect(await sumOf(join(scratch, 'copy'))).toBe(await sumOf(source))
  console.info(`${size >> 20} MiB up and down: the service grew by ${(most - before) >> 20} MiB to ${most >> 20} MiB`)
  expect(most - before).toBeLessThan(128 << 20)
  expect(most).toBeLessThan(250 * 1e6)
  await truncate(source, 0)
  await unlink(join(scratch, 'copy'))
})

it('contents of a drive that is not mounted can be read and written', async () => {
  await put('/rest', 'before')
  await place.uploaded('m')
  await place.cloudmoor(['unmount', 'm'])
  expect((await curl('/rest')).body).toBe('before')
  expect((await put('/rest', 'after')).status).toBe(204)
  await place.cloudmoor(['mount', 'm'])
  expect(await readFile(join(folder, 'rest'), 'utf8')).toBe('after')
})
