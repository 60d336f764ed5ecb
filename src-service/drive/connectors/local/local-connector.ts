/** A folder that plays the cloud. Everything waits in the thread pool, nothing on the event loop. */
import type { CapabilityCheck } from '../../../common/drive-state.ts'
import fs from 'node:fs'
import { CloudError } from '../../../common/errors.ts'
import type { Native } from '../../../common/native/native.ts'
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
import { applyPosix } from './apply-posix.ts'
import { localDescriptor } from './descriptor.ts'
import { entryOf, posixOf, readAttributes, readRecord, revOf } from './entry-facts.ts'
import { listFolder, sweepTemps } from './list-folder.ts'
import { exists, lstatOrNull } from './lstat-or-null.ts'
import { makeNode } from './make-node.ts'
import { checkName, withFolder } from './open-folder.ts'
import type { OpenFolder } from './open-folder.ts'
import { publish, requireRev } from './publish.ts'
import { readFile } from './read-file.ts'
import { renameNew } from './rename-new.ts'
import { requireRoot, resolveRoot } from './resolve-root.ts'
import type { Root } from './resolve-root.ts'
import { isTempName, newTempName } from './temp-name.ts'

export class LocalConnector implements Connector {
  readonly type = 'local'
  readonly capabilities: Capabilities
  readonly #context: ConnectorContext
  readonly #native: Native | null
  #root: Promise<Root> | null = null

  /** @param native null where the addon does not exist: no special nodes, no extended attributes, times in microseconds */
  constructor(context: ConnectorContext, native: Native | null) {
    this.#context = context
    this.#native = native
    this.capabilities = native ? localDescriptor.capabilities : withoutNative(localDescriptor.capabilities)
  }

