import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { chmod, mkdir, mkdtemp, rm, stat, symlink, writeFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { connect as connectHttp2 } from 'node:http2'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { CloudError } from '../../common/errors.ts'
import { loadNative } from '../../common/native/load-native.ts'
import type { Native } from '../../common/native/native.ts'
import { openLog } from '../../common/telemetry/log.ts'
import type { Log } from '../../common/telemetry/log.ts'
import { principalOfPeer } from '../users/local-peer.ts'
import { allMounts } from '../users/principal.ts'
import type { Role } from '../users/principal.ts'
import { openListener } from './listener.ts'
import type { Listener } from './connections.ts'
import type { ListenerOptions } from './listener.ts'
import { descriptorOf } from '../../common/native/descriptor-of.ts'

let folder: string
let options: ListenerOptions
let log: Log
let listener: Listener | null
const ownUid = process.getuid?.() ?? -1

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'listen-'))
  log = await openLog({ file: join(folder, 'x.log'), program: 'service', level: 'debug' })
  listener = null
  options = {
    socketPath: join(folder, 'run', 'service.sock'),
    folderMode: 0o700,
    admit: () => ({ name: 'local:me', role: 'admin', scope: allMounts, origin: 'socket', ended: null }),
    handle: (request, response, principal) => {
      if (request.url === '/slow') return
      response.end(`${principal.name} over ${request.httpVersion}`)
    },
    log,
  }
})
afterEach(async () => {
  await listener?.close(0)
  await log.close()
  await rm(folder, { recursive: true })
})

async function open(changes: Partial<ListenerOptions> = {}): Promise<void> {
  listener = await openListener({ ...options, ...changes })
}

async function connected(): Promise<Socket> {
  const socket = connect(options.socketPath)
  socket.on('error', () => {})
  await once(socket, 'connect')
  return socket
}

function textOf(socket: Socket): Promise<string> {
  return new Promise((resolve) => {
    let text = ''
    socket.on('data', (chunk: Buffer) => (text += chunk.toString('latin1')))
    socket.once('close', () => resolve(text))
  })
}

function get(path: string, headers: Record<string, string> = {}): Promise<string> {
  return new Promise((resolve, reject) => {
    const request = httpRequest({ socketPath: options.socketPath, path, headers }, (response) => {
      let body = String(response.statusCode)
      response.on('data', (chunk: Buffer) => (body += ` ${chunk.toString()}`)).on('end', () => resolve(body))
    })
    request.on('error', reject).end()
  })
}

async function get2(path: string): Promise<string> {
  const session = connectHttp2('http://localhost', { createConnection: () => connect(options.socketPath) })
  try {
    const stream = session.request({ ':path': path })
    let text = ''
    stream.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
    await once(stream, 'end')
    return text
  } finally {
    session.destroy()
  }
}

describe('one socket', () => {
  it('speaks HTTP/1.1 and HTTP/2 and knows who is there', async () => {
    await open()
    expect(await get('/')).toBe('200 local:me over 1.1')
    expect(await get2('/')).toBe('local:me over 2.0')
  })

  it('takes the first bytes as they come', async () => {
    await open()
    for (const opening of ['PRI', 'POS']) {
      const socket = await connected()
      const answer = textOf(socket)
      const rest =
        opening === 'PRI' ? ' * HTTP/2.0\r\n\r\nSM\r\n\r\n' : 'T / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n'
      for (const byte of opening) {
        socket.write(byte)
        await new Promise((resolve) => setTimeout(resolve, 10))
      }
      socket.write(rest)
      if (opening === 'PRI') setTimeout(() => socket.destroy(), 100)
      const text = await answer
      // An HTTP/2 server begins with a SETTINGS frame: length, type 4.
      if (opening === 'PRI') expect(text.charCodeAt(3)).toBe(4)
      else expect(text).toContain('local:me over 1.1')
    }
  })

  it('is closed to others and lies in a folder that is', async () => {
    await open()
    expect((await stat(options.socketPath)).mode & 0o777).toBe(0o600)
    expect((await stat(join(folder, 'run'))).mode & 0o777).toBe(0o700)
  })

  it('is gone after closing, with the calls at work cut after the grace', async () => {
    await open()
    const slow = get('/slow')
    slow.catch(() => {})
    const idle = await connected()
    await new Promise((resolve) => setTimeout(resolve, 50))
    const began = performance.now()
    await listener?.close(300)
    expect(performance.now() - began).toBeGreaterThan(250)
    await expect(slow).rejects.toThrow(/hang up|reset/)
    await expect(stat(options.socketPath)).rejects.toThrow(/ENOENT/)
    idle.destroy()
    listener = null
  })
})

