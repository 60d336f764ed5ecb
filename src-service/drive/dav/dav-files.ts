import { randomBytes } from 'node:crypto'
import type { IncomingMessage, ServerResponse } from 'node:http'
import { CloudError } from '../../common/errors.ts'
import type { Attributes, Caller, Commit, Filesystem, Maybe } from '../vfs/filesystem.ts'
import { checkRead, checkWrite, etagOf, isKnown, mayBePartial } from './conditions.ts'
import { isFile, type Target } from './dav-tree.ts'

const pieceSize = 2 ** 20
const readOnly = { flags: 0, killPrivileges: false }
/** O_WRONLY | O_CREAT | O_EXCL */
const writeNew = { flags: 0o301, killPrivileges: false }
const plainWrite = { cached: false, killPrivileges: false }
/** Names of uploads under way begin like this. */
export const temporary = '.cloudmoor-put-'

/** Does a change in one transaction. @param places names that it makes, moves or removes */
export interface Changer {
  run<T>(change: Maybe<Commit<T>>, places: readonly { readonly parent: number; readonly name: Buffer }[]): Promise<T>
}

interface FileParts {
  readonly filesystem: Filesystem
  readonly changes: Changer
  /** Names of uploads under way, of everybody who serves this drive. */
  readonly underWay: Set<string>
  readonly caller: Caller
  /** Milliseconds that a read may take. */
  readonly readMs: number
}

interface PutOutcome {
  readonly outcome: 'created' | 'replaced'
  readonly attributes: Attributes
}

/** Contents over HTTP. */
export class DavFiles {
  readonly #parts: FileParts

  constructor(parts: FileParts) {
    this.#parts = parts
  }

  /** True for what an upload of a process that died has left. */
  isLeftover(name: Buffer): boolean {
    const text = name.toString('latin1')
    return text.startsWith(temporary) && !this.#parts.underWay.has(text)
  }

  isTemporary(name: Buffer): boolean {
    return name.toString('latin1').startsWith(temporary)
  }

  /** GET and HEAD, with one range, and conditions. */
  async get(attributes: Attributes, request: IncomingMessage, answer: ServerResponse): Promise<void> {
    if (!isFile(attributes)) throw new CloudError('is-a-folder', 'not a file')
    const { size } = attributes
    const etag = etagOf(attributes)
    checkRead(request.headers, attributes)
    if (isKnown(request.headers, attributes)) {
      answer.writeHead(304, { etag }).end()
      return
    }
    const range = mayBePartial(request.headers, attributes) ? parseRange(request.headers.range, size) : null
    if (range === 'unsatisfiable') {
      answer.writeHead(416, { 'content-range': `bytes */${size}` }).end()
      return
    }
    const [start, end] = range ?? [0, size]
    const headers = {
      'content-length': end - start,
      'content-type': 'application/octet-stream',
      'accept-ranges': 'bytes',
      etag,
      'last-modified': new Date(attributes.mtimeSec * 1000).toUTCString(),
    }
    const partial = { 'content-range': `bytes ${start}-${end - 1}/${size}` }
    const send = () => answer.writeHead(range === null ? 200 : 206, range === null ? headers : { ...headers, ...partial })
    if (request.method === 'HEAD' || start === end) send().end()
    else await this.#send(attributes.id, start, end, send, answer)
  }

