import { CloudError } from '../../common/errors.ts'
import type { DriveCalls, FileEntry, FilePage, Freed } from '../../common/frames/drive-calls.ts'
import { isFile, isFolder, type NameRow, type NodeRow } from '../cache/tree.ts'
import { changeNames, type TaskParts } from './task-parts.ts'

type Params<C extends keyof DriveCalls> = DriveCalls[C]['params']

/** Names looked at in one turn of the loop. */
const batch = 5000
const renameNoReplace = 1

/** What people do with files without the mounted folder. */
export class FileTasks {
  readonly #parts: TaskParts
  readonly #sql

  constructor(parts: TaskParts) {
    this.#parts = parts
    const { sql } = parts.database
    this.#sql = {
      names: sql.prepare<[number, number], NameRow>('SELECT * FROM name WHERE id > ? ORDER BY id LIMIT ?'),
      pin: sql.prepare('UPDATE node SET pinned = ? WHERE id = ? AND pinned <> ?'),
    }
  }

  async list({ path, after, limit }: Params<'listFolder'>): Promise<FilePage> {
    const { tree, paths, states } = this.#parts
    const { row } = await paths.find(path)
    await paths.ready(row, path)
    const rows = tree.entries(row.id, after, limit + 1)
    const entries = rows.slice(0, limit).map((entry) => states.entryOf(entry, joined(path, entry.entry), entry.entry.toString()))
    return { entries, next: rows.length > limit ? (rows[limit - 1]?.name_id ?? 0) : 0 }
  }

  async search({ path, text, after, limit }: Params<'search'>): Promise<FilePage> {
    const { tree, paths, states } = this.#parts
    const { row } = await paths.find(path)
    const wanted = text.toLocaleLowerCase()
    const entries: FileEntry[] = []
    for (let at = after; ; ) {
      const names = this.#sql.names.all(at, batch)
      for (const name of names) {
        at = name.id
        if (!name.name.toString().toLocaleLowerCase().includes(wanted) || !this.#isBelow(name.parent, row.id)) continue
        entries.push(states.entryOf(tree.needNode(name.node), tree.pathOf(name), name.name.toString()))
        if (entries.length === limit) return { entries, next: at }
      }
      if (names.length < batch) return { entries, next: 0 }
      await nextTurn()
    }
  }

  #isBelow(parent: number, folder: number): boolean {
    for (let at: number | undefined = parent; at !== undefined; at = this.#parts.tree.namesOf(at)[0]?.parent) if (at === folder) return true
    return false
  }

  async rename({ path, to, replace }: Params<'rename'>): Promise<void> {
    const { paths, filesystem } = this.#parts
    this.refuseReadOnly()
    const from = await paths.place(path)
    const target = await paths.place(to)
    const flags = replace ? 0 : renameNoReplace
    await changeNames(this.#parts, filesystem.rename(from.parent, from.name, target.parent, target.name, flags), [from, target])
  }

  /** From the leaves upward: what cannot be removed stops it, and what was removed by then stays removed. */
  async remove({ path, recursive }: Params<'remove'>): Promise<number> {
    const { paths, filesystem } = this.#parts
    this.refuseReadOnly()
    const place = await paths.place(path)
    const { row } = await paths.find(path)
    let removed = 0
    if (isFolder(row.mode)) {
      await paths.ready(row, path)
      if (recursive)
        for await (const child of this.#children(row)) removed += await this.remove({ path: joined(path, child.entry), recursive })
      await changeNames(this.#parts, filesystem.rmdir(place.parent, place.name), [place])
    } else {
      await changeNames(this.#parts, filesystem.unlink(place.parent, place.name), [place])
    }
    return removed + 1
  }

  async setPinned(path: string, pinned: boolean): Promise<number> {
    const { row } = await this.#parts.paths.find(path)
    let files = 0
    for await (const one of this.#tree(row, path)) {
      this.#sql.pin.run(pinned ? 1 : 0, one.id, pinned ? 1 : 0)
      if (isFile(one.mode)) files++
    }
    this.#parts.onChange()
    return files
  }

  async free(path: string): Promise<Freed> {
    const { contents, paths } = this.#parts
    const { row } = await paths.find(path)
    const freed = { bytes: 0, kept: 0 }
    for await (const one of this.#tree(row, path)) {
      this.#sql.pin.run(0, one.id, 0)
      if (!isFile(one.mode) || contents.localBytes(one.id) === 0) continue
      const bytes = await contents.evict(one.id)
      if (bytes === 0) freed.kept++
      freed.bytes += bytes
    }
    this.#parts.onChange()
    return freed
  }

  /** The node and everything below it that is known. */
  async *#tree(row: NodeRow, path: string): AsyncGenerator<NodeRow> {
    yield row
    if (!isFolder(row.mode)) return
    await this.#parts.paths.ready(row, path)
    for await (const child of this.#children(row)) yield* this.#tree(child, joined(path, child.entry))
  }

  /** Entries of a folder, a few at a time: others have their turn, and what is removed meanwhile is not missed. */
  async *#children(folder: NodeRow): AsyncGenerator<NodeRow & { readonly entry: Buffer }> {
    for (let after = 0; ; ) {
      const rows = this.#parts.tree.entries(folder.id, after, 200)
      const last = rows.at(-1)
      if (last === undefined) return
      after = last.name_id
      yield* rows
      await nextTurn()
    }
  }

  refuseReadOnly(): void {
    if (this.#parts.settings.readOnly) throw new CloudError('read-only', 'the mount is read-only')
  }
}

function joined(path: string, name: Buffer): string {
  return path === '' ? name.toString() : `${path}/${name.toString()}`
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}
