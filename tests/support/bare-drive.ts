/** A mount's drive without a kernel: the real one, asked as the kernel's door would ask it. */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { openDrive } from '../../src-service/drive/drive.ts'
import type { Drive, DriveOptions } from '../../src-service/drive/drive-contract.ts'
import type { Attributes, Commit, Maybe } from '../../src-service/drive/vfs/filesystem.ts'

const caller = { uid: 0, gid: 0, pid: 1 }
const rootNode = 1
const writeOnlyTruncated = { flags: 0o1001, killPrivileges: false }
const readOnly = { flags: 0, killPrivileges: false }
const plain = { cached: false, killPrivileges: false }
const pieceSize = 2 ** 20

export interface BareDriveOptions extends Pick<DriveOptions, 'connector' | 'secrets' | 'deadlines' | 'requestsPerSecond'> {
  readonly log?: DriveOptions['log']
}

export class BareDrive implements AsyncDisposable {
  readonly #options: DriveOptions
  #drive: Drive
  #unique = 1

  private constructor(options: DriveOptions, drive: Drive) {
    this.#options = options
    this.#drive = drive
  }

  static async open(given: BareDriveOptions): Promise<BareDrive> {
    const options: DriveOptions = {
      ...{ mountId: 'bare', name: 'bare', folder: await mkdtemp(join(tmpdir(), 'cm-bare-')), cacheSize: 2 ** 32, readOnly: false },
      ...{ uid: 0, gid: 0, umask: 0o022, fsync: 'local', attributes: 'listing', freshness: 'relaxed', xattrs: false },
      ...{ writeBackSeconds: 0, openBacking: null, closeBacking: null, log: () => undefined },
      ...given,
    }
    return new BareDrive(options, await openDrive(options))
  }

  get drive(): Drive {
    return this.#drive
  }

  /** Closed and opened again, as another process would. */
  async reopen(): Promise<void> {
    await this.#drive.close()
    this.#drive = await openDrive(this.#options)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#drive.close()
    await rm(this.#options.folder, { recursive: true, force: true })
  }

  async write(path: string, contents: Buffer): Promise<void> {
    const { filesystem } = this.#drive
    const fh = await this.#openForWriting(path)
    for (let start = 0; start < contents.length; start += pieceSize) {
      const length = Math.min(pieceSize, contents.length - start)
      await filesystem.write(fh, contents, start, length, start, plain)
    }
    await filesystem.flush(fh)
    await filesystem.release(fh)
  }

  async read(path: string): Promise<Buffer> {
    const { filesystem } = this.#drive
    const { id, size } = await this.#node(path)
    const { fh } = await filesystem.open(id, readOnly)
    try {
      const contents = Buffer.alloc(size)
      for (let at = 0; at < size; ) {
        const length = Math.min(pieceSize, size - at)
        const read = await filesystem.read(fh, at, length, contents, at, AbortSignal.timeout(30_000))
        if (read === 0) return contents.subarray(0, at)
        at += read
      }
      return contents
    } finally {
      await filesystem.release(fh)
    }
  }

  /** Names of a folder, sorted. */
  async names(path: string): Promise<string[]> {
    const { filesystem } = this.#drive
    const { id } = await this.#node(path)
    await filesystem.opendir(id)
    const names: string[] = []
    await filesystem.readdir(id, 0, (name) => names.push(name.toString()) > 0)
    return names.filter((name) => name !== '.' && name !== '..').sort()
  }

  async mkdir(path: string): Promise<void> {
    const { parent, name } = await this.#split(path)
    await this.#change(this.#drive.filesystem.mkdir(caller, parent, name, 0o755))
  }

  async remove(path: string): Promise<void> {
    const { parent, name } = await this.#split(path)
    await this.#change(this.#drive.filesystem.unlink(parent, name))
  }

  async rename(from: string, to: string): Promise<void> {
    const [source, target] = [await this.#split(from), await this.#split(to)]
    await this.#change(this.#drive.filesystem.rename(source.parent, source.name, target.parent, target.name, 0))
  }

  /** Waits until the provider has confirmed everything. */
  async uploaded(timeoutMs: number): Promise<void> {
    const end = performance.now() + timeoutMs
    while (this.#drive.status().queue.files > 0) {
      if (performance.now() > end) {
        throw new Error(`not uploaded: ${JSON.stringify([this.#drive.status(), this.#drive.transfers(5)])}`)
      }
      await sleep(20)
    }
  }

  async #openForWriting(path: string): Promise<number> {
    const { filesystem } = this.#drive
    const { parent, name } = await this.#split(path)
    const known = await filesystem.lookup(parent, name)
    if (known !== null) return (await filesystem.open(known.id, writeOnlyTruncated)).fh
    const { opened } = await this.#change(filesystem.create(caller, parent, name, 0o644, writeOnlyTruncated))
    return opened.fh
  }

  async #node(path: string): Promise<Attributes> {
    const { filesystem } = this.#drive
    let node = await filesystem.getattr(rootNode)
    for (const name of path.split('/').filter((one) => one !== '')) {
      const next = await filesystem.lookup(node.id, Buffer.from(name))
      if (next === null) throw new Error(`no ${path}`)
      node = next
    }
    return node
  }

  async #split(path: string): Promise<{ readonly parent: number; readonly name: Buffer }> {
    const slash = path.lastIndexOf('/')
    return { parent: (await this.#node(path.slice(0, Math.max(0, slash)))).id, name: Buffer.from(path.slice(slash + 1)) }
  }

  /** Runs a change as the door does: its effect and its answer in one transaction. */
  async #change<T>(change: Maybe<Commit<T>>): Promise<T> {
    const commit = await change
    const outcome: { value?: { readonly is: T }; error?: unknown } = {}
    const unique = this.#unique++
    this.#drive.requestLog.run(
      unique,
      Buffer.alloc(0),
      () => {
        outcome.value = { is: commit() }
        return 0
      },
      (error) => {
        outcome.error = error
        return 5
      },
    )
    this.#drive.requestLog.finished(unique)
    if (outcome.value === undefined) throw outcome.error
    return outcome.value.is
  }
}
