import { createHash, timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { IncomingMessage, Server, ServerResponse } from 'node:http'
import { CloudError } from '../../common/errors.ts'
import type { RequestLog } from '../cache/request-log.ts'
import type { Attributes, Filesystem } from '../vfs/filesystem.ts'
import { DavFiles } from './dav-files.ts'
import { find, isFile, isFolder, namesOf, targetOf } from './dav-tree.ts'
import { multistatusHead, multistatusTail, response, timeWasSet } from './multistatus.ts'
import { Changes } from './run-change.ts'
import { statusOf } from './status.ts'

export interface DavDoorOptions {
  readonly filesystem: Filesystem
  readonly requestLog: RequestLog
  /** Of files that are made here. */
  readonly uid: number
  readonly gid: number
  /** Whoever knows it may do anything; it lives as long as the mount. */
  readonly token: string
  /** 0: any that is free. */
  readonly port: number
  readonly readMs: number
  /** Names of uploads under way, of everybody who serves this drive. */
  readonly underWay: Set<string>
  readonly log: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void
}

export interface DavDoor {
  readonly port: number
  close(): Promise<void>
}

const mostConnections = 256
const noReplace = 1
const mostText = 16_384

/**
 * The drive as a WebDAV server (RFC 4918, class 1) on the loopback interface, for one client that knows the token: a mount program
 * where the kernel's own door is not to be had. Links and special nodes are not shown, WebDAV has none.
 */
export async function openDavDoor(options: DavDoorOptions): Promise<DavDoor> {
  const door = new Door(options)
  const server = createServer((request, answer) => void door.serve(request, answer))
  server.maxConnections = mostConnections
  // An upload may take as long as it takes; its deadline is the client's.
  server.requestTimeout = 0
  server.listen(options.port, '127.0.0.1')
  await once(server, 'listening')
  return { port: portOf(server), close: () => closeServer(server) }
}

class Door {
  readonly #options: DavDoorOptions
  readonly #changes: Changes
  readonly #files: DavFiles
  readonly #expected: Buffer

  constructor(options: DavDoorOptions) {
    this.#options = options
    this.#changes = new Changes(options.requestLog)
    const caller = { uid: options.uid, gid: options.gid, pid: process.pid }
    const { filesystem, readMs, underWay } = options
    this.#files = new DavFiles({ filesystem, changes: this.#changes, caller, readMs, underWay })
    this.#expected = digest(`Bearer ${options.token}`)
  }

  async serve(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    request.on('error', () => undefined)
    answer.on('error', () => undefined)
    try {
      if (!timingSafeEqual(digest(request.headers.authorization ?? ''), this.#expected)) {
        answer.writeHead(401, { 'www-authenticate': 'Bearer' }).end()
        return
      }
      await this.#dispatch(request, answer)
    } catch (caught) {
      const error = CloudError.from(caught)
      if (error.kind === 'internal') this.#options.log('error', `webdav: ${error.message}`)
      if (answer.headersSent) answer.destroy()
      else answer.writeHead(statusOf(error), { 'content-type': 'text/plain' }).end(`${error.message}\n`)
    } finally {
      request.resume()
    }
  }

  async #dispatch(request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { filesystem } = this.#options
    const names = namesOf(pathOf(request.url ?? '/'))
    switch (request.method) {
      case 'OPTIONS':
        answer.writeHead(200, { dav: '1', allow: 'OPTIONS, PROPFIND, PROPPATCH, GET, HEAD, PUT, MKCOL, DELETE, MOVE' }).end()
        return
      case 'PROPFIND':
        return this.#propfind(names, request.headers['depth'] !== '0', answer)
      case 'GET':
      case 'HEAD':
        return this.#files.get(await find(filesystem, names), request, answer)
      case 'PUT': {
        const mtime = Number.parseInt(String(request.headers['x-oc-mtime'] ?? ''), 10)
        const known = Number.isFinite(mtime)
        const { outcome } = await this.#files.put(await targetOf(filesystem, names), request, known ? mtime : null)
        answer.writeHead(outcome === 'created' ? 201 : 204, known ? { 'x-oc-mtime': 'accepted' } : {}).end()
        return
      }
      case 'PROPPATCH':
        return this.#proppatch(names, request, answer)
      case 'MKCOL':
        return this.#mkcol(names, answer)
      case 'DELETE':
        return this.#delete(names, answer)
      case 'MOVE':
        return this.#move(names, request, answer)
      default:
        answer.writeHead(405).end()
    }
  }

  async #propfind(names: readonly Buffer[], withChildren: boolean, answer: ServerResponse): Promise<void> {
    const { filesystem } = this.#options
    const attributes = await find(filesystem, names)
    const children = withChildren && isFolder(attributes) ? await this.#children(attributes.id) : []
    answer.writeHead(207, { 'content-type': 'application/xml; charset=utf-8' })
    answer.write(multistatusHead + response(names, attributes))
    for (const [name, child] of children) answer.write(response([...names, name], child))
    answer.end(multistatusTail)
  }

  async #children(folder: number): Promise<(readonly [Buffer, Attributes])[]> {
    const { filesystem } = this.#options
    const found: (readonly [Buffer, Attributes])[] = []
    await filesystem.opendir(folder)
    await filesystem.readdir(folder, 0, (name, _offset, attributes) => found.push([Buffer.from(name), attributes]) > 0)
    const leftovers = found.filter(([name]) => this.#files.isLeftover(name))
    for (const [name] of leftovers) await this.#changes.run(filesystem.unlink(folder, name)).catch(() => undefined)
    return found.filter(
      ([name, attributes]) => !this.#files.isTemporary(name) && !isDots(name) && (isFile(attributes) || isFolder(attributes)),
    )
  }

  /** The time of change is all that can be set; rclone does it for files that it has handed over already. */
  async #proppatch(names: readonly Buffer[], request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { filesystem, uid, gid } = this.#options
    const attributes = await find(filesystem, names)
    const seconds = /<(?:\w+:)?lastmodified[^>]*>\s*(\d{1,11})\s*</.exec(await readText(request))?.[1]
    if (seconds === undefined) throw new CloudError('permission', 'only lastmodified can be set')
    const change = { mtime: { sec: Number(seconds), nsec: 0 }, killPrivileges: false }
    await this.#changes.run(filesystem.setattr({ uid, gid, pid: process.pid }, attributes.id, change))
    answer.writeHead(207, { 'content-type': 'application/xml; charset=utf-8' })
    answer.end(multistatusHead + timeWasSet(names, isFolder(attributes)) + multistatusTail)
  }

  async #mkcol(names: readonly Buffer[], answer: ServerResponse): Promise<void> {
    const { filesystem, uid, gid } = this.#options
    const { parent, name } = await targetOf(filesystem, names)
    if (name === null || (await filesystem.lookup(parent, name)) !== null) {
      answer.writeHead(405).end()
      return
    }
    await this.#changes.run(filesystem.mkdir({ uid, gid, pid: process.pid }, parent, name, 0o755))
    answer.writeHead(201).end()
  }

  /** Folders only when empty: what was put into one a moment ago must not go with it. */
  async #delete(names: readonly Buffer[], answer: ServerResponse): Promise<void> {
    const { filesystem } = this.#options
    const attributes = await find(filesystem, names)
    const { parent, name } = await targetOf(filesystem, names)
    if (name === null) throw new CloudError('permission', 'the root stays')
    await this.#changes.run(isFolder(attributes) ? filesystem.rmdir(parent, name) : filesystem.unlink(parent, name))
    answer.writeHead(204).end()
  }

  async #move(names: readonly Buffer[], request: IncomingMessage, answer: ServerResponse): Promise<void> {
    const { filesystem } = this.#options
    const to = namesOf(pathOf(String(request.headers['destination'] ?? '')))
    const [source, target] = [await targetOf(filesystem, names), await targetOf(filesystem, to)]
    if (source.name === null || target.name === null) throw new CloudError('permission', 'the root stays')
    const replaced = (await filesystem.lookup(target.parent, target.name)) !== null
    const flags = String(request.headers['overwrite'] ?? 'T').toUpperCase() === 'F' ? noReplace : 0
    await this.#changes.run(filesystem.rename(source.parent, source.name, target.parent, target.name, flags))
    answer.writeHead(replaced ? 204 : 201).end()
  }
}

function isDots(name: Buffer): boolean {
  const text = name.toString('latin1')
  return text === '.' || text === '..'
}

/** The path of `/path` or of `http://host/path`, still encoded. */
function pathOf(url: string): string {
  return (/^https?:\/\/[^/]*(\/.*)?$/.exec(url)?.[1] ?? url).split('?')[0] ?? ''
}

/** Of a request that is small if it is one of ours. */
async function readText(request: IncomingMessage): Promise<string> {
  let text = ''
  for await (const chunk of request as AsyncIterable<Buffer>) {
    text += chunk.toString('latin1')
    if (text.length > mostText) throw new CloudError('too-large', 'a request of this size asks for something else')
  }
  return text
}

/** Of equal length, whatever was sent. */
function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

function portOf(server: Server): number {
  const address = server.address()
  if (address === null || typeof address === 'string') throw new CloudError('internal', 'no port')
  return address.port
}

async function closeServer(server: Server): Promise<void> {
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
}
