import { CloudError } from '../../common/errors.ts'
import type { VfsContext } from './context.ts'
import type { Commit } from './filesystem.ts'
import type { NodeUpdates } from './rows.ts'

const createOnly = 1
const replaceOnly = 2
const maxNameBytes = 255
const maxValueBytes = 65536

/** Extended attributes, kept in the tree where the mount's option is on. */
export class Xattrs {
  readonly #context: VfsContext
  readonly #updates: NodeUpdates
  readonly #get
  readonly #list
  readonly #put
  readonly #remove

  constructor(context: VfsContext, updates: NodeUpdates) {
    this.#context = context
    this.#updates = updates
    const { sql } = context.database
    this.#get = sql.prepare<[number, Buffer], { value: Buffer }>('SELECT value FROM xattr WHERE node = ? AND name = ?')
    this.#list = sql.prepare<[number], { name: Buffer }>('SELECT name FROM xattr WHERE node = ? ORDER BY name')
    this.#put = sql.prepare(
      'INSERT INTO xattr (node, name, value) VALUES (?, ?, ?) ON CONFLICT (node, name) DO UPDATE SET value = excluded.value',
    )
    this.#remove = sql.prepare('DELETE FROM xattr WHERE node = ? AND name = ?')
  }

  get(node: number, name: Buffer): Buffer {
    this.#needOption()
    const row = this.#get.get(node, name)
    if (row === undefined) throw new CloudError('no-attribute', 'no such attribute')
    return row.value
  }

  /** Names, each ended by NUL, as listxattr(2) gives them. */
  list(node: number): Buffer {
    this.#needOption()
    const end = Buffer.from([0])
    return Buffer.concat(this.#list.all(node).flatMap((row) => [row.name, end]))
  }

  set(node: number, name: Buffer, value: Buffer, flags: number): Commit<void> {
    this.#needOption()
    if (this.#context.settings.readOnly) throw new CloudError('read-only', 'the mount is read-only')
    if (name.length > maxNameBytes || value.length > maxValueBytes) throw new CloudError('range', 'the attribute is too long')
    if (!/^(user|trusted|security)\../.test(name.toString('latin1')))
      throw new CloudError('unsupported', 'attributes of this kind are not kept')
    const ownName = Buffer.from(name)
    const ownValue = Buffer.from(value)
    return () => {
      const known = this.#get.get(node, ownName) !== undefined
      if (known && flags === createOnly) throw new CloudError('exists', 'the attribute exists')
      if (!known && flags === replaceOnly) throw new CloudError('no-attribute', 'no such attribute')
      this.#put.run(node, ownName, ownValue)
      this.#changed(node)
    }
  }

  remove(node: number, name: Buffer): Commit<void> {
    this.#needOption()
    if (this.#context.settings.readOnly) throw new CloudError('read-only', 'the mount is read-only')
    const own = Buffer.from(name)
    return () => {
      if (this.#remove.run(node, own).changes === 0) throw new CloudError('no-attribute', 'no such attribute')
      this.#changed(node)
    }
  }

  #changed(node: number): void {
    const row = this.#context.tree.needNode(node)
    this.#updates.setMode(node, row.mode)
    this.#context.queue.nodeChanged(node)
  }

  #needOption(): void {
    if (!this.#context.settings.xattrs) throw new CloudError('unsupported', 'extended attributes are off on this mount')
  }
}
