import { CloudError } from '../../src-service/common/errors.ts'
import type { Contents } from '../../src-service/drive/cache/contents.ts'
import type { DriveDatabase } from '../../src-service/drive/cache/database.ts'
import type { UploadQueue } from '../../src-service/drive/cache/sync.ts'
import { fileType, isFolder, type NodeRow, rootNode, type Tree } from '../../src-service/drive/cache/tree.ts'
import { random } from './random.ts'

/** What programs do on a mount, as far as tree, contents and queue notice it; without a kernel, with paths. */
export abstract class Programs {
  abstract get tree(): Tree
  abstract get contents(): Contents
  abstract get queue(): UploadQueue
  abstract get database(): DriveDatabase
  /** What was written last to a node, as the programs know it. */
  readonly #texts = new Map<number, string>()

  nodeAt(path: string): number {
    const node = this.findNode(path)
    if (node === 0) throw new CloudError('not-found', `no ${path}`)
    return node
  }

  findNode(path: string): number {
    let node: number = rootNode
    for (const part of path.split('/').filter((one) => one !== '')) {
      const row = this.tree.lookup(node, Buffer.from(part))
      if (row === undefined) return 0
      node = row.id
    }
    return node
  }

  mkdir(path: string): void {
    this.#make(path, fileType.folder | 0o755, null)
  }

  symlink(path: string, target: string): void {
    this.#make(path, fileType.symlink | 0o777, Buffer.from(target))
  }

  /** Creates or overwrites, as `echo text > path` would. */
  async write(path: string, text: string): Promise<void> {
    const node = this.findNode(path) || this.#make(path, fileType.file | 0o644, null)
    if (isFolder(this.tree.needNode(node).mode)) throw new CloudError('is-a-folder', `${path} is a folder`)
    this.contents.opened(node, true)
    await this.contents.truncate(node, 0)
    this.database.transaction(() => {
      this.contents.settle(node)
      this.#setSize(node, 0)
      this.queue.nodeChanged(node)
    })
    this.#texts.set(node, '')
    const data = Buffer.from(text)
    if (data.length > 0) await this.contents.write(node, data, 0, data.length, 0, false)
    this.#texts.set(node, text)
    this.contents.released(node, true)
    this.queue.touched(node)
  }