  async check(signal: AbortSignal): Promise<void> {
    await this.#folder([], signal, async (folder) => {
      await fs.promises.access(folder.self, fs.constants.R_OK | fs.constants.X_OK)
      await sweepTemps(folder)
    })
  }

  async *list(place: RemotePlace, signal: AbortSignal): AsyncIterable<ListPage> {
    const root = await this.#realRoot()
    await requireRoot(root)
    yield* listFolder(this.#native, root.path, place.path, signal)
  }

  async stat(place: RemotePlace, type: 'file' | 'folder' | 'any', signal: AbortSignal): Promise<RemoteEntry | null> {
    const found = await this.#at(place, signal, async (folder, name) => {
      const stats = await lstatOrNull(folder.entry(name))
      if (!stats || (type === 'folder' && !stats.isDirectory()) || (type === 'file' && stats.isDirectory())) return null
      return await this.#entry(folder.entry(name), name)
    }).catch((caught: unknown) => {
      const error = CloudError.from(caught)
      if (place.path.length > 0 && (error.kind === 'not-found' || error.kind === 'not-a-folder')) return null
      throw error
    })
    if (!found) await requireRoot(await this.#realRoot())
    return found
  }

  async *read(place: RemotePlace, start: number, end: number, rev: string, signal: AbortSignal): AsyncIterable<Uint8Array> {
    const handle = await this.#at(place, signal, (folder, name) => openFile(folder.entry(name)))
    try {
      yield* readFile(handle, start, end, rev, signal)
    } finally {
      await handle.close()
    }
  }

  async write(
    place: RemotePlace,
    type: RemoteType,
    source: UploadSource,
    options: WriteOptions,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    return await this.#at(place, signal, (folder, name) =>
      this.#replace(folder, name, options.precondition, type, options.posix, signal, async (temp) => {
        await makeNode(this.#native, temp, type, source, options, signal)
      }),
    )
  }

  async makeFolder(place: RemotePlace, posix: PosixAttributes, signal: AbortSignal): Promise<RemoteEntry> {
    return await this.#at(place, signal, async (folder, name) => {
      const path = folder.entry(name)
      await fs.promises.mkdir(path, { mode: 0o777 })
      await applyPosix(this.#native, { path, type: 'folder', posix })
      return await this.#entry(path, name)
    })
  }

  async remove(place: RemotePlace, type: RemoteType, precondition: Precondition, signal: AbortSignal): Promise<void> {
    await this.#at(place, signal, async (folder, name) => {
      const path = folder.entry(name)
      if (!(await exists(path))) return
      if (precondition.kind === 'rev') await requireRev(path, precondition.rev)
      if (precondition.kind === 'absent') throw new CloudError('conflict', 'the object exists')
      if (type !== 'folder') {
        await fs.promises.unlink(path)
        return
      }
      await this.#folder(place.path, signal, sweepTemps)
      await fs.promises.rmdir(path)
    })
  }

  async move(
    from: RemotePlace,
    to: RemotePlace,
    _type: RemoteType,
    precondition: Precondition,
    replace: Precondition | null,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    return await this.#at(from, signal, async (source, oldName) => {
      if (precondition.kind === 'rev') await requireRev(source.entry(oldName), precondition.rev)
      return await this.#at(to, signal, async (target, newName) => {
        if (!replace || replace.kind === 'absent') await renameNew(this.#native, source.entry(oldName), target.entry(newName))
        else {
          if (replace.kind === 'rev') await requireRev(target.entry(newName), replace.rev)
          await fs.promises.rename(source.entry(oldName), target.entry(newName))
        }
        return await this.#entry(target.entry(newName), newName)
      })
    })
  }

  async copy(
    from: RemotePlace,
    to: RemotePlace,
    rev: string,
    posix: PosixAttributes,
    target: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    const handle = await this.#at(from, signal, (folder, name) => openFile(folder.entry(name)))
    try {
      return await this.#at(to, signal, (folder, name) =>
        this.#replace(folder, name, target, 'file', posix, signal, async (temp) => {
          const stats = await handle.stat({ bigint: true })
          // Opening a FIFO by its path would wait for a writer, for ever.
          if (!stats.isFile()) throw new CloudError('conflict', 'it is no file')
          const before = revOf(stats)
          await fs.promises.copyFile(`/proc/self/fd/${handle.fd}`, temp, fs.constants.COPYFILE_EXCL | fs.constants.COPYFILE_FICLONE)
          const after = revOf(await handle.stat({ bigint: true }))
          if (before !== rev || after !== rev) throw new CloudError('conflict', 'the file was changed meanwhile')
        }),
      )
    } finally {
      await handle.close()
    }
  }

  async setAttributes(
    place: RemotePlace,
    type: RemoteType,
    posix: PosixAttributes,
    precondition: Precondition,
    signal: AbortSignal,
  ): Promise<RemoteEntry> {
    return await this.#at(place, signal, async (folder, name) => {
      const path = folder.entry(name)
      if (precondition.kind === 'rev') await requireRev(path, precondition.rev)
      const stats = await fs.promises.lstat(path, { bigint: true })
      const record = await readRecord(this.#native, path, stats)
      await applyPosix(this.#native, { path, type, posix: { ...posixOf(stats, record), ...posix } })
      return await this.#entry(path, name)
    })
  }

  async usage(): Promise<Usage> {
    const { blocks, bavail, bfree, bsize } = await fs.promises.statfs((await this.#realRoot()).path)
    return { total: blocks * bsize, used: (blocks - bfree) * bsize, free: bavail * bsize }
  }

  async measure(write: boolean, signal: AbortSignal): Promise<readonly CapabilityCheck[]> {
    if (!write) return []
    return await this.#folder([], signal, async (folder) => {
      const temp = folder.entry(newTempName())
      await fs.promises.writeFile(temp, '', { flag: 'wx' })
      try {
        return [
          await tried('extended attributes', async () => {
            if (!this.#native) throw new CloudError('unsupported', 'the native addon is missing')
            await this.#native.setAttribute(temp, 'user.cloudmoor.test', Buffer.from('1'))
          }),
          await tried('atomic creation', async () => {
            const other = folder.entry(newTempName())
            await fs.promises.link(temp, other)
            await fs.promises.unlink(other)
          }),
        ]
      } finally {
        await fs.promises.unlink(temp)
      }
    })
  }

  async close(): Promise<void> {
    this.#root = null
  }

  /** Fills a temporary file, gives it its attributes, and puts it in the place of `name`. */
  async #replace(
    folder: OpenFolder,
    name: Buffer,
    precondition: Precondition,
    type: RemoteType,
    posix: PosixAttributes,
    signal: AbortSignal,
    fill: (temp: Buffer) => Promise<void>,
  ): Promise<RemoteEntry> {
    const temp = folder.entry(newTempName())
    try {
      await fill(temp)
      await applyPosix(this.#native, { path: temp, type, posix })
      if (type !== 'symlink' && type !== 'fifo' && type !== 'socket') await syncFile(temp)
      signal.throwIfAborted()
      await publish(this.#native, folder, temp, name, precondition)
    } catch (error) {
      await fs.promises.unlink(temp).catch(() => undefined)
      throw error
    }
    return await this.#entry(folder.entry(name), name)
  }

  async #entry(path: Buffer, name: Buffer): Promise<RemoteEntry> {
    const stats = await fs.promises.lstat(path, { bigint: true })
    const record = await readRecord(this.#native, path, stats)
    const xattrs = await readAttributes(this.#native, path, stats)
    const target = stats.isSymbolicLink() ? await fs.promises.readlink(path, { encoding: 'buffer' }) : undefined
    return entryOf(name, stats, record, { ...(this.#native && { xattrs }), ...(target && { target }) })
  }

  /** Runs `use` with the folder that holds the object, and the object's name in it. */
  async #at<T>(place: RemotePlace, signal: AbortSignal, use: (folder: OpenFolder, name: Buffer) => Promise<T>): Promise<T> {
    const name = place.path.at(-1)
    if (!name) return await this.#folder([], signal, (folder) => use({ ...folder, entry: () => folder.self }, Buffer.from('/')))
    if (isTempName(name)) throw new CloudError('name-invalid', 'this name is kept for files that are being written')
    checkName(name)
    return await this.#folder(place.path.slice(0, -1), signal, (folder) => use(folder, name))
  }

  async #folder<T>(path: readonly Buffer[], signal: AbortSignal, use: (folder: OpenFolder) => Promise<T>): Promise<T> {
    const root = await this.#realRoot()
    try {
      return await withFolder(root.path, path, async (folder) => {
        signal.throwIfAborted()
        return await use(folder)
      })
    } catch (caught) {
      throw CloudError.from(caught)
    }
  }

  async #realRoot(): Promise<Root> {
    this.#root ??= resolveRoot(this.#context)
    try {
      return await this.#root
    } catch (error) {
      this.#root = null
      throw CloudError.from(error)
    }
  }
}

function openFile(path: Buffer): Promise<fs.promises.FileHandle> {
  return fs.promises.open(path, fs.constants.O_RDONLY | fs.constants.O_NOFOLLOW | fs.constants.O_NONBLOCK)
}

async function syncFile(path: Buffer): Promise<void> {
  const handle = await fs.promises.open(path, fs.constants.O_RDWR | fs.constants.O_NOFOLLOW)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

async function tried(name: string, run: () => Promise<void>): Promise<CapabilityCheck> {
  try {
    await run()
    return { name, result: 'yes', detail: '' }
  } catch (caught) {
    return { name, result: 'no', detail: CloudError.from(caught).message }
  }
}

function withoutNative(full: Capabilities): Capabilities {
  return { ...full, copy: false, posix: { ...full.posix, specialNodes: false, xattrs: false }, mtimePrecisionNs: 1000 }
}
