import type { Clock } from '../../common/clock.ts'
import type { Connector } from '../connectors/connector.ts'
import type { Notifier } from './notifier.ts'
import type { Contents } from './contents.ts'
import type { DriveDatabase } from './database.ts'
import type { Places } from './places.ts'
import type { Reachability } from './reachability.ts'
import type { Tree } from './tree.ts'

/** What listings and the upload queue need of the rest of the drive. */
export interface SyncParts {
  readonly tree: Tree
  readonly database: DriveDatabase
  readonly contents: Contents
  readonly connector: Connector
  readonly places: Places
  readonly reachability: Reachability
  readonly clock: Clock
  readonly settings: SyncSettings
  readonly notifier: () => Notifier | null
  /** Forgets a node that has no name and is not in use. */
  readonly dropNode: (node: number) => void
  /** A program may have the file open, also one that opened it before this process took over. */
  readonly mayBeOpen: (node: number) => boolean
  readonly onChange: () => void
  readonly alert: (reason: AlertReason, message: string) => void
  readonly log: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void
}

export type AlertReason = 'conflict' | 'deletion-undone' | 'upload-parked'

export interface SyncSettings {
  readonly readOnly: boolean
  /** Nothing is sent. */
  readonly held?: boolean
  /** Owner of what the provider names no owner for, and the bits masked from the default modes 0666 and 0777. */
  readonly uid: number
  readonly gid: number
  readonly umask: number
  readonly attributes: 'listing' | 'exact'
  readonly xattrs: boolean
  /** For the names of conflict copies. */
  readonly hostName: string
  readonly writeBackSeconds: number
  readonly deadlines: { readonly metadataMs: number; readonly readMs: number; readonly writeMs: number }
}
