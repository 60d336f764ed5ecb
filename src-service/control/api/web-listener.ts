import { createServer, isIP } from 'node:net'
import type { AddressInfo, Server, Socket } from 'node:net'
import { createServer as createTlsServer } from 'node:tls'
import type { TlsOptions } from 'node:tls'
import { CloudError } from '../../common/errors.ts'
import type { Log } from '../../common/telemetry/log.ts'
import { defaultLimits, serveConnections } from './connections.ts'
import type { Listener, ListenerLimits, Request, Response } from './connections.ts'

export interface WebListenerOptions {
  /** An IP address. */
  readonly address: string
  readonly port: number
  /** A taken port is not an error: any free one will do. */
  readonly elsewhere: boolean
  /** Null = plain HTTP, on loopback only. */
  readonly tls: Certificate | null
  readonly handle: (request: Request, response: Response) => void
  readonly log: Log
  readonly limits?: Partial<ListenerLimits>
}

export interface Certificate {
  /** PEM. */
  readonly cert: string
  readonly key: string
}

export interface WebListener extends Listener {
  readonly address: string
  readonly port: number
  readonly secure: boolean
}

const fewer: Partial<ListenerLimits> = { headersMs: 10_000, requestMs: 60_000 }

/** True for addresses that only this machine can reach. */
export function isLoopback(address: string): boolean {
  return address === '::1' || (isIP(address) === 4 && address.startsWith('127.'))
}

/**
 * Listens on a TCP address. Throws `invalid` for an address that is not loopback without TLS: passwords and tokens would be read on
 * the way; `busy` if the port is taken.
 */
export async function openWebListener(options: WebListenerOptions): Promise<WebListener> {
  const { address, tls, log } = options
  if (isIP(address) === 0) throw new CloudError('invalid', `'${address}' is not an IP address to listen on`)
  if (tls === null && !isLoopback(address)) {
    throw new CloudError(
      'invalid',
      `the service does not listen on ${address} without TLS: passwords and tokens could be read on the way`,
      {
        hint: 'Give a certificate, or the word self-signed for one that is made here (setting tls); or listen on 127.0.0.1.',
      },
    )
  }
  const limits = { ...defaultLimits, ...fewer, ...options.limits }
  const receive = (socket: Socket) => connections.receive(socket, socket)
  const server = tls === null ? createServer(receive) : createTlsServer(tlsOptions(tls, limits), receive)
  server.on('tlsClientError', (_, socket: Socket) => socket.destroy())
  const connections = serveConnections<object>(server, limits, log, (request, response) => options.handle(request, response))
  server.maxConnections = limits.connections
  const port = await listen(server, options)
  return { address, port, secure: tls !== null, close: (graceMs) => connections.close(graceMs) }
}

function tlsOptions({ cert, key }: Certificate, { headersMs }: ListenerLimits): TlsOptions {
  return { cert, key, minVersion: 'TLSv1.2', ALPNProtocols: ['h2', 'http/1.1'], handshakeTimeout: headersMs }
}

async function listen(server: Server, { address, port, elsewhere }: WebListenerOptions): Promise<number> {
  try {
    return await tryPort(server, address, port)
  } catch (caught) {
    const taken = caught instanceof Error && 'code' in caught && caught.code === 'EADDRINUSE'
    if (taken && elsewhere) return tryPort(server, address, 0)
    if (taken)
      throw new CloudError('busy', `the port ${port} of ${address} is taken`, { cause: caught, hint: 'Choose another (setting listen).' })
    throw CloudError.from(caught)
  }
}

function tryPort(server: Server, host: string, port: number): Promise<number> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen({ host, port, exclusive: true }, () => {
      server.off('error', reject)
      const bound = server.address() as AddressInfo
      resolve(bound.port)
    })
  })
}
