import type { Contents } from '../cache/contents.ts'
import type { DriveDatabase } from '../cache/database.ts'
import type { Notifier } from '../cache/notifier.ts'
import type { Listings, UploadQueue } from '../cache/sync.ts'
import type { Tree } from '../cache/tree.ts'
import type { Commit, Filesystem, Maybe } from '../vfs/filesystem.ts'
import type { FileStates } from './file-states.ts'
import type { Paths } from './paths.ts'

/** What tasks of people stand on: the same file system that the kernel calls, and the notifier that tells the kernel of what they did. */
export interface TaskParts {
  readonly database: DriveDatabase
  readonly tree: Tree
  readonly contents: Contents
  readonly listings: Listings
  readonly queue: UploadQueue
  readonly filesystem: Filesystem
  readonly paths: Paths
  readonly states: FileStates
  readonly notifier: () => Notifier | null
  readonly settings: {
    readonly folder: string
    readonly readOnly: boolean
    readonly uid: number
    readonly gid: number
    readonly umask: number
    readonly hostName: string
  }
  readonly onChange: () => void
}

/** Does a change of names as a program would, and tells the kernel of it. @param also done in the same transaction */
export async function changeNames<T>(
  { database, notifier }: TaskParts,
  change: Maybe<Commit<T>>,
  places: readonly { readonly parent: number; readonly name: Buffer }[],
  also: () => void = () => undefined,
): Promise<T> {
  const commit = await change
  const result = database.transaction(() => {
    const made = commit()
    also()
    return made
  })
  for (const { parent, name } of places) {
    notifier()?.entryChanged(parent, name)
    notifier()?.attributesChanged(parent)
  }
  return result
}
