import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, existsSync, fstatSync, mkdtempSync, openSync, readdirSync, readSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { createServer, connect as connectSocket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { loadNative } from './load-native.ts'
import type { Channel, ChannelEvents, ChannelMessage, ChannelServer } from './native.ts'

interface End {
  readonly channel: Channel
  readonly messages: ChannelMessage[]
  readonly closed: Promise<string | undefined>
  message(): Promise<ChannelMessage>
}

/** Opens a channel and collects what happens to it. */
function collect(open: (events: ChannelEvents) => Channel): End {
  const messages: ChannelMessage[] = []
  let taken = 0
  let wake: () => void = () => undefined
  let close: (code: string | undefined) => void = () => undefined
  const closed = new Promise<string | undefined>((resolve) => {
    close = resolve
  })
  const channel = open({
    onMessage: (message) => {
      messages.push(message)
      wake()
    },
    onClose: (code) => close(code),
  })
  const message = async () => {
    while (messages.length <= taken) {
      await new Promise<void>((resolve) => {
        wake = resolve
      })
    }
    const next = messages[taken++]
    if (next === undefined) throw new Error('no message')
    return next
  }
  return { channel, messages, closed, message }
}

function inlineProgram(source: string): string[] {
  return ['--experimental-strip-types', '--disable-warning=ExperimentalWarning', '--input-type=module', '-e', source]
}

describe.skipIf(process.platform !== 'linux')('channel', () => {
  if (process.platform !== 'linux') return
  const native = loadNative()
  let folder: string
  let path: string
  const servers: ChannelServer[] = []

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'cloudmoor-channel-'))
    path = join(folder, 'socket')
  })

  afterEach(() => {
    for (const server of servers.splice(0)) server.close()
    rmSync(folder, { recursive: true, force: true })
  })

  function listen(): Promise<End> {
    return new Promise((resolve) => {
      servers.push(
        native.listenChannel(path, (accept) => {
          resolve(collect(accept))
        }),
      )
    })
  }

  async function pair(): Promise<{ client: End; server: End }> {
    const accepted = listen()
    const client = collect((events) => native.connectChannel(path, events))
    return { client, server: await accepted }
  }

  it('keeps message boundaries and knows the peer', async () => {
    const { client, server } = await pair()
    const big = Buffer.alloc(192 * 1024, 7)
    expect(client.channel.send(Buffer.from('one'), [])).toBe(true)
    expect(client.channel.send(big, [])).toBe(true)
    expect(server.channel.send(Buffer.from('back'), [])).toBe(true)
    expect((await server.message()).data.toString()).toBe('one')
    expect((await server.message()).data.equals(big)).toBe(true)
    expect((await client.message()).data.toString()).toBe('back')
    const self = { uid: process.geteuid?.(), gid: process.getegid?.(), pid: process.pid }
    expect(server.channel.peer).toEqual(self)
    expect(client.channel.peer).toEqual(self)
    client.channel.close()
    server.channel.close()
    expect(await client.closed).toBeUndefined()
    expect(await server.closed).toBeUndefined()
  })

  it('passes descriptors, close-on-exec, and the sender keeps its own', async () => {
    const { client, server } = await pair()
    writeFileSync(join(folder, 'file'), 'contents')
    const fd = openSync(join(folder, 'file'), 'r')
    client.channel.send(Buffer.from('fds'), [fd, fd])
    const { fds } = await server.message()
    expect(fds).toHaveLength(2)
    const bytes = Buffer.alloc(8)
    expect(readSync(fds[1] ?? -1, bytes, 0, 8, 0)).toBe(8)
    expect(bytes.toString()).toBe('contents')
    expect(fstatSync(fd).size).toBe(8)
    const child = await promisify(execFile)('readlink', [`/proc/self/fd/${fds[0]}`]).catch((error: unknown) => error)
    expect(child).toMatchObject({ code: 1 })
    for (const each of [fd, ...fds]) closeSync(each)
    client.channel.close()
    server.channel.close()
  })

  it('tells the end of a peer that was killed, after its last words', async () => {
    const accepted = listen()
    const source = `
      const { loadNative } = await import(${JSON.stringify(join(import.meta.dirname, 'load-native.ts'))})
      const channel = loadNative().connectChannel(${JSON.stringify(path)}, { onMessage: () => undefined, onClose: () => undefined })
      for (let i = 0; i < 50; i++) channel.send(Buffer.from('word ' + i), [])
      process.kill(process.pid, 'SIGKILL')`
    const child = spawn(process.execPath, inlineProgram(source), { stdio: ['ignore', 'inherit', 'inherit'] })
    const exited = once(child, 'exit')
    const server = await accepted
    expect(server.channel.peer.pid).toBe(child.pid)
    server.channel.send(Buffer.from('never read'), [])
    const code = await server.closed
    expect([undefined, 'ECONNRESET', 'EPIPE']).toContain(code)
    expect(server.messages.map((message) => message.data.toString())).toEqual(Array.from({ length: 50 }, (_, i) => `word ${i}`))
    expect(server.channel.send(Buffer.from('late'), [])).toBe(false)
    await exited
  })

  it('bounds what waits to be sent, keeps its order, and sends it before closing', async () => {
    const { client, server } = await pair()
    let sent = 0
    while (client.channel.send(Buffer.alloc(10_000, sent & 255), [])) sent++
    expect(sent).toBeGreaterThan(1024)
    expect(sent).toBeLessThan(1024 + 100)
    client.channel.close()
    expect(client.channel.send(Buffer.from('late'), [])).toBe(false)
    for (let i = 0; i < sent; i++) {
      const { data } = await server.message()
      if (data.length !== 10_000 || data[0] !== (i & 255)) expect.fail(`message ${i} is wrong`)
    }
    expect(await server.closed).toBeUndefined()
    expect(await client.closed).toBeUndefined()
  })

  it('refuses what does not fit', async () => {
    const { client, server } = await pair()
    expect(() => client.channel.send(Buffer.alloc(192 * 1024 + 1), [])).toThrow(expect.objectContaining({ code: 'EMSGSIZE' }))
    expect(() => client.channel.send(Buffer.alloc(0), [])).toThrow(expect.objectContaining({ code: 'EINVAL' }))
    expect(() => client.channel.send(Buffer.from('x'), new Array<number>(9).fill(0))).toThrow(TypeError)
    expect(() => client.channel.send(Buffer.from('x'), [99999])).toThrow(expect.objectContaining({ code: 'EBADF' }))
    expect(client.channel.send(Buffer.from('still open'), [])).toBe(true)
    expect((await server.message()).data.toString()).toBe('still open')
    client.channel.close()
    server.channel.close()
  })

  it('closes on a message that was cut short, and keeps none of its descriptors', async () => {
    const server = listen()
    const before = readdirSync('/proc/self/fd').length
    const script = `import socket,array,os,sys,time
s=socket.socket(socket.AF_UNIX,socket.SOCK_SEQPACKET)
s.connect(sys.argv[1])
fd=os.open('/dev/null',os.O_RDONLY)
s.sendmsg([b'too many'],[(socket.SOL_SOCKET,socket.SCM_RIGHTS,array.array('i',[fd]*12))])
s.recv(1)`
    const child = spawn('python3', ['-c', script, path], { stdio: 'ignore' })
    const exited = once(child, 'exit')
    const end = await server
    expect(await end.closed).toBe('EPROTO')
    expect(end.messages).toEqual([])
    await exited
    await sleep(50)
    expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(before)
  })

  it('listens for its owner only, on a path of its own', async () => {
    const accepted = listen()
    expect(statSync(path).mode & 0o7777).toBe(0o600)
    const nobody = () => undefined
    expect(() => native.listenChannel(path, nobody)).toThrow(expect.objectContaining({ code: 'EADDRINUSE' }))
    expect(() => native.connectChannel(join(folder, 'absent'), { onMessage: nobody, onClose: nobody })).toThrow(
      expect.objectContaining({ code: 'ENOENT', message: expect.stringMatching(/^connect .*absent: no such file/) as string }),
    )
    expect(() => native.listenChannel(join(folder, 'x'.repeat(120)), nobody)).toThrow(expect.objectContaining({ code: 'ENAMETOOLONG' }))
    expect(() => native.listenChannel('a\0b', nobody)).toThrow('NUL')
    const client = collect((events) => native.connectChannel(path, events))
    client.channel.close()
    expect(await (await accepted).closed).toBeUndefined()
    for (const server of servers.splice(0)) server.close()
    expect(existsSync(path)).toBe(false)
  })

  it('closes a connection that nobody accepts', async () => {
    servers.push(native.listenChannel(path, () => undefined))
    const client = collect((events) => native.connectChannel(path, events))
    expect(await client.closed).toBeUndefined()
  })

  it('turns an exception in a callback into an uncaughtException', async () => {
    const source = `
      const { loadNative } = await import(${JSON.stringify(join(import.meta.dirname, 'load-native.ts'))})
      process.once('uncaughtException', error => { console.log(error.message); process.exit(7) })
      loadNative().listenChannel(${JSON.stringify(path)}, () => { throw new Error('on purpose') })
      loadNative().connectChannel(${JSON.stringify(path)}, { onMessage: () => undefined, onClose: () => undefined })`
    const child = promisify(execFile)(process.execPath, inlineProgram(source), { timeout: 10_000 })
    await expect(child).rejects.toMatchObject({ code: 7, stdout: 'on purpose\n' })
  })

  it('knows the peer of a socket of node:net', async () => {
    const listener = createServer().listen(path)
    await once(listener, 'listening')
    const client = connectSocket(path)
    const [socket] = (await once(listener, 'connection')) as [{ _handle: { fd: number }; destroy(): void }]
    expect(native.peerCredentials(socket._handle.fd)).toEqual({ uid: process.geteuid?.(), gid: process.getegid?.(), pid: process.pid })
    const file = openSync('/dev/null', 'r')
    expect(() => native.peerCredentials(file)).toThrow(expect.objectContaining({ code: 'ENOTSOCK' }))
    closeSync(file)
    client.destroy()
    socket.destroy()
    listener.close()
  })
})
