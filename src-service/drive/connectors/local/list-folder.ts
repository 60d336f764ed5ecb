import fs from 'node:fs'
import { CloudError } from '../../../common/errors.ts'
import type { Native } from '../../../common/native/native.ts'
import type { ListPage, RemoteEntry } from '../connector.ts'
import { entryOf, readRecord } from './entry-facts.ts'
import { withFolder } from './open-folder.ts'
import type { OpenFolder } from './open-folder.ts'
import { lstatOrNull } from './lstat-or-null.ts'
import { isAbandoned, isTempName } from './temp-name.ts'

/** Entries of one page, and calls under way in the thread pool at once. */
const pageSize = 512
const parallel = 32

/** Every entry of one folder, in the order in which the file system keeps them. */
export async function* listFolder(
  native: Native | null,
  root: Buffer,
  path: readonly Buffer[],
  signal: AbortSignal,
): AsyncIterable<ListPage> {
  const inFolder = async <T>(use: (folder: OpenFolder) => Promise<T>): Promise<T> => {
    if (signal.aborted) throw CloudError.from(signal.reason)
    return await withFolder(root, path, use).catch((error: unknown) => {
      throw CloudError.from(error)
    })
  }
  const names = await inFolder(namesOf)
  let page: Buffer[] = []
  for await (const { name } of names) {
    page.push(name)
    if (page.length < pageSize) continue
    const full = page
    yield { entries: await inFolder((folder) => describeAll(native, folder, full)), hidden: [] }
    page = []
  }
  yield { entries: await inFolder((folder) => describeAll(native, folder, page)), hidden: [] }
}

/** Removes what dead writers left in one folder. */
export async function sweepTemps(folder: OpenFolder): Promise<void> {
  for await (const { name } of await namesOf(folder)) {
    if (!isTempName(name)) continue
    const stats = await lstatOrNull(folder.entry(name))
    if (stats) await sweep(folder, name, stats.mtimeNs)
  }
}

async function sweep(folder: OpenFolder, name: Buffer, mtimeNs: bigint): Promise<void> {
  // Somebody else may sweep too.
  if (isAbandoned(name, mtimeNs)) await fs.promises.unlink(folder.entry(name)).catch(() => undefined)
}

async function namesOf(folder: OpenFolder): Promise<AsyncIterable<{ readonly name: Buffer }>> {
  const options: object = { encoding: 'buffer', bufferSize: 1024 }
  const dir: AsyncIterable<object> = await fs.promises.opendir(folder.self.toString(), options)
  // Node's types do not know that the names are buffers when asked for.
  return dir as AsyncIterable<{ readonly name: Buffer }>
}

async function describeAll(native: Native | null, folder: OpenFolder, names: readonly Buffer[]): Promise<RemoteEntry[]> {
  const entries: RemoteEntry[] = []
  for (let start = 0; start < names.length; start += parallel) {
    const some = await Promise.all(names.slice(start, start + parallel).map((name) => describe(native, folder, name)))
    for (const entry of some) if (entry) entries.push(entry)
  }
  return entries
}

/** Null if it is unfinished, or was removed since its name was read. */
async function describe(native: Native | null, folder: OpenFolder, name: Buffer): Promise<RemoteEntry | null> {
  const path = folder.entry(name)
  const stats = await lstatOrNull(path)
  if (!stats) return null
  if (isTempName(name)) {
    await sweep(folder, name, stats.mtimeNs)
    return null
  }
  try {
    const record = await readRecord(native, path, stats)
    const target = stats.isSymbolicLink() ? await fs.promises.readlink(path, { encoding: 'buffer' }) : undefined
    return entryOf(name, stats, record, target ? { target } : {})
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'not-found') return null
    throw error
  }
}
