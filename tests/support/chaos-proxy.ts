/** An HTTP proxy in front of a test server that counts requests and spoils those it is told to. */
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { ClientRequest, IncomingHttpHeaders, IncomingMessage, Server, ServerResponse } from 'node:http'
import { setTimeout as sleep } from 'node:timers/promises'

/** What becomes of one request. */
export type Fate =
  | { readonly kind: 'pass' }
  /** Answered by the proxy; the server never sees it. */
  | {
      readonly kind: 'answer'
      readonly status: number
      readonly headers?: Readonly<Record<string, string>>
      readonly body?: string | Buffer
    }
  /** The connection breaks before the server sees anything. */
  | { readonly kind: 'reset' }
  /** The server does it, its answer is lost. */
  | { readonly kind: 'lose-answer' }
  /** The answer breaks off after so many bytes of its body. */
  | { readonly kind: 'cut'; readonly after: number }
  /** The request breaks off after so many bytes of its body; the server may have got them. */
  | { readonly kind: 'cut-upload'; readonly after: number }
  /** Half-open: after so many bytes of the answer's body nothing comes any more, and the connection stays. 0: not even a head. */
  | { readonly kind: 'stall'; readonly after: number }
  | { readonly kind: 'crawl'; readonly bytesPerSecond: number }
  /** A complete message whose body is only the first part of what the server said. */
  | { readonly kind: 'truncate'; readonly part: number }
  /** What the server said to the same request when it was kept. Passes where nothing was kept. */
  | { readonly kind: 'replay' }
  | { readonly kind: 'delay'; readonly milliseconds: number }

export interface Seen {
  readonly method: string
  /** Path and query. */
  readonly url: string
  readonly headers: IncomingHttpHeaders
}

interface Kept {
  readonly status: number
  readonly headers: IncomingHttpHeaders
  readonly body: Buffer
}

export interface ChaosProxy {
  readonly endpoint: string
  readonly seen: Seen[]
  /** What the server answered, also where its answer was lost afterwards. */
  readonly answered: (Seen & { readonly status: number })[]
  /** Bytes of request bodies that went through or were held back. */
  received: number
  /** Connections that clients made. */
  sockets: number
  /** Requests whose fate was not `pass`. */
  struck: number
  decide: (seen: Seen) => Fate
  /** Answers to these are kept, the first to each method and address. */
  keep: (seen: Seen) => boolean
  readonly kept: Map<string, Kept>
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
    answered: [],
    received: 0,
    sockets: 0,
    struck: 0,
    decide: () => pass,
    keep: () => false,
    kept: new Map(),
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
    const seen: Seen = { method: incoming.method ?? '', url: incoming.url ?? '', headers: incoming.headers }
    proxy.seen.push(seen)
    incoming.on('data', (chunk: Buffer) => {
      proxy.received += chunk.length
    })
    const key = `${seen.method} ${seen.url}`
    const wanted = proxy.decide(seen)
    const fate = wanted.kind === 'replay' ? replayed(proxy.kept.get(key)) : wanted
    if (fate.kind !== 'pass') proxy.struck++
    const keep = fate.kind === 'pass' && proxy.keep(seen) && !proxy.kept.has(key) ? (kept: Kept) => proxy.kept.set(key, kept) : null
    outgoing.on('error', () => undefined)
    incoming.on('error', () => undefined)
    meet(fate, incoming, outgoing, { target, agent, keep, answered: (status) => proxy.answered.push({ ...seen, status }) }).catch(() =>
      incoming.socket.destroy(),
    )
  })
  return proxy
}

interface Way {
  readonly target: string
  readonly agent: Agent
  readonly keep: ((kept: Kept) => void) | null
  readonly answered: (status: number) => void
}

function replayed(kept: Kept | undefined): Fate {
  if (kept === undefined) return pass
  return { kind: 'answer', status: kept.status, headers: kept.headers as Readonly<Record<string, string>>, body: kept.body }
}

async function meet(
  fate: Fate,
  incoming: IncomingMessage,
  outgoing: ServerResponse,
  { target, agent, keep, answered }: Way,
): Promise<void> {
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
    case 'stall':
      if (fate.after > 0) break
      incoming.resume()
      return
    case 'pass':
    case 'lose-answer':
    case 'cut':
    case 'cut-upload':
    case 'crawl':
    case 'truncate':
    case 'replay':
      break
  }
  const upstream = request(target + (incoming.url ?? ''), { method: incoming.method, headers: incoming.headers, agent })
  upstream.on('error', () => incoming.socket.destroy())
  incoming.on('close', () => {
    if (!incoming.complete) upstream.destroy()
  })
  if (fate.kind === 'cut-upload') {
    cutUpload(incoming, upstream, fate.after)
    return
  }
  incoming.pipe(upstream)
  upstream.on('response', (answer) => {
    answered(answer.statusCode ?? 502)
    if (keep !== null || fate.kind === 'truncate') {
      void whole(answer).then((body) => {
        const part = fate.kind === 'truncate' ? body.subarray(0, Math.floor(body.length * fate.part)) : body
        const headers = { ...answer.headers }
        delete headers['transfer-encoding']
        keep?.({ status: answer.statusCode ?? 502, headers, body })
        outgoing.writeHead(answer.statusCode ?? 502, { ...headers, 'content-length': String(part.length) })
        outgoing.end(part)
      })
      return
    }
    if (fate.kind === 'lose-answer') {
      answer.resume()
      answer.on('end', () => incoming.socket.destroy())
      return
    }
    outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
    if (fate.kind === 'cut') void cut(answer, outgoing, fate.after)
    else if (fate.kind === 'stall') void stall(answer, outgoing, fate.after)
    else if (fate.kind === 'crawl') void crawl(answer, outgoing, fate.bytesPerSecond)
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

async function stall(answer: IncomingMessage, outgoing: ServerResponse, after: number): Promise<void> {
  let left = after
  for await (const chunk of answer as AsyncIterable<Buffer>) {
    if (left > 0) outgoing.write(chunk.subarray(0, left))
    left -= chunk.length
  }
}

async function crawl(answer: IncomingMessage, outgoing: ServerResponse, bytesPerSecond: number): Promise<void> {
  const step = Math.max(1, Math.floor(bytesPerSecond / 20))
  for (let rest = await whole(answer); rest.length > 0 && !outgoing.destroyed; rest = rest.subarray(step)) {
    outgoing.write(rest.subarray(0, step))
    await sleep(50)
  }
  outgoing.end()
}

function cutUpload(incoming: IncomingMessage, upstream: ClientRequest, after: number): void {
  let left = after
  incoming.on('data', (chunk: Buffer) => {
    if (left > 0) upstream.write(chunk.subarray(0, left))
    left -= chunk.length
    if (left > 0) return
    upstream.destroy()
    incoming.socket.destroy()
  })
  incoming.on('end', () => incoming.socket.destroy())
}

async function whole(answer: IncomingMessage): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk)
  return Buffer.concat(chunks)
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
  return address.port
}
