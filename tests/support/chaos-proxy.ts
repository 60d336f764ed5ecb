/** An HTTP proxy in front of a test server that counts requests and spoils those it is told to. */
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** What becomes of one request. */
export type Fate =
  | { readonly kind: 'pass' }
  /** Answered by the proxy; the server never sees it. */
  | { readonly kind: 'answer'; readonly status: number; readonly headers?: Readonly<Record<string, string>>; readonly body?: string }
  /** The connection breaks before the server sees anything. */
  | { readonly kind: 'reset' }
  /** The server does it, its answer is lost. */
  | { readonly kind: 'lose-answer' }
  /** The answer breaks off after so many bytes of its body. */
  | { readonly kind: 'cut'; readonly after: number }
  | { readonly kind: 'delay'; readonly milliseconds: number }

export interface Seen {
  readonly method: string
  /** Path and query. */
  readonly url: string
}

export interface ChaosProxy {
  readonly endpoint: string
  readonly seen: Seen[]
  /** Bytes of request bodies that went through or were held back. */
  received: number
  /** Connections that clients made. */
  sockets: number
  /** Requests whose fate was not `pass`. */
  struck: number
  decide: (seen: Seen) => Fate
  close(): Promise<void>
}

const pass: Fate = { kind: 'pass' }

/** @param target `http://host:port` */
export async function startChaosProxy(target: string): Promise<ChaosProxy> {
  const agent = new Agent({ keepAlive: true })
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const proxy: ChaosProxy = {
    endpoint: `http://127.0.0.1:${portOf(server)}`,
    seen: [],
    received: 0,
    sockets: 0,
    struck: 0,
    decide: () => pass,
    close: async () => {
      agent.destroy()
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  server.on('connection', () => {
    proxy.sockets++
  })
  server.on('request', (incoming: IncomingMessage, outgoing: ServerResponse) => {
    const seen = { method: incoming.method ?? '', url: incoming.url ?? '' }
    proxy.seen.push(seen)
    incoming.on('data', (chunk: Buffer) => {
      proxy.received += chunk.length
    })
    const fate = proxy.decide(seen)
    if (fate.kind !== 'pass') proxy.struck++
    void meet(fate, incoming, outgoing, target, agent)
  })
  return proxy
}

async function meet(fate: Fate, incoming: IncomingMessage, outgoing: ServerResponse, target: string, agent: Agent): Promise<void> {
  switch (fate.kind) {
    case 'reset':
      incoming.socket.destroy()
      return
    case 'answer':
      incoming.resume()
      outgoing.writeHead(fate.status, fate.headers)
      outgoing.end(fate.body ?? '')
      return
    case 'delay':
      await sleep(fate.milliseconds)
      break
    case 'pass':
    case 'lose-answer':
    case 'cut':
      break
  }
  const upstream = request(target + (incoming.url ?? ''), { method: incoming.method, headers: incoming.headers, agent })
  upstream.on('error', () => incoming.socket.destroy())
  incoming.on('close', () => {
    if (!incoming.complete) upstream.destroy()
  })
  incoming.pipe(upstream)
  upstream.on('response', (answer) => {
    if (fate.kind === 'lose-answer') {
      answer.resume()
      answer.on('end', () => incoming.socket.destroy())
      return
    }
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    if (fate.kind === 'cut') void cut(answer, outgoing, fate.after)
    else answer.pipe(outgoing)
  })
}

async function cut(answer: IncomingMessage, outgoing: ServerResponse, after: number): Promise<void> {
  let left = after
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    outgoing.write(chunk.subarray(0, left))
    left -= chunk.length
    if (left <= 0) break
  }
  // What was written has to leave first.
  await sleep(20)
  outgoing.destroy()
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return address.port
}
