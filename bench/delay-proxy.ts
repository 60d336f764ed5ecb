/** A TCP proxy that holds every byte back for a while in each direction, and counts what passes. */
import { once } from 'node:events'
import { connect, createServer } from 'node:net'
import type { Socket } from 'node:net'

export interface DelayProxy extends AsyncDisposable {
  readonly endpoint: string
  /** HTTP requests by method, and bytes, since the last call. */
  take(): Traffic
}

export interface Traffic {
  readonly requests: Readonly<Record<string, number>>
  /** Bytes to the server. */
  readonly up: number
  /** Bytes from the server. */
  readonly down: number
}

/** Bytes that may wait on one connection in one direction: more than bandwidth times delay, so that the delay alone is felt. */
const mostHeld = 64 * 1024 * 1024

/** @param roundTripMs of an empty exchange; each direction has half of it */
export async function startDelayProxy(target: string, roundTripMs: number): Promise<DelayProxy> {
  const { hostname, port } = new URL(target)
  let requests: Record<string, number> = {}
  let up = 0
  let down = 0
  const sockets = new Set<Socket>()
  const server = createServer({ noDelay: true }, (client) => {
    const upstream = connect({ host: hostname, port: Number(port), noDelay: true })
    for (const socket of [client, upstream]) {
      sockets.add(socket)
      socket.on('error', () => {
        client.destroy()
        upstream.destroy()
      })
      socket.on('close', () => sockets.delete(socket))
    }
    relay(client, upstream, roundTripMs / 2, (chunk) => {
      up += chunk.length
      // A client begins each request in a write of its own, because it waits for the answer to the one before.
      const method = /^(GET|HEAD|PUT|POST|DELETE) /.exec(chunk.toString('latin1', 0, 8))?.[1]
      if (method !== undefined) requests[method] = (requests[method] ?? 0) + 1
    })
    relay(upstream, client, roundTripMs / 2, (chunk) => (down += chunk.length))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return {
    endpoint: `http://127.0.0.1:${address.port}`,
    take() {
      const taken = { requests, up, down }
      requests = {}
      up = 0
      down = 0
      return taken
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy()
      server.close()
      await once(server, 'close')
    },
  }
}

function relay(from: Socket, to: Socket, delayMs: number, seen: (chunk: Buffer) => void): void {
  let held = 0
  const later = (bytes: number, work: () => void): void => {
    held += bytes
    if (held > mostHeld) from.pause()
    setTimeout(() => {
      held -= bytes
      if (held <= mostHeld && from.isPaused()) from.resume()
      if (!to.destroyed) work()
    }, delayMs)
  }
  from.on('data', (chunk: Buffer) => {
    seen(chunk)
    if (delayMs > 0) later(chunk.length, () => to.write(chunk))
    else if (!to.write(chunk)) from.pause()
  })
  if (delayMs === 0) to.on('drain', () => from.resume())
  from.on('end', () => {
    if (delayMs > 0) later(0, () => to.end())
    else to.end()
  })
}
