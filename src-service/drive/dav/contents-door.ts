import { once } from 'node:events'
import { chmod } from 'node:fs/promises'
import { createServer } from 'node:http'
import type { IncomingMessage, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import { CloudError } from '../../common/errors.ts'
import { errorHeader, toWireError } from '../../common/frames/wire-error.ts'
import { descriptorOf } from '../../common/native/descriptor-of.ts'
import type { Native } from '../../common/native/native.ts'
import { etagOf } from './conditions.ts'
import type { DavFiles } from './dav-files.ts'
import { find, namesOf, targetOf } from './dav-tree.ts'
import type { Filesystem } from '../vfs/filesystem.ts'

interface ContentsDoorOptions {
  readonly native: Pick<Native, 'peerCredentials'>
  readonly filesystem: Filesystem
  readonly files: DavFiles
  /** Path of the socket; in a folder of this user alone. */
  readonly socket: string
}

export interface ContentsDoor {
  readonly socket: string
  close(): Promise<void>
}

const mostConnections = 256

/**
 * Contents of files over HTTP on a unix socket, for the service alone, which has asked who may. GET, HEAD and PUT of paths below the
 * root; what fails is answered with 500 and a `WireError` in a header: an answer to HEAD has no body.
 */
export async function openContentsDoor({ native, filesystem, files, socket }: ContentsDoorOptions): Promise<ContentsDoor> {
  const server = createServer((request, answer) => void serve(filesystem, files, request, answer))
  server.on('connection', (peer: Socket) => {
    if (native.peerCredentials(descriptorOf(peer)).uid !== process.getuid?.()) peer.destroy()
  })
  server.maxConnections = mostConnections
  // The service watches over both ends.
  server.requestTimeout = 0
  server.listen(socket)
  await once(server, 'listening')
  await chmod(socket, 0o600)
  return {
    socket,
    close: async () => {
      server.closeAllConnections()
      server.close()
      await once(server, 'close')
    },
  }
}

async function serve(filesystem: Filesystem, files: DavFiles, request: IncomingMessage, answer: ServerResponse): Promise<void> {
  request.on('error', () => undefined)
  answer.on('error', () => undefined)
  try {
    const names = namesOf(request.url ?? '/')
    if (request.method !== 'PUT') {
      await files.get(await find(filesystem, names), request, answer)
      return
    }
    if (request.headers['content-range'] !== undefined) throw new CloudError('invalid', 'a file is written as a whole')
    const { outcome, attributes } = await files.put(await targetOf(filesystem, names), request, null)
    answer.writeHead(outcome === 'created' ? 201 : 204, { etag: etagOf(attributes) }).end()
  } catch (caught) {
    if (answer.headersSent) answer.destroy()
    else answer.writeHead(500, { [errorHeader]: encodeURIComponent(JSON.stringify(toWireError(caught))) }).end()
  } finally {
    request.resume()
  }
}
