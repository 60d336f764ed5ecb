import { CloudError } from '../../common/errors.ts'
import { isFolder, rootNode } from '../cache/tree.ts'
import { attributesOf } from './attributes.ts'
import type { VfsContext } from './context.ts'
import { type EmitEntry, handleOf, type Maybe } from './filesystem.ts'

const dot = Buffer.from('.')
const dotDot = Buffer.from('..')
const pageSize = 256

/** Reading folders. An entry's offset is its name's row id, so it means the same to every reader and process. */
export class Folders {
  readonly #context: VfsContext

  constructor(context: VfsContext) {
    this.#context = context
  }

  opendir(node: number): Maybe<number> {
    const row = this.#context.tree.needNode(node)
    if (!isFolder(row.mode)) throw new CloudError('not-a-folder', 'not a folder')
    const wait = this.#context.listings.ready(node)
    const opened = (): number => {
      this.#context.folders.folderOpened(node)
      return handleOf(node, false)
    }
    return wait === undefined ? opened() : wait.then(opened)
  }

  releasedir(node: number): void {
    this.#context.folders.folderReleased(node)
  }

  readdir(node: number, offset: number, emit: EmitEntry): Maybe<void> {
    const wait = this.#context.listings.ready(node)
    if (wait !== undefined) {
      return wait.then(() => {
        this.#fill(node, offset, emit)
      })
    }
    this.#fill(node, offset, emit)
  }

  #fill(node: number, offset: number, emit: EmitEntry): void {
    const { tree, contents } = this.#context
    if (offset < 2 && !this.#fillDots(node, offset, emit)) return
    let after = Math.max(offset, 2)
    for (;;) {
      const rows = tree.entries(node, after, pageSize)
      for (const row of rows) {
        if (!emit(row.entry, row.name_id, attributesOf(row, contents))) return
        after = row.name_id
      }
      if (rows.length < pageSize) return
    }
  }

  #fillDots(node: number, offset: number, emit: EmitEntry): boolean {
    const { tree, contents } = this.#context
    const own = attributesOf(tree.needNode(node), contents)
    if (offset < 1 && !emit(dot, 1, own)) return false
    const [name] = node === rootNode ? [] : tree.namesOf(node)
    const parent = name === undefined ? undefined : tree.node(name.parent)
    return emit(dotDot, 2, parent === undefined ? own : attributesOf(parent, contents))
  }
}
