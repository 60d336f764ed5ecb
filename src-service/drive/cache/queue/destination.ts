import type { RemoteRow } from '../tree.ts'

/** Where something goes. */
export interface Destination {
  readonly parent: number
  readonly name: Buffer
  /** The object that stands there and is to be replaced. */
  readonly over: RemoteRow | null
}
