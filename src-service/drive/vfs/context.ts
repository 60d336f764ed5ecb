import type { Contents } from '../cache/contents.ts'
import type { DriveDatabase } from '../cache/database.ts'
import type { Listings, UploadQueue } from '../cache/sync.ts'
import type { Tree } from '../cache/tree.ts'
import type { Capabilities } from '../connectors/connector.ts'

/** What the parts of the file system share. */
export interface VfsContext {
  readonly database: DriveDatabase
  readonly tree: Tree
  readonly contents: Contents
  readonly listings: Listings
  readonly queue: UploadQueue
  readonly capabilities: Capabilities
  readonly settings: {
    readonly readOnly: boolean
    readonly fsync: 'local' | 'remote'
    readonly freshness: 'relaxed' | 'strict'
    readonly xattrs: boolean
  }
  /** Bytes of a folder's path at the provider, for the length rules. */
  readonly pathBytes: (folder: number) => number
  /** Forgets a node that has no name and is not in use. */
  readonly dropNode: (node: number) => void
  /** A folder that is open is kept when it has no name any more. */
  readonly folders: { folderOpened(folder: number): void; folderReleased(folder: number): void }
}
