/** An open blob. */
export interface BlobFile {
  readonly fd: number
  /** Operations under way; it is not closed while there are any. */
  uses: number
  /** The blob has another generation now: closed with its last use. */
  detached: boolean
}
