import type { Clock } from '../../../common/clock.ts'
import type { Native } from '../../../common/native/native.ts'
import type { ContentsHost } from '../contents.ts'
import type { BlobDatabase, BlobRows } from './blob-rows.ts'
import type { Disk } from './disk.ts'
import type { WalSync } from './wal-sync.ts'

/** What all parts of the blobs share. */
export interface BlobContext {
  readonly database: BlobDatabase
  readonly rows: BlobRows
  readonly wal: WalSync
  readonly disk: Disk
  readonly native: Native | null
  readonly clock: Clock
  readonly host: ContentsHost
  /** Folder of the mount, with blobs/, quarantine/, lost+found/ and snapshots/ below. */
  readonly folder: string
}