  /** A file is whole or as it was before: its bytes arrive under another name. @param mtime seconds since 1970 */
  async put({ parent, name }: Target, request: IncomingMessage, mtime: number | null): Promise<PutOutcome> {
    if (name === null) throw new CloudError('is-a-folder', 'the root is a folder')
    const { filesystem, changes, caller, underWay } = this.#parts
    const before = await filesystem.lookup(parent, name)
    if (before !== null && !isFile(before)) throw new CloudError('is-a-folder', 'this name is not a file')
    checkWrite(request.headers, before)
    const mode = before === null ? 0o644 : before.mode & 0o7777
    const there = Buffer.from(temporary + randomBytes(8).toString('hex'))
    underWay.add(there.toString('latin1'))
    const places = [there, name].map((each) => ({ parent, name: each }))
    try {
      const { attributes, opened } = await changes.run(filesystem.create(caller, parent, there, mode, writeNew), places)
      try {
        await this.#receive(opened.fh, request)
        await filesystem.flush(opened.fh)
        const times = { mtime: { sec: mtime ?? 0, nsec: 0 }, killPrivileges: false }
        if (mtime !== null) await changes.run(filesystem.setattr(caller, attributes.id, times), [])
        // Whoever went away takes it for not done, and may send it under another name.
        if (request.socket.destroyed) throw new CloudError('offline', 'the client has gone')
        // Before it is closed: nothing is uploaded under the other name.
        await changes.run(this.#replace(request, parent, there, name), places)
      } finally {
        await filesystem.release(opened.fh)
      }
      return { outcome: before === null ? 'created' : 'replaced', attributes: await filesystem.getattr(attributes.id) }
    } catch (caught) {
      await Promise.resolve(changes.run(filesystem.unlink(parent, there), places)).catch(() => undefined)
      throw caught
    } finally {
      underWay.delete(there.toString('latin1'))
    }
  }

  /** Looks at the conditions again in the transaction: an upload takes its time. */
  async #replace(request: IncomingMessage, parent: number, there: Buffer, name: Buffer): Promise<Commit<void>> {
    const { filesystem } = this.#parts
    const commit = await filesystem.rename(parent, there, parent, name, 0)
    return () => {
      const now = filesystem.lookup(parent, name)
      if (now instanceof Promise) throw new CloudError('stale', 'the folder must be listed again')
      checkWrite(request.headers, now)
      commit()
    }
  }

  async #send(node: number, start: number, end: number, head: () => void, answer: ServerResponse): Promise<void> {
    const { filesystem, readMs } = this.#parts
    const { fh } = await filesystem.open(node, readOnly)
    const gone = new AbortController()
    answer.on('close', () => gone.abort())
    try {
      for (let at = start; at < end && !gone.signal.aborted; ) {
        const piece = Buffer.allocUnsafe(Math.min(pieceSize, end - at))
        const now = filesystem.readNow(fh, at, piece.length, piece, 0)
        const signal = AbortSignal.any([gone.signal, AbortSignal.timeout(readMs)])
        const length = now > 0 ? now : await filesystem.read(fh, at, piece.length, piece, 0, signal)
        if (length === 0) throw new CloudError('stale', 'the file became shorter')
        // An error of the first read still has a status.
        if (at === start) head()
        at += length
        if (!answer.write(piece.subarray(0, length))) await drained(answer)
      }
      answer.end()
    } finally {
      await filesystem.release(fh)
    }
  }

  async #receive(fh: number, request: IncomingMessage): Promise<void> {
    const { filesystem } = this.#parts
    let position = 0
    for await (const chunk of request as AsyncIterable<Buffer>) {
      for (let from = 0; from < chunk.length; from += pieceSize) {
        const length = Math.min(pieceSize, chunk.length - from)
        position += await filesystem.write(fh, chunk, from, length, position, plainWrite)
      }
    }
    const announced = request.headers['content-length']
    if (!request.complete || (announced !== undefined && Number(announced) !== position))
      throw new CloudError('offline', 'the upload broke off')
  }
}

function parseRange(header: string | undefined, size: number): readonly [start: number, end: number] | 'unsatisfiable' | null {
  const match = /^bytes=(\d*)-(\d*)$/.exec(header ?? '')
  if (match === null || (match[1] === '' && match[2] === '')) return null
  const [from, to] = [match[1] ?? '', match[2] ?? '']
  if (from === '') return size === 0 ? 'unsatisfiable' : [Math.max(0, size - Number(to)), size]
  const start = Number(from)
  const end = to === '' ? size : Math.min(size, Number(to) + 1)
  return start >= size || start >= end ? 'unsatisfiable' : [start, end]
}

function drained(answer: ServerResponse): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      answer.off('drain', done)
      answer.off('close', done)
      resolve()
    }
    answer.on('drain', done)
    answer.on('close', done)
  })
}
