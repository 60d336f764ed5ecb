/** What the drive tells the kernel. None of these blocks the caller. */
export interface Notifier {
  /** Attributes of the node changed (size, times). */
  attributesChanged(node: number): void
  /** The name now means something else, or nothing. */
  entryChanged(parent: number, name: Buffer): void
  /** Everything may have changed: all dentries are looked up again (INC_EPOCH), or one by one where the kernel is older than 7.44. */
  everythingChanged(): void
  /** True if the kernel has the node in memory: one without a name is open then, or about to be forgotten. */
  knows(node: number): boolean
}