  #setSize(node: number, size: number): void {
    this.database.sql.prepare('UPDATE node SET size = ? WHERE id = ?').run(size, node)
  }

  chmod(path: string, mode: number): void {
    const node = this.nodeAt(path)
    this.database.transaction(() => {
      this.database.sql.prepare('UPDATE node SET mode = (mode & 61440) | ?, attrs = attrs + 1 WHERE id = ?').run(mode, node)
      this.queue.nodeChanged(node)
    })
  }

  link(from: string, to: string): void {
    const node = this.tree.needNode(this.nodeAt(from))
    const { parent, name } = this.#split(to)
    this.database.transaction(() => this.queue.nameChanged(this.tree.addName(parent, name, node.id, node.mode, null)))
  }

  remove(path: string): void {
    const { parent, name } = this.#split(path)
    const row = this.tree.lookup(parent, name)
    if (row === undefined) throw new CloudError('not-found', `no ${path}`)
    if (isFolder(row.mode) && !this.tree.isEmpty(row.id)) throw new CloudError('not-empty', `${path} is not empty`)
    this.database.transaction(() => this.#remove(row))
  }

  rename(from: string, to: string): void {
    const source = this.#split(from)
    const target = this.#split(to)
    const row = this.tree.lookup(source.parent, source.name)
    if (row === undefined) throw new CloudError('not-found', `no ${from}`)
    if (isFolder(row.mode) && `${to}/`.startsWith(`${from}/`)) throw new CloudError('invalid', 'into itself')
    const over = this.tree.lookup(target.parent, target.name)
    if (over !== undefined) {
      if (over.id === row.id) return
      if (isFolder(over.mode) !== isFolder(row.mode)) throw new CloudError('invalid', 'file over folder')
      if (isFolder(over.mode) && !this.tree.isEmpty(over.id)) throw new CloudError('not-empty', `${to} is not empty`)
    }
    this.database.transaction(() => {
      if (over !== undefined) this.#remove(over)
      const name = this.tree.nameById(row.name_id)
      if (name === undefined) throw new CloudError('internal', 'gone')
      this.tree.moveName(name, target.parent, target.name, row.mode)
      this.queue.nameChanged(name.id)
    })
  }

  exchange(one: string, other: string): void {
    const [a, b] = [this.#split(one), this.#split(other)]
    const first = this.tree.nameIn(a.parent, a.name)
    const second = this.tree.nameIn(b.parent, b.name)
    if (first === undefined || second === undefined) throw new CloudError('not-found', 'one is missing')
    const [firstMode, secondMode] = [this.tree.needNode(first.node).mode, this.tree.needNode(second.node).mode]
    const between = Buffer.from([0])
    this.database.transaction(() => {
      this.tree.moveName(first, a.parent, between, firstMode)
      this.tree.moveName(second, a.parent, a.name, secondMode)
      this.tree.moveName({ ...first, name: between }, b.parent, b.name, firstMode)
      this.queue.nameChanged(first.id)
      this.queue.nameChanged(second.id)
    })
  }

  async read(path: string): Promise<string> {
    const node = this.nodeAt(path)
    const size = this.contents.live(node)?.size ?? this.tree.needNode(node).size
    const target = Buffer.alloc(size)
    this.contents.opened(node, false)
    try {
      const got = await this.contents.read(node, 0, size, target, 0, AbortSignal.timeout(5000))
      return target.subarray(0, got).toString()
    } finally {
      this.contents.released(node, false)
      this.#drop(node)
    }
  }

  /** The version of a file that a program would read now, without reading it: local bytes, or the provider's version. */
  known(path: string): { readonly text: string } | { readonly rev: string } | undefined {
    const node = this.findNode(path)
    const text = this.#texts.get(node)
    if (text !== undefined) return { text }
    const row = this.tree.remotesOf(node).find((one) => one.content > 0)
    return row === undefined ? undefined : { rev: row.rev }
  }

  /** Paths of the tree; folders end with '/'. */
  paths(folder: number = rootNode, prefix = ''): string[] {
    return this.tree
      .names(folder)
      .flatMap((name) => {
        const path = prefix + name.name.toString()
        return isFolder(this.tree.needNode(name.node).mode) ? [`${path}/`, ...this.paths(name.node, `${path}/`)] : [path]
      })
      .sort()
  }

  /** The tree with its texts, to be compared with `FakeCloud.dump`. */
  async dump(): Promise<Record<string, string>> {
    const found: Record<string, string> = {}
    for (const path of this.paths()) found[path] = path.endsWith('/') ? '' : await this.read(path)
    return found
  }

  #split(path: string): { parent: number; name: Buffer } {
    const slash = path.lastIndexOf('/')
    const parent = this.nodeAt(path.slice(0, Math.max(0, slash)))
    if (!isFolder(this.tree.needNode(parent).mode)) throw new CloudError('not-a-folder', `${path}: no folder`)
    return { parent, name: Buffer.from(path.slice(slash + 1)) }
  }

  #make(path: string, mode: number, target: Buffer | null): number {
    const { parent, name } = this.#split(path)
    if (this.tree.nameIn(parent, name) !== undefined) throw new CloudError('exists', `${path} exists`)
    const ms = Date.now()
    const time = { sec: Math.floor(ms / 1000), nsec: (ms % 1000) * 1e6 + Math.floor(random() * 1e6) }
    return this.database.transaction(() => {
      const node = this.tree.insertNode({
        mode,
        uid: 1000,
        gid: 1000,
        size: target?.length ?? 0,
        target,
        mtime: time,
        ctime: time,
        ...(isFolder(mode) ? { listedAt: ms } : {}),
      })
      const made = this.tree.addName(parent, name, node, mode, null)
      if ((mode & fileType.mask) === fileType.file) this.contents.create(node)
      this.queue.nameChanged(made)
      return node
    })
  }

  #remove(row: NodeRow & { readonly name_id: number }): void {
    const name = this.tree.nameById(row.name_id)
    if (name === undefined) throw new CloudError('internal', 'gone')
    this.queue.nameRemoved(name.id)
    this.tree.removeName(name, row.mode)
    this.database.afterCommit(() => {
      this.#drop(row.id)
    })
  }

  /** Forgets a node that has no name and is not open. */
  #drop(node: number): void {
    if (this.tree.node(node) === undefined || this.contents.openCount(node) > 0 || this.tree.namesOf(node).length > 0) return
    this.database.transaction(() => {
      this.contents.forget(node)
      this.tree.deleteNode(node)
    })
  }
}
