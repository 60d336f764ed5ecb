/** A proxy in front of an S3 server that stops at a chosen moment of an upload and says so: then its client can be killed. */
import { once } from 'node:events'
import { Agent, createServer, request } from 'node:http'
import type { ClientRequest, IncomingMessage, ServerResponse } from 'node:http'

/**
 * part: the first bytes of a part are with the server; completion: the server has completed an upload in parts, and its answer
 * is held; put: the server has stored an object, and its answer is held.
 */
export type Moment = 'part' | 'completion' | 'put'

const bytesOfPart = 256 * 1024

export class HoldingProxy implements AsyncDisposable {
  /** How often a client asked which parts of an upload had arrived. */
  resumed = 0
  readonly #target: string
  readonly #agent = new Agent({ keepAlive: true })
  readonly #server = createServer((incoming, outgoing) => {
    this.#serve(incoming, outgoing)
  })
  #next: { readonly moment: Moment; readonly held: () => void } | null = null
  #held: ServerResponse[] = []

  private constructor(target: string) {
    this.#target = target
  }

  /** @param target `http://host:port` */
  static async start(target: string): Promise<HoldingProxy> {
    const proxy = new HoldingProxy(target)
    proxy.#server.listen(0, '127.0.0.1')
    await once(proxy.#server, 'listening')
    return proxy
  }

  get endpoint(): string {
    const address = this.#server.address()
    if (address === null || typeof address === 'string') throw new Error('the proxy has no port')
    return `http://127.0.0.1:${address.port}`
  }

  /** Holds the next upload that comes to this moment; resolves when it is there. */
  hold(moment: Moment, timeoutMs: number): Promise<void> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#next = null
        reject(new Error(`no upload came to the moment '${moment}' within ${timeoutMs} ms`))
      }, timeoutMs)
      const held = () => {
        clearTimeout(timer)
        resolve()
      }
      this.#next = { moment, held }
    })
  }

  /** What was held breaks off. */
  letGo(): void {
    for (const outgoing of this.#held.splice(0)) outgoing.destroy()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.letGo()
    this.#agent.destroy()
    this.#server.closeAllConnections()
    this.#server.close()
    await once(this.#server, 'close')
  }

  #serve(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method = '', url = '', headers } = incoming
    if (method === 'GET' && url.includes('uploadId=')) this.resumed++
    const moment = momentOf(method, url)
    const held = moment !== null && this.#next?.moment === moment ? this.#take(outgoing) : null
    const upstream = request(this.#target + url, { method, headers, agent: this.#agent })
    upstream.on('error', () => outgoing.destroy())
    incoming.on('error', () => upstream.destroy())
    outgoing.on('close', () => {
      if (!outgoing.writableFinished) upstream.destroy()
    })
    if (held !== null && moment === 'part') {
      sendSome(incoming, upstream, held)
      return
    }
    incoming.pipe(upstream)
    upstream.on('response', (answer) => {
      if (held === null) {
        outgoing.writeHead(answer.statusCode ?? 502, answer.headers)
        answer.pipe(outgoing)
      } else {
        answer.resume()
        answer.on('end', held)
      }
    })
  }

  #take(outgoing: ServerResponse): () => void {
    const held = this.#next?.held ?? (() => undefined)
    this.#next = null
    this.#held.push(outgoing)
    return held
  }
}

function momentOf(method: string, url: string): Moment | null {
  if (method === 'PUT' && url.includes('partNumber=')) return 'part'
  if (method === 'POST' && url.includes('uploadId=')) return 'completion'
  return method === 'PUT' && !url.includes('?') ? 'put' : null
}

function sendSome(incoming: IncomingMessage, upstream: ClientRequest, held: () => void): void {
  let sent = 0
  incoming.on('data', (chunk: Buffer) => {
    sent += chunk.length
    upstream.write(chunk)
    if (sent < bytesOfPart) return
    incoming.pause()
    held()
  })
}
