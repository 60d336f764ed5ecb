/** The server's side: filling, counting and emptying buckets. */
import type { RemotePlace } from '../src-service/drive/connectors/connector.ts'
import { S3Connector } from '../src-service/drive/connectors/s3/s3-connector.ts'
import type { Keys } from './contestants/contestant.ts'

const parallel = 16
const deadlineMs = 120_000

/** All buckets of a server; an account without a bucket shows them as folders. */
export class Buckets implements AsyncDisposable {
  readonly #connector: S3Connector

  constructor(endpoint: string, { accessKeyId, secretAccessKey }: Keys) {
    this.#connector = new S3Connector({
      settings: {
        options: { preset: 'minio', endpoint, accessKeyId },
        secret: (name) => (name === 'secretAccessKey' ? secretAccessKey : undefined),
      },
      remoteRoot: '',
      log: () => undefined,
    })
  }

  async make(bucket: string): Promise<void> {
    await this.#connector.makeFolder(place(bucket), {}, deadline())
  }

  /** Objects of equal contents. @param names may have folders before them, '/' between */
  async fill(bucket: string, names: readonly string[], contents: Buffer): Promise<void> {
    const source = { size: contents.length, read: async (start: number, end: number) => contents.subarray(start, end) }
    const options = {
      precondition: { kind: 'any' },
      posix: {},
      resume: null,
      saveHandle: async () => undefined,
      onProgress: () => undefined,
    } as const
    await each(names, async (name) => {
      await this.#connector.write(place(bucket, ...name.split('/')), 'file', source, options, deadline())
    })
  }

  /** Files in the bucket's root and in its folders one level down. */
  async count(bucket: string): Promise<number> {
    return (await this.#files(place(bucket))).length
  }

  /** Removes the bucket with all that is in it. */
  async remove(bucket: string): Promise<void> {
    await this.#empty(place(bucket))
    await this.#connector.remove(place(bucket), 'folder', { kind: 'any' }, deadline())
  }

  async #empty(folder: RemotePlace): Promise<void> {
    const found: { readonly place: RemotePlace; readonly isFolder: boolean }[] = []
    for await (const page of this.#connector.list(folder, deadline())) {
      for (const { name, type } of page.entries) found.push({ place: below(folder, name), isFolder: type === 'folder' })
    }
    for (const { place: inner, isFolder } of found) if (isFolder) await this.#empty(inner)
    await each(found, (entry) =>
      this.#connector.remove(entry.place, entry.isFolder ? 'folder' : 'file', { kind: 'any' }, deadline()).catch(() => undefined),
    )
  }

  async #files(folder: RemotePlace): Promise<readonly RemotePlace[]> {
    const files: RemotePlace[] = []
    const folders: RemotePlace[] = []
    for await (const page of this.#connector.list(folder, deadline())) {
      for (const { name, type } of page.entries) (type === 'folder' ? folders : files).push(below(folder, name))
    }
    const inner = folder.path.length > 1 ? [] : await Promise.all(folders.map((child) => this.#files(child)))
    return [...files, ...inner.flat()]
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#connector.close()
  }
}

function place(...names: readonly string[]): RemotePlace {
  return { path: names.map((name) => Buffer.from(name)), id: null, parentId: null }
}

function below(folder: RemotePlace, name: Buffer): RemotePlace {
  return { path: [...folder.path, name], id: null, parentId: null }
}

function deadline(): AbortSignal {
  return AbortSignal.timeout(deadlineMs)
}

async function each<T>(items: readonly T[], work: (item: T) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    for (let item = items[next++]; item !== undefined; item = items[next++]) await work(item)
  }
  await Promise.all(Array.from({ length: parallel }, worker))
}