describe('limits', () => {
  it('cut who says nothing, or not all of the headers', async () => {
    await open({ limits: { headersMs: 200 } })
    const silent = await connected()
    const half = await connected()
    half.write('GET / HTTP/1.1\r\nHost: x\r\n')
    const began = performance.now()
    const [, answer] = await Promise.all([textOf(silent), textOf(half)])
    expect(answer).toMatch(/^(HTTP\/1.1 408|$)/)
    expect(performance.now() - began).toBeLessThan(3000)
  })

  it('cut who sends a body too slowly, over HTTP/1.1 and HTTP/2, and nobody else', async () => {
    const taking: ListenerOptions['handle'] = (request, response) => {
      request.resume()
      request.once('end', () => response.end('all of it'))
    }
    await open({ limits: { requestMs: 300 }, handle: taking })
    const slow = await connected()
    const answer = textOf(slow)
    slow.write('POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n')
    const drops = setInterval(() => slow.write('x'), 50)
    const began = performance.now()
    expect(await answer).toMatch(/^HTTP\/1.1 408/)
    clearInterval(drops)
    expect(performance.now() - began).toBeLessThan(3000)
    const session = connectHttp2('http://localhost', { createConnection: () => connect(options.socketPath) })
    session.on('error', () => {})
    const stream = session.request({ ':path': '/', ':method': 'POST' })
    stream.on('error', () => {})
    stream.write('x')
    await once(stream, 'close')
    expect(performance.now() - began).toBeLessThan(6000)
    const whole = session.request({ ':path': '/', ':method': 'POST' })
    whole.end('x')
    whole.resume()
    const [headers] = (await once(whole, 'response')) as [Record<string, unknown>]
    expect(headers[':status']).toBe(200)
    session.destroy()
  })

  it('refuse headers that are too large', async () => {
    await open()
    expect(await get('/', { big: 'x'.repeat(20_000) })).toMatch(/^431/)
  })

  it('close connections over the most', async () => {
    await open({ limits: { connections: 2 } })
    const held = [await connected(), await connected()]
    const third = await connected()
    await textOf(third)
    expect(await stillOpen(held[0])).toBe(true)
    for (const socket of held) socket.destroy()
  })
})

async function stillOpen(socket: Socket | undefined): Promise<boolean> {
  await new Promise((resolve) => setTimeout(resolve, 20))
  return socket?.destroyed === false && socket.readable
}

describe('a path that is taken', () => {
  it('by a dead service is taken over', async () => {
    const script = `require('net').createServer().listen(${JSON.stringify(options.socketPath)}, () => console.log('up'))`
    await mkdir(join(folder, 'run'))
    const dead = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    await once(dead.stdout, 'data')
    dead.kill('SIGKILL')
    await once(dead, 'exit')
    expect((await stat(options.socketPath)).isSocket()).toBe(true)
    await open()
    expect(await get('/')).toMatch(/^200/)
  })

  it('by a live service is refused', async () => {
    await mkdir(join(folder, 'run'))
    const other = createServer().listen(options.socketPath)
    await once(other, 'listening')
    await expect(open()).rejects.toMatchObject({ kind: 'busy', code: 'HOME_IN_USE' })
    other.close()
  })

  it('by a file is refused and the file kept', async () => {
    await mkdir(join(folder, 'run'))
    await writeFile(options.socketPath, 'mine')
    await expect(open()).rejects.toMatchObject({ kind: 'exists' })
    expect((await stat(options.socketPath)).size).toBe(4)
  })

  it('or too long, or in a linked folder, is refused', async () => {
    await expect(open({ socketPath: join(folder, 'x'.repeat(100)) })).rejects.toThrow(/107 bytes/)
    await mkdir(join(folder, 'real'))
    await symlink(join(folder, 'real'), join(folder, 'run'))
    await expect(open()).rejects.toMatchObject({ kind: 'access' })
  })
})

