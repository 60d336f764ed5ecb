import type { Contents } from '../cache/contents.ts'

/** How backing files are registered with the kernel; the service does it, because it alone may. */
export interface Backing {
  /** Resolves with the backing id, or 0 if the kernel refuses. */
  open(node: number, fileFd: number): Promise<number>
  close(node: number, backingId: number): void
}

/**
 * FUSE_PASSTHROUGH on read-only mounts: reads of wholly local files never reach this process. All opens of a node must
 * be of one kind while any is open (the kernel answers EIO otherwise), so the first open decides.
 */
export class Passthrough {
  readonly #contents: Contents
  readonly #backing: Backing | null
  readonly #open = new Map<number, { readonly id: Promise<number> | number; count: number }>()
  /** Nodes up to this one may be open in the kernel since before a takeover, in a way that this process has not seen. */
  #unseenUpTo = 0

  constructor(contents: Contents, backing: Backing | null) {
    this.#contents = contents
    this.#backing = backing
  }

  /**
   * Nodes that exist now may be open already: they are not passed through, but for those whose backing id the kernel knows, which
   * keep it until the unmount, because their opens cannot be counted.
   */
  tookOver(highestNode: number, backing: ReadonlyMap<number, number>): void {
    this.#unseenUpTo = highestNode
    for (const [node, id] of backing) this.#open.set(node, { id, count: Number.POSITIVE_INFINITY })
  }

  /** Backing id for one more open, 0 for an ordinary one. */
  open(node: number): number | Promise<number> {
    const backing = this.#backing
    if (backing === null) return 0
    const known = this.#open.get(node)
    if (known !== undefined) {
      known.count += 1
      return known.id
    }
    const id = node > this.#unseenUpTo && this.#contents.isWhole(node) ? this.#register(backing, node) : 0
    this.#open.set(node, { id, count: 1 })
    return id
  }

  async #register(backing: Backing, node: number): Promise<number> {
    const fd = await this.#contents.openForBacking(node)
    return fd === undefined ? 0 : backing.open(node, fd)
  }

  release(node: number): void {
    const known = this.#open.get(node)
    if (known === undefined) return
    known.count -= 1
    if (known.count > 0) return
    this.#open.delete(node)
    if (typeof known.id === 'number') return
    void known.id.then((id) => {
      if (id > 0) this.#backing?.close(node, id)
    })
  }
}
