/** A dirty content that a power loss left unproved. */
export interface Unproved {
  readonly node: number
  /** Row of `quarantine`; undefined if there was no file to keep. */
  readonly quarantine: number | undefined
  /** What the node shows now: the provider's version, what an older fsync promised, or nothing (its size is 0 and it has no bytes). */
  readonly now: 'remote' | 'promised' | 'nothing'
  /** node.content as it is now. For `remote` the node's newest remote rows hold it. */
  readonly content: number
}

/** What the start found. */
export interface StartReport {
  /** The machine lost power or crashed while the mount was in use, as far as can be told. */
  readonly uncleanBoot: boolean
  /** Names and queue rows of these nodes are the caller's to put right: tries that were under way were for other bytes. */
  readonly unproved: readonly Unproved[]
  /** Dirty nodes whose file is gone although no power loss explains it: in error. */
  readonly missing: readonly number[]
  /** Files that belong to no row, moved to lost+found/. After a crash without power loss they are looked for behind. */
  readonly orphans: number
}
