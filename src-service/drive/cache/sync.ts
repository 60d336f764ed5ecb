import type { Condition, Transfer } from '../../common/drive-state.ts'

/** Listings of folders: what the provider has. Made by `openListings` (cache/listings/). */
export interface Listings {
  /**
   * undefined if the folder was listed completely before (its names can be trusted, and are refreshed behind when older than
   * the freshness allows); else a promise of its first listing, rejecting with an Unknown kind while it cannot be had.
   */
  ready(folder: number): Promise<void> | undefined
  /** Lists now and takes in the differences; joins a listing that began after this call would. */
  refresh(folder: number, signal: AbortSignal): Promise<void>
  /** freshness=strict: makes sure that the node is the provider's newest version; throws `stale` if it is not any more (the name then has a new node). */
  revalidate(node: number, signal: AbortSignal): Promise<void>
  close(): Promise<void>
}

/** What differs from the provider, and bringing it there. Made by `openUploadQueue` (cache/queue/). */
export interface UploadQueue {
  /** Inside a transaction: the provider must be made to agree with this name (new, moved, contents, attributes). */
  nameChanged(name: number): void
  /** Inside a transaction: contents or attributes of the node changed: all its names. */
  nodeChanged(node: number): void
  /** Inside a transaction, before the name row goes: its remote object, if it has one, is to be removed. */
  nameRemoved(name: number): void
  /** The quiet time of this node starts again (WRITE, last writable RELEASE). */
  touched(node: number): void
  /** Resolves when the provider has confirmed what the node is now (fsync=remote). */
  confirmed(node: number, signal: AbortSignal): Promise<void>
  /** Waiting or moving, for the file's state. */
  stateOf(node: number): { readonly state: 'queued' | 'uploading' | 'parked'; readonly reason: string } | undefined
  status(): { readonly files: number; readonly bytes: number; readonly parked: number; readonly uploading: number }
  transfers(limit: number): readonly Transfer[]
  retry(id: number | 'all'): void
  /** Gives up what was changed under this name: it shows what the provider has, or goes. @throws busy, or an Unknown kind */
  takeTheirs(name: number, signal: AbortSignal): Promise<void>
  /** Of uploads that are to go on, or to be ended. */
  handles(): readonly string[]
  pause(paused: boolean): void
  drain(signal: AbortSignal): Promise<void>
  conditions(): readonly Condition[]
  /** True while what is dirty can leave. */
  canUpload(): boolean
  close(): Promise<void>
}
