/** WebDAV (RFC 4918): files and folders by their paths. */
import type { CapabilityCheck } from '../../../common/drive-state.ts'
import { CloudError } from '../../../common/errors.ts'
import type {
  Capabilities,
  Connector,
  ConnectorContext,
  ListPage,
  PosixAttributes,
  Precondition,
  RemoteEntry,
  RemotePlace,
  RemoteType,
  UploadSource,
  Usage,
  WriteOptions,
} from '../connector.ts'
import { timeOfMs } from '../posix-mode.ts'
import { Conditions } from './conditions.ts'
import { DavClient } from './dav-client.ts'
import { pathOf } from './dav-place.ts'
import { webdavDescriptor } from './descriptor.ts'
import { entryOf, find, listFolder, rootPlace } from './find.ts'
import { measureServer, unsafe } from './measure-server.ts'
import { copyOrMove } from './copy-or-move.ts'
import { largeUpload, putBeside } from './put-beside.ts'
import { readFile } from './read-file.ts'
import { removeFile, removeFolder } from './remove.ts'
import { resolveSettings } from './settings.ts'
import { explained } from './why.ts'
import { putFile, putNewVersion } from './write-file.ts'

export class WebdavConnector implements Connector {
  readonly type = 'webdav'
  readonly #client: DavClient
  readonly #conditions: Conditions

  /** @throws CloudError `invalid` for options that lead nowhere */
  constructor(context: ConnectorContext) {
    this.#client = new DavClient(resolveSettings(context), context.onRequest)
    this.#conditions = new Conditions(this.#client)
    if (!this.#client.settings.verifiesTls) context.log('warn', unsafe, { server: this.#client.settings.origin })
  }

  get capabilities(): Capabilities {
    const { capabilities } = webdavDescriptor
    const { keepsMtime, forbidden, trimsTrailing } = this.#client.settings.dialect
    return {
      ...capabilities,
      posix: { ...capabilities.posix, mtime: keepsMtime },
      names: { ...capabilities.names, forbidden, trimsTrailing },
    }
  }

  async check(signal: AbortSignal): Promise<void> {
    const hint = 'Check the path in the url: it has to be that of a folder.'
    const found = await find(this.#client, rootPlace, signal).catch((caught: unknown) => {
      const error = CloudError.from(caught)
      // A file whose name has a slash at its end.
      throw error.code === '400' ? new CloudError('not-a-folder', error.message, { cause: error, code: '400', hint }) : error
    })
    if (!found) throw new CloudError('not-found', 'the folder does not exist on the server', { hint })
    if (!found.collection) throw new CloudError('not-a-folder', 'the url is of a file', { hint })
  }

  list(folder: RemotePlace, signal: AbortSignal): AsyncIterable<ListPage> {
    return listFolder(this.#client, folder, signal)
  }

  async stat(place: RemotePlace, type: 'file' | 'folder' | 'any', signal: AbortSignal): Promise<RemoteEntry | null> {
    const fact = await find(this.#client, place, signal)
    if (!fact) return null
    const entry = entryOf(nameOf(place), fact, this.#client.settings.dialect.keepsMtime)
    return type === 'any' || type === entry.type ? entry : null
  }

  read(place: RemotePlace, start: number, end: number, rev: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    return readFile(this.#client, place, start, end, rev, signal)
  }

  async write(
    place: RemotePlace,
    type: RemoteType,
    source: UploadSource,
    options: WriteOptions,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    if (type === 'folder') throw new CloudError('invalid', 'a folder is not written but made')
    if (type !== 'file') throw new CloudError('unsupported', 'WebDAV has files and folders only')
    await this.#conditions.checkNewName(place, signal)
    const put = async (precondition: Precondition) => {
      if (source.size > largeUpload && precondition.kind !== 'any') {
        await putBeside(this.#client, this.#conditions, place, source, options.posix, precondition, signal)
        return await this.#confirmed(place, signal)
      }
      const headers = await this.#conditions.headersFor(place, precondition, signal)
      return await explained(this.#client, place, signal, () => putFile(this.#client, place, source, options.posix, headers, signal))
    }
    const written = await putNewVersion(put, options.precondition, signal)
    options.onProgress(source.size)
    return written
  }

  async makeFolder(place: RemotePlace, _posix: PosixAttributes, signal: AbortSignal): Promise<RemoteEntry> {
    await this.#conditions.checkNewName(place, signal)
    const path = pathOf(this.#client.settings.base, place, 'folder')
    await explained(this.#client, place, signal, () => this.#client.head({ method: 'MKCOL', path }, signal), 'exists')
    return folderEntry(place)
  }

  async remove(place: RemotePlace, type: RemoteType, precondition: Precondition, signal: AbortSignal): Promise<void> {
    if (type === 'folder') await removeFolder(this.#client, this.#conditions, place, signal)
    else await removeFile(this.#client, this.#conditions, place, precondition, signal)
  }

  async move(
    from: RemotePlace,
    to: RemotePlace,
    type: RemoteType,
    precondition: Precondition,
    replace: Precondition | null,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    await this.#conditions.checkNewName(to, signal)
    await copyOrMove(this.#client, this.#conditions, { method: 'MOVE', from, to, type, precondition, target: replace }, signal)
    return type === 'folder' ? folderEntry(to) : await this.#confirmed(to, signal)
  }

  async copy(
    from: RemotePlace,
    to: RemotePlace,
    rev: string,
    _posix: PosixAttributes,
    target: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    await this.#conditions.checkNewName(to, signal)
    const precondition: Precondition = { kind: 'rev', rev }
    const wanted = target.kind === 'absent' ? null : target
    try {
      await copyOrMove(this.#client, this.#conditions, { method: 'COPY', from, to, type: 'file', precondition, target: wanted }, signal)
    } catch (caught) {
      const error = CloudError.from(caught)
      throw error.kind === 'exists' ? new CloudError('conflict', 'the name is taken', { cause: error }) : error
    }
    return await this.#confirmed(to, signal)
  }

  async usage(signal: AbortSignal): Promise<Usage> {
    const fact = await find(this.#client, rootPlace, signal, 'quota')
    const [used, free] = [fact?.quotaUsed ?? null, fact?.quotaAvailable ?? null]
    return { total: used !== null && free !== null ? used + free : null, used, free }
  }

  async measure(write: boolean, signal: AbortSignal): Promise<readonly CapabilityCheck[]> {
    return await measureServer(this.#client, this.#conditions, write, signal)
  }

  async close(): Promise<void> {
    await this.#client.close()
  }

  /** Servers may give what was moved or copied another version. */
  async #confirmed(place: RemotePlace, signal: AbortSignal): Promise<RemoteEntry> {
    const fact = await find(this.#client, place, signal)
    if (!fact || fact.collection) throw new CloudError('unavailable', 'the file is not where the server has put it')
    return entryOf(nameOf(place), fact, this.#client.settings.dialect.keepsMtime)
  }
}

function nameOf(place: RemotePlace): Buffer {
  return place.path.at(-1) ?? Buffer.from('/')
}

function folderEntry(place: RemotePlace): RemoteEntry {
  return { name: nameOf(place), type: 'folder', size: 0, mtime: timeOfMs(Date.now()), rev: 'folder', id: null, posix: {} }
}
