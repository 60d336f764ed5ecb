import { CloudError } from '../../common/errors.ts'
import { isFile, isFolder, type NodeRow } from '../cache/tree.ts'
import { withoutPrivileges } from './attributes.ts'
import type { VfsContext } from './context.ts'
import { type Commit, handleOf, isWritableHandle, type Maybe, nodeOfHandle, type Opened, type OpenOptions } from './filesystem.ts'
import type { Passthrough } from './passthrough.ts'
import type { NodeUpdates } from './rows.ts'
import type { Siblings } from './siblings.ts'

const accessMode = 0o3
const truncateFlag = 0o1000

/** Open files. A handle is only a node and whether it is writable, so that a successor process understands it. */
export class Files {
  readonly #context: VfsContext
  readonly #updates: NodeUpdates
  readonly #passthrough: Passthrough
  readonly #siblings: Siblings

  constructor(context: VfsContext, updates: NodeUpdates, passthrough: Passthrough, siblings: Siblings) {
    this.#context = context
    this.#updates = updates
    this.#passthrough = passthrough
    this.#siblings = siblings
  }

  open(node: number, options: OpenOptions): Maybe<Opened> {
    const { tree, listings, settings } = this.#context
    const row = tree.needNode(node)
    if (isFolder(row.mode)) throw new CloudError('is-a-folder', 'a folder is opened with opendir')
    if (!isFile(row.mode)) throw new CloudError('unsupported', 'special nodes are opened by the kernel')
    if (row.superseded === 1) throw new CloudError('stale', 'a newer version has this name')
    const writable = (options.flags & accessMode) !== 0
    if (writable && settings.readOnly) throw new CloudError('read-only', 'the mount is read-only')
    if (settings.freshness === 'strict') {
      return listings.revalidate(node, AbortSignal.timeout(15_000)).then(() => this.#opened(row, writable, options))
    }
    return this.#opened(row, writable, options)
  }

  #opened(row: NodeRow, writable: boolean, options: OpenOptions): Maybe<Opened> {
    const { contents } = this.#context
    contents.opened(row.id, writable)
    if (writable && (options.flags & truncateFlag) !== 0) return this.#truncated(row, options)
    if (!writable) this.#siblings.opened(row)
    const backing = this.#passthrough.open(row.id)
    if (typeof backing === 'number') return { fh: handleOf(row.id, writable), keepCache: true, backingId: backing, noFlush: !writable }
    return backing.then((backingId) => ({ fh: handleOf(row.id, writable), keepCache: true, backingId, noFlush: !writable }))
  }

  async #truncated(row: NodeRow, options: OpenOptions): Promise<Opened> {
    const { contents, database, tree, queue } = this.#context
    try {
      await contents.truncate(row.id, 0)
      database.transaction(() => {
        contents.settle(row.id)
        this.#updates.setSize(row.id, 0)
        if (options.killPrivileges) this.#killPrivileges(tree.needNode(row.id))
        queue.nodeChanged(row.id)
      })
    } catch (error) {
      contents.released(row.id, true)
      throw error
    }
    return { fh: handleOf(row.id, true), keepCache: true, backingId: 0, noFlush: false }
  }

  /** Opens the node that a create has just made; inside its transaction. */
  openCreated(node: number, options: OpenOptions): Opened {
    const writable = (options.flags & accessMode) !== 0
    this.#context.database.afterCommit(() => {
      this.#context.contents.opened(node, writable)
    })
    // Without a base nothing can go wrong behind: what fails is told by the write itself, or by fsync.
    return { fh: handleOf(node, writable), keepCache: true, backingId: 0, noFlush: true }
  }

  readNow(fh: number, offset: number, length: number, target: Buffer, targetOffset: number): number {
    return this.#context.contents.readNow(nodeOfHandle(fh), offset, length, target, targetOffset)
  }

  read(fh: number, offset: number, length: number, target: Buffer, targetOffset: number, signal: AbortSignal): Promise<number> {
    return this.#context.contents.read(nodeOfHandle(fh), offset, length, target, targetOffset, signal)
  }

  write(
    fh: number,
    data: Buffer,
    dataOffset: number,
    length: number,
    position: number,
    how: { readonly cached: boolean; readonly killPrivileges: boolean },
  ): Maybe<number> {
    const { contents, tree, database, queue } = this.#context
    const node = nodeOfHandle(fh)
    if (how.killPrivileges) {
      const row = tree.needNode(node)
      if (withoutPrivileges(row.mode) !== row.mode) {
        database.transaction(() => {
          this.#killPrivileges(row)
          queue.nodeChanged(node)
        })
      }
    }
    return contents.write(node, data, dataOffset, length, position, how.cached)
  }

  #killPrivileges(row: NodeRow): void {
    const mode = withoutPrivileges(row.mode)
    if (mode !== row.mode) this.#updates.setMode(row.id, mode)
  }

  flush(fh: number): void {
    if (!isWritableHandle(fh)) return
    const row = this.#context.tree.node(nodeOfHandle(fh))
    if (row !== undefined && row.fault !== null)
      throw new CloudError('io', `the file cannot be completed: ${row.fault}`, { code: row.fault })
  }

  async fsync(fh: number, signal: AbortSignal): Promise<void> {
    const { contents, queue, settings } = this.#context
    const node = nodeOfHandle(fh)
    this.flush(fh)
    await contents.sync(node)
    if (settings.fsync === 'remote') await queue.confirmed(node, signal)
  }

  release(fh: number): void {
    const { contents, queue, dropNode } = this.#context
    const node = nodeOfHandle(fh)
    const writable = isWritableHandle(fh)
    contents.released(node, writable)
    this.#passthrough.release(node)
    if (writable) queue.touched(node)
    if (contents.openCount(node) === 0) dropNode(node)
  }

  async fallocate(fh: number, mode: number, offset: number, length: number): Promise<Commit<void>> {
    const node = nodeOfHandle(fh)
    await this.#context.contents.allocate(node, mode, offset, length)
    return () => {
      this.#contentsChanged(node)
    }
  }

  async copyFileRange(fhFrom: number, offsetFrom: number, fhTo: number, offsetTo: number, length: number): Promise<Commit<number>> {
    const to = nodeOfHandle(fhTo)
    const copied = await this.#context.contents.copy(nodeOfHandle(fhFrom), offsetFrom, to, offsetTo, length)
    return () => {
      this.#contentsChanged(to)
      return copied
    }
  }

  #contentsChanged(node: number): void {
    this.#context.contents.settle(node)
    this.#updates.changed(node)
    this.#context.queue.nodeChanged(node)
  }
}
