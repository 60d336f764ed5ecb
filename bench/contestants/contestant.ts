/** What takes part: each mounts a bucket, or stands in for one. */

export type Distance = 'near' | 'far'

export interface MountWish {
  readonly bucket: string
  readonly readOnly: boolean
  readonly endpoint: string
}

export interface Contestant {
  readonly name: string
  /** Everything but the mount itself; nothing of an earlier mount is left. */
  prepare(wish: MountWish): Promise<Prepared>
  /** Ends what outlives mounts. */
  close(): Promise<void>
}

export interface Prepared {
  readonly path: string
  /** Mounts. The folder can be listed when this resolves. */
  start(): Promise<void>
  stop(): Promise<void>
  /** Processes that serve the mount. */
  pids(): Promise<readonly number[]>
  /** Processes that serve all mounts together. */
  sharedPids(): Promise<readonly number[]>
  /** Ends everything of it, mounted or not, and removes its files. */
  dispose(): Promise<void>
}

/** Keys of the server. */
export interface Keys {
  readonly accessKeyId: string
  readonly secretAccessKey: string
}
