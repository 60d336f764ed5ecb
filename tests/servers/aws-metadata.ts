/** What a machine or a container at AWS is told about itself, over real HTTP: credentials that end, and are others each time. */
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage } from 'node:http'

export interface GivenCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
  /** Milliseconds from now. */
  readonly endsIn: number
}

export interface MetadataServer {
  readonly endpoint: string
  /** How often credentials were given. */
  given: number
  next: () => GivenCredentials
  /** What a container must show. */
  readonly authorization: string
  close(): Promise<void>
}

const token = 'a-token-of-the-second-version'
const role = 'drive-role'

export async function startMetadataServer(next: () => GivenCredentials): Promise<MetadataServer> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  const metadata: MetadataServer = {
    endpoint: typeof address === 'object' && address ? `http://127.0.0.1:${address.port}` : '',
    given: 0,
    next,
    authorization: 'Bearer of-the-container',
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
  server.on('request', (request, response) => {
    const [status, body] = answer(metadata, request)
    response.writeHead(status, { 'content-type': 'application/json', 'x-aws-ec2-metadata-token-ttl-seconds': '21600' })
    response.end(body)
  })
  return metadata
}

function answer(metadata: MetadataServer, { method, url, headers }: IncomingMessage): readonly [number, string] {
  const base = '/latest/meta-data/iam/security-credentials/'
  if (url === '/latest/api/token') return method === 'PUT' && headers['x-aws-ec2-metadata-token-ttl-seconds'] ? [200, token] : [400, '']
  if (url === '/container') return headers.authorization === metadata.authorization ? [200, give(metadata, 'Token')] : [403, '{}']
  if (headers['x-aws-ec2-metadata-token'] !== token) return [401, '']
  if (url === base) return [200, role]
  if (url === base + role) return [200, give(metadata, 'Token')]
  return [404, '']
}

function give(metadata: MetadataServer, tokenName: string): string {
  metadata.given++
  const { accessKeyId, secretAccessKey, sessionToken = '', endsIn } = metadata.next()
  return JSON.stringify({
    Code: 'Success',
    LastUpdated: new Date().toISOString(),
    Type: 'AWS-HMAC',
    AccessKeyId: accessKeyId,
    SecretAccessKey: secretAccessKey,
    [tokenName]: sessionToken,
    Expiration: new Date(Date.now() + endsIn).toISOString(),
  })
}
