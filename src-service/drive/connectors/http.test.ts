import { createHash, randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, describe, expect, test, vi } from 'vitest'
import { makeCertificates } from '../../../tests/servers/certificates.ts'
import { CloudError } from '../../common/errors.ts'
import { bytesOf } from './bytes-of.ts'
import { HttpClient, type HttpRequest, type TlsOptions } from './http.ts'

const forEver = new AbortController().signal
const ending: (() => void)[] = []

afterEach(() => {
  for (const end of ending.splice(0)) end()
})

interface Peer {
  readonly client: HttpClient
  readonly requests: string[]
  readonly sockets: Socket[]
}

/** A server that sees each head and answers by hand. */
async function peer(
  serve: (socket: Socket, request: string) => unknown,
  options: { readonly connections?: number; readonly tls?: TlsOptions; readonly server?: Server } = {},
): Promise<Peer> {
  const requests: string[] = []
  const sockets: Socket[] = []
  const server = options.server ?? createServer()
  server.on(options.server === undefined ? 'connection' : 'secureConnection', (socket: Socket) => {
    sockets.push(socket)
    let text = ''
    socket.on('error', () => undefined)
    socket.on('data', (bytes: Buffer) => {
      text += bytes.toString('latin1')
      for (let end = text.indexOf('\r\n\r\n'); end >= 0; end = text.indexOf('\r\n\r\n')) {
        const request = text.slice(0, end)
        text = text.slice(end + 4)
        requests.push(request)
        void serve(socket, request)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const scheme = options.server === undefined ? 'http' : 'https'
  const client = new HttpClient(new URL(`${scheme}://127.0.0.1:${(server.address() as AddressInfo).port}`), {
    connections: options.connections ?? 4,
    certificateHint: 'a certificate',
    altNameHint: 'another name',
    ...(options.tls !== undefined && { tls: options.tls }),
  })
  ending.push(() => {
    void client.close()
    server.close()
    for (const socket of sockets) socket.destroy()
  })
  return { client, requests, sockets }
}

const get: HttpRequest = { method: 'GET', target: '/', headers: {}, body: null }

async function kindOf(work: Promise<unknown>): Promise<string> {
  return work.then(
    () => 'success',
    (error: unknown) => (error instanceof CloudError ? error.kind : String(error)),
  )
}

describe('answers', () => {
  const forms: Readonly<
    Record<string, { readonly wire: string; readonly status?: number; readonly body: string; readonly method?: string }>
  > = {
    'with a length': { wire: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello', body: 'hello' },
    'in chunks, with an extension and trailers': {
      wire: 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nhel\r\n2\r\nlo\r\n0\r\nx-sum: 1\r\n\r\n',
      body: 'hello',
    },
    'announced before': { wire: 'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 \r\nContent-Length: 2\r\n\r\nok', status: 201, body: 'ok' },
    'to HEAD': { wire: 'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n', body: '', method: 'HEAD' },
    'without content': { wire: 'HTTP/1.1 204 No Content\r\n\r\n', status: 204, body: '' },
  }

  for (const [form, { wire, status = 200, body, method = 'GET' }] of Object.entries(forms)) {
    test(`${form} are read however they are cut, and the connection goes on`, async () => {
      let step = 1
      const { client, sockets, requests } = await peer(async (socket) => {
        for (let at = 0; at < wire.length; at += step) {
          socket.write(wire.slice(at, at + step), 'latin1')
          if (step < wire.length) await sleep(0)
        }
      })
      for (step of [1, 2, 7, wire.length]) {
        const response = await client.send({ ...get, method }, forEver)
        expect([response.status, await response.body.text(100)]).toEqual([status, body])
      }
      expect([sockets.length, requests.length]).toEqual([1, 4])
    })
  }

  test('that end with the connection are whole', async () => {
    const { client, sockets } = await peer((socket) => socket.end('HTTP/1.0 200 OK\r\n\r\nhello'))
    for (let i = 0; i < 2; i++) expect(await (await client.send(get, forEver)).body.text(100)).toBe('hello')
    expect(sockets).toHaveLength(2)
  })

  test('keep headers that come twice', async () => {
    const { client } = await peer((socket) =>
      socket.write('HTTP/1.1 200 OK\r\nX-A:  1 \r\nx-a:2\r\n__proto__: y\r\nContent-Length: 0\r\n\r\n'),
    )
    const { headers } = await client.send(get, forEver)
    expect({ ...headers }).toEqual({ 'x-a': ['1', '2'], ['__proto__']: 'y', 'content-length': '0' })
  })

  const refused: Readonly<Record<string, string>> = {
    'no HTTP': 'SSH-2.0-x\r\n\r\n',
    'a greeting of something else': '220 mail.example.com ESMTP\r\n',
    'another version': 'HTTP/2.0 200 OK\r\n\r\n',
    'two lengths': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx',
    'a length and chunks': 'HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
    'another coding': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n',
    'no number': 'HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n',
    'a line without a name': 'HTTP/1.1 200 OK\r\nnothing\r\n\r\n',
    'a folded line': 'HTTP/1.1 200 OK\r\nx: a\r\n b\r\n\r\n',
    'a bare line feed': 'HTTP/1.1 200 OK\nx: a\r\n\r\n',
    'an unasked protocol': 'HTTP/1.1 101 Switching\r\nupgrade: x\r\n\r\n',
    'a head without end': `HTTP/1.1 200 OK\r\nx: ${'a'.repeat(17_000)}`,
    'a bad size of a chunk': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n',
    'a chunk that is longer than it says': 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nab\r\n0\r\n\r\n',
    'a chunk line without end': `HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;${'a'.repeat(2000)}`,
  }
  for (const [what, wire] of Object.entries(refused)) {
    test(`with ${what} are garbage`, async () => {
      const { client } = await peer((socket) => socket.write(wire))
      expect(await kindOf(client.send(get, forEver).then((response) => response.body.bytes(100)))).toBe('garbage')
    })
  }

  test('are over where they said: what comes after them is nobody’s answer', async () => {
    const { client, sockets } = await peer((socket) => {
      socket.write('HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil')
    })
    for (let i = 0; i < 2; i++) expect(await (await client.send(get, forEver)).body.text(100)).toBe('ok')
    expect(sockets).toHaveLength(2)
  })

  test('that break off are an error, in the head, the body or a chunk', async () => {
    for (const wire of [
      '',
      'HTTP/1.1 2',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhe',
    ]) {
      const { client } = await peer((socket) => socket.end(wire))
      expect([wire, await kindOf(client.send(get, forEver).then((response) => response.body.bytes(100)))]).toEqual([wire, 'offline'])
    }
  })
})

describe('bodies', () => {
  const size = 24 * 2 ** 20
  const contents = randomBytes(size)
  const sum = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex')
  const answer = (socket: Socket, bytes: Buffer): void => {
    socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${bytes.length}\r\n\r\n`)
    socket.write(bytes)
  }

  test('arrive whole, many at a time, in memory that is used again', async () => {
    const part = 3 * 2 ** 20 + 12_345
    const { client } = await peer((socket, request) => {
      const start = Number(/\/(\d+)/.exec(request)?.[1])
      answer(socket, contents.subarray(start, start + part))
    })
    const reads = Array.from({ length: 24 }, async (_, i) => {
      const start = (i * 777_777) % (size - part)
      const { body } = await client.send({ ...get, target: `/${start}` }, forEver)
      const pieces: Buffer[] = []
      for await (const chunk of body) {
        pieces.push(Buffer.from(chunk))
        if (i % 3 === 0) await sleep(1)
      }
      expect(sum(Buffer.concat(pieces))).toBe(sum(contents.subarray(start, start + part)))
    })
    await Promise.all(reads)
  })

  test('wait for a slow reader at the server, not in memory', async () => {
    const { client, sockets } = await peer((socket) => answer(socket, contents))
    const { body } = await client.send(get, forEver)
    const chunks = body[Symbol.asyncIterator]()
    const first = await chunks.next()
    await sleep(300)
    const waiting = sockets[0]?.writableLength ?? 0
    expect(waiting).toBeGreaterThan(0)
    const rest = await bytesOf({ [Symbol.asyncIterator]: () => chunks })
    expect(rest.length + (first.done === true ? 0 : first.value.length)).toBe(size)
  })

  test('of encrypted connections arrive, too', async () => {
    const { server, authority } = await makeCertificates()
    const { client, sockets } = await peer((socket) => answer(socket, contents), {
      server: createTlsServer(server),
      tls: { ca: [authority.cert] },
    })
    for (let i = 0; i < 2; i++) expect(sum(await (await client.send(get, forEver)).body.bytes(size))).toBe(sum(contents))
    expect(sockets).toHaveLength(1)
  })

  test('of a server that nobody vouches for are never asked for', async () => {
    const { selfSigned } = await makeCertificates()
    const { client, requests } = await peer((socket) => answer(socket, contents), { server: createTlsServer(selfSigned) })
    const error = await client.send(get, forEver).catch((caught: unknown) => caught)
    expect(error).toMatchObject({ kind: 'offline', hint: 'a certificate' })
    expect(requests).toEqual([])
  })

  test('that are not wanted cost their connection, and no other', async () => {
    const { client, sockets } = await peer((socket, request) =>
      answer(socket, request.startsWith('GET /big') ? contents : Buffer.from('small')),
    )
    const { body } = await client.send({ ...get, target: '/big' }, forEver)
    const chunks = body[Symbol.asyncIterator]()
    await chunks.next()
    await chunks.return?.()
    expect(await (await client.send(get, forEver)).body.text(10)).toBe('small')
    await vi.waitFor(() => expect(sockets[0]?.destroyed).toBe(true))
    expect(sockets).toHaveLength(2)
  })
})

describe('requests', () => {
  const empty = 'HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n'

  test('say host and length where the caller does not', async () => {
    const { client, requests, sockets } = await peer((socket) => socket.write(empty))
    await client.send({ ...get, headers: { 'x-a': 'b' } }, forEver)
    await client.send({ ...get, method: 'PUT' }, forEver)
    const host = `127.0.0.1:${sockets[0]?.localPort}`
    expect(requests).toEqual([`GET / HTTP/1.1\r\nhost: ${host}\r\nx-a: b`, `PUT / HTTP/1.1\r\nhost: ${host}\r\ncontent-length: 0`])
  })

  test('that would break out of their line are never sent', async () => {
    const { client, requests } = await peer((socket) => socket.write(empty))
    const bad = [
      { ...get, target: '/a b' },
      { ...get, target: '/\r\nx: y' },
      { ...get, headers: { x: 'a\r\nb: c' } },
      { ...get, headers: { 'x y': 'a' } },
      { ...get, headers: { x: 'Ā' } },
      { ...get, method: 'G ET' },
    ]
    for (const request of bad) expect(await kindOf(client.send(request, forEver))).toBe('invalid')
    expect(requests).toEqual([])
  })

  async function* pieces(...all: readonly (string | Error)[]): AsyncGenerator<Buffer> {
    for (const piece of all) {
      await sleep(1)
      if (typeof piece !== 'string') throw piece
      yield Buffer.from(piece)
    }
  }

  test('with a body that is shorter or longer than they said fail', async () => {
    const { client } = await peer(() => undefined)
    const put = (body: AsyncIterable<Buffer>): HttpRequest => ({ method: 'PUT', target: '/', headers: { 'content-length': '4' }, body })
    expect(await kindOf(client.send(put(pieces('abc')), forEver))).toBe('internal')
    expect(await kindOf(client.send(put(pieces('abc', 'de')), forEver))).toBe('internal')
    expect(await kindOf(client.send(put(pieces('ab', new CloudError('cancelled', 'written to meanwhile'))), forEver))).toBe('cancelled')
  })

  test('that are answered before they were sent stop, and their connection is not used again', async () => {
    const { client, sockets } = await peer((socket) => socket.write('HTTP/1.1 412 No\r\nContent-Length: 0\r\n\r\n'))
    let asked = 0
    const body = (async function* () {
      for (; asked < 1000; asked++) {
        yield Buffer.alloc(1000)
        await sleep(1)
      }
    })()
    const refused = await client.send({ method: 'PUT', target: '/', headers: { 'content-length': '1000000' }, body }, forEver)
    expect(refused.status).toBe(412)
    expect((await client.send(get, forEver)).status).toBe(412)
    expect([sockets.length, asked < 500]).toEqual([2, true])
  })

  test('wait in line for one of so many connections, and may leave the line', async () => {
    let answering = 0
    let most = 0
    const { client, sockets, requests } = await peer(
      async (socket) => {
        most = Math.max(most, ++answering)
        await sleep(20)
        answering -= 1
        socket.write(empty)
      },
      { connections: 2 },
    )
    const left = new AbortController()
    const all = Array.from({ length: 8 }, (_, i) => client.send(get, i === 5 ? left.signal : forEver))
    left.abort(new CloudError('cancelled', 'no more'))
    expect(await Promise.all(all.map(kindOf))).toEqual(Array.from({ length: 8 }, (_, i) => (i === 5 ? 'cancelled' : 'success')))
    expect([sockets.length, most, requests.length]).toEqual([2, 2, 7])
  })

  test('can be given up before their answer and in the middle of it', async () => {
    const { client, sockets } = await peer(
      (socket, request) => request.startsWith('GET /body') && socket.write('HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc'),
    )
    const silent = client.send(get, AbortSignal.timeout(30))
    expect(await kindOf(silent)).toBe('timeout')
    const stop = new AbortController()
    const { body } = await client.send({ ...get, target: '/body' }, stop.signal)
    const reading = bytesOf(body)
    await sleep(20)
    stop.abort(new CloudError('cancelled', 'no more'))
    expect(await kindOf(reading)).toBe('cancelled')
    await vi.waitFor(() => expect(sockets.map((socket) => socket.destroyed)).toEqual([true, true]))
  })

  test('do not take a connection that the server has closed, or is about to close', async () => {
    let keep = ''
    const { client, sockets } = await peer((socket) => socket.write(`HTTP/1.1 200 OK\r\n${keep}Content-Length: 0\r\n\r\n`))
    await client.send(get, forEver)
    sockets[0]?.end()
    await vi.waitFor(() => expect(sockets[0]?.destroyed).toBe(true))
    for (keep of ['Keep-Alive: timeout=2\r\n', 'Connection: close\r\n', '']) await client.send(get, forEver)
    expect(sockets).toHaveLength(4)
  })

  test('to a port where nobody listens say so', async () => {
    const { client, sockets } = await peer((socket) => socket.write(empty))
    await client.close()
    expect(await kindOf(client.send(get, forEver))).toBe('cancelled')
    const nobody = new HttpClient(new URL('http://127.0.0.1:9'), { connections: 1, certificateHint: '', altNameHint: '' })
    const error = await nobody.send(get, forEver).catch((caught: unknown) => caught)
    expect(error).toMatchObject({
      kind: 'offline',
      code: 'ECONNREFUSED',
      hint: 'Check host and port of the endpoint, and that the server runs.',
    })
    expect(sockets).toEqual([])
  })
})
