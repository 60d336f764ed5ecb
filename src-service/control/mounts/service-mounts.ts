import type { QueueCounts } from '../../common/drive-state.ts'
import type { PlaceHints, Places } from '../../common/paths.ts'
import type { Descriptor } from '../../drive/connectors/connector.ts'
import type { ConfigChange } from '../store/records.ts'
import type { MountTable } from '../store/store.ts'
import type { AccountBrowser } from './account-prober.ts'
import type { ManagedMountHost } from './managed-mount.ts'
import type { MountManager } from './mount-manager-contract.ts'
import type { WorkerHost } from './worker-process.ts'

export interface MountManagerParts {
  readonly host: Omit<ManagedMountHost, 'onChange' | 'beforeOpen' | 'rates'>
  readonly worker: WorkerHost
  readonly table: MountTable
  readonly accounts: AccountBrowser
  readonly descriptors: readonly Descriptor[]
  readonly places: Places
  readonly hints: Pick<PlaceHints, 'env' | 'home'>
  readonly version: string
}

/** Mounts as main.ts sees them. */
export interface ServiceMounts extends MountManager {
  /** Takes over what an earlier service left, clears what is dead, and starts what is to be mounted. Does not wait for the starts. */
  begin(): Promise<void>
  /** An account's options or secrets changed; null: secrets of any account may be had now. */
  accountChanged(providerId: string | null): void
  /**
   * Changes many mounts by `save`, all or none: those that go or change while they are up are stopped before, and started
   * again if it fails; afterwards every mount is as its row says. Refuses (UNSENT_FILES) to let one go that has something to upload.
   */
  reconfigure(change: ConfigChange['mounts'], save: () => Promise<void>, signal: AbortSignal): Promise<void>
  /** Asks the provider of a mount that is up whether it answers; what comes out is a condition. */
  check(id: string, signal: AbortSignal): Promise<void>
  /** Unmounts everything and ends the workers; gives what is still queued. @param uploadTimeoutMs null = the stop timeout */
  shutdown(
    uploadTimeoutMs: number | null,
  ): Promise<readonly { readonly mountId: string; readonly name: string; readonly queue: QueueCounts }[]>
  /** Leaves the mounts to the next service; afterwards nothing here may be used. */
  handOver(): Promise<void>
}