it('lets in this user and root, and nobody else', () => {
  const peer = (uid: number, ownUid: number, groupRole: Role | null = null) => principalOfPeer({ uid, gid: uid }, { ownUid, groupRole })
  expect(peer(1000, 1000)).toEqual({ name: 'local:1000', role: 'admin', scope: allMounts, origin: 'socket', ended: null })
  expect(peer(0, 1000)).toMatchObject({ name: 'local:0', role: 'admin' })
  expect(peer(1001, 1000)).toBeNull()
  expect(peer(65534, 0)).toBeNull()
  expect(peer(1001, 999, 'operator')).toMatchObject({ name: 'local:1001', role: 'operator' })
  expect(peer(999, 999, 'read-only')).toMatchObject({ role: 'admin' })
})

describe('the other end', () => {
  let native: Native | null = null
  try {
    native = loadNative()
  } catch (caught) {
    if (CloudError.from(caught).kind !== 'unsupported') throw caught
  }
  const admit = (socket: Socket) =>
    principalOfPeer(native?.peerCredentials(descriptorOf(socket)) ?? { uid: -1, gid: -1 }, { ownUid, groupRole: null })

  it.skipIf(native === null)('is asked of the kernel', async () => {
    await open({ admit })
    expect(await get('/')).toBe(`200 local:${ownUid} over 1.1`)
    expect(await get2('/')).toBe(`local:${ownUid} over 2.0`)
  })

  /** What a program of another user gets to read. */
  async function readAs(uid: number, gid: number): Promise<string> {
    const script = `process.setgroups([]); process.setgid(${gid}); process.setuid(${uid})
      const socket = require('net').connect(${JSON.stringify(options.socketPath)}, () => socket.write('GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n'))
      let got = ''
      socket.on('data', (chunk) => (got += chunk)).on('error', ({ code }) => (got += code)).on('close', () => console.log(JSON.stringify(got)))`
    const child = spawn(process.execPath, ['-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
    const [output] = (await once(child.stdout, 'data')) as [Buffer]
    return JSON.parse(output.toString()) as string
  }

  it.skipIf(native === null || ownUid !== 0)('is sent away when it is another user', async () => {
    await open({ admit })
    // Everything that the file system could refuse is opened: what is left is the check of the peer.
    await chmod(folder, 0o755)
    await chmod(join(folder, 'run'), 0o755)
    await chmod(options.socketPath, 0o666)
    expect(await readAs(65534, 65534)).toMatch(/^(|ECONNRESET|EPIPE)$/)
    expect(await get('/')).toMatch(/^200/)
  })

  it.skipIf(native === null || ownUid !== 0)(
    'comes in by the group of a system service, with that group’s role; who is not of it does not',
    async () => {
      const group = 54_321
      for (const role of ['operator', 'read-only'] as const) {
        const byGroup = (socket: Socket) =>
          principalOfPeer(native?.peerCredentials(descriptorOf(socket)) ?? { uid: -1, gid: -1 }, { ownUid, groupRole: role })
        const handle: ListenerOptions['handle'] = (_, response, who) => response.end(`${who.name} is ${who.role}`)
        await open({ admit: byGroup, groupId: group, folderMode: 0o750, handle })
        await chmod(folder, 0o755)
        expect((await stat(options.socketPath)).mode & 0o777).toBe(0o660)
        expect((await stat(join(folder, 'run'))).mode & 0o777).toBe(0o750)
        expect(await readAs(1234, group)).toContain(`local:1234 is ${role}`)
        expect(await readAs(1234, 1234)).toBe('EACCES')
        expect(await get('/')).toContain('local:0 is admin')
        await listener?.close(0)
        listener = null
      }
    },
  )
})
