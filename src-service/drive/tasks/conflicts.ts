import { open, unlink } from 'node:fs/promises'
import { join, relative } from 'node:path'
import { CloudError, unreachable } from '../../common/errors.ts'
import type { Conflict, ConflictVersion, Keep } from '../../common/frames/drive-calls.ts'
import { folderOf } from '../cache/blobs/blob-files.ts'
import { conflictName } from '../cache/queue/conflict-name.ts'
import { fileType, isFolder, type NameRow } from '../cache/tree.ts'
import { nodeOfHandle, type Opened } from '../vfs/filesystem.ts'
import { changeNames, type TaskParts } from './task-parts.ts'

const copyAtOnce = 1024 * 1024
const writeOnly = 1
const longestName = 255
/** Milliseconds to ask the provider what it has. */
const longestAsk = 60_000

interface CopyRow {
  readonly id: number
  readonly name: number
  readonly theirs: Buffer
  readonly at: number
}

interface QuarantineRow {
  readonly id: number
  readonly path: Buffer
  readonly file: string
  readonly size: number
  readonly at: number
}

/** A file whose changes were made to a version that the provider does not have any more, and that is not all here. */
interface LostRow {
  readonly node: number
  readonly generation: number
}

/** Bytes that come back as a new file. */
interface Kept {
  readonly file: string
  /** ms since 1970 */
  readonly at: number
  readonly size: number
}

/**
 * Versions that wait for a person: copies made because both sides changed a name, what a power loss left unproved, and
 * changes whose base is gone.
 */
export class Conflicts {
  readonly #parts: TaskParts
  readonly #sql

  constructor(parts: TaskParts) {
    this.#parts = parts
    const { sql } = parts.database
    const copies = 'SELECT conflict.* FROM conflict JOIN name ON name.id = conflict.name AND name.name = conflict.mine'
    const lost = `SELECT node.id AS node, blob.generation FROM node JOIN blob ON blob.node = node.id
      WHERE node.fault = 'base_lost' AND blob.whole = 0 AND blob.extents IS NOT NULL
      AND EXISTS (SELECT 1 FROM name WHERE name.node = node.id)`
    this.#sql = {
      copies: sql.prepare<[number], CopyRow>(`${copies} ORDER BY conflict.id LIMIT ?`),
      copy: sql.prepare<[number], CopyRow>(`${copies} WHERE conflict.id = ?`),
      settle: sql.prepare('DELETE FROM conflict WHERE id = ?'),
      settled: sql.prepare(
        'DELETE FROM conflict WHERE NOT EXISTS (SELECT 1 FROM name WHERE name.id = conflict.name AND name.name = conflict.mine)',
      ),
      unproved: sql.prepare<[number], QuarantineRow>('SELECT id, path, file, size, at FROM quarantine ORDER BY id LIMIT ?'),
      one: sql.prepare<[number], QuarantineRow>('SELECT id, path, file, size, at FROM quarantine WHERE id = ?'),
      release: sql.prepare('DELETE FROM quarantine WHERE id = ?'),
      well: sql.prepare("UPDATE node SET fault = NULL WHERE id = ? AND fault = 'unproved_after_power_loss'"),
      lost: sql.prepare<[number], LostRow>(`${lost} LIMIT ?`),
      oneLost: sql.prepare<[number], LostRow>(`${lost} AND node.id = ?`),
      count: sql.prepare<[], { n: number }>(
        `SELECT (SELECT count(*) FROM conflict JOIN name ON name.id = conflict.name AND name.name = conflict.mine)
         + (SELECT count(*) FROM quarantine) + (SELECT count(*) FROM (${lost})) AS n`,
      ),
    }
    parts.database.transaction(() => this.#sql.settled.run())
  }

  count(): number {
    return this.#sql.count.get()?.n ?? 0
  }

  async list(limit: number): Promise<Conflict[]> {
    const unproved = this.#sql.unproved.all(limit)
    const copies = this.#sql.copies.all(limit - unproved.length)
    const lost = this.#sql.lost.all(limit - unproved.length - copies.length)
    const asked = await Promise.all([...unproved.map((row) => this.#unproved(row)), ...copies.map((row) => this.#copy(row))])
    const found = [...asked, ...lost.map((row) => this.#lost(row))]
    return found.sort((a, b) => a.at - b.at)
  }

  /** Gives the path where what was kept is. @throws not-found, and what the change of names throws */
  async resolve(id: string, keep: Keep): Promise<string> {
    if (this.#parts.settings.readOnly) throw new CloudError('read-only', 'the mount is read-only')
    const number = Number(id.slice(1))
    const copy = id.startsWith('c') ? this.#sql.copy.get(number) : undefined
    const unproved = id.startsWith('q') ? this.#sql.one.get(number) : undefined
    const lost = id.startsWith('b') ? this.#sql.oneLost.get(number) : undefined
    let path
    if (copy !== undefined) path = await this.#resolveCopy(copy, keep)
    else if (unproved !== undefined) path = await this.#resolveUnproved(unproved, keep)
    else if (lost !== undefined) path = await this.#resolveLost(lost, keep)
    else throw new CloudError('not-found', `there is no conflict ${id}`, { hint: 'cloudmoor conflicts list shows them.' })
    this.#parts.onChange()
    return path
  }

  async #copy(row: CopyRow): Promise<Conflict> {
    const name = this.#nameOf(row)
    const path = this.#parts.tree.pathOf({ ...name, name: row.theirs })
    const mine = this.#version(name)
    return { id: `c${row.id}`, kind: 'both-changed', path, at: row.at, mine, theirs: await this.#at(path) }
  }

  async #unproved(row: QuarantineRow): Promise<Conflict> {
    const path = row.path.toString()
    const mine = { path: `quarantine/${row.file}`, size: row.size, modifiedAt: row.at }
    return { id: `q${row.id}`, kind: 'unproved', path, at: row.at, mine, theirs: await this.#at(path) }
  }

  /** The name shows ours; what the provider has now is not known before somebody asks it. */
  #lost({ node }: LostRow): Conflict {
    const { tree, states } = this.#parts
    const path = tree.pathOfNode(node) ?? ''
    const { size, modifiedAt } = states.entryOf(tree.needNode(node), path, '')
    return { id: `b${node}`, kind: 'both-changed', path, at: modifiedAt, mine: { path, size, modifiedAt }, theirs: null }
  }

  #nameOf(row: CopyRow): NameRow {
    const name = this.#parts.tree.nameById(row.name)
    if (name === undefined) throw new CloudError('not-found', 'the conflict is settled')
    return name
  }

  #version(name: NameRow): ConflictVersion {
    const { tree, states } = this.#parts
    const path = tree.pathOf(name)
    const { size, modifiedAt } = states.entryOf(tree.needNode(name.node), path, '')
    return { path, size, modifiedAt }
  }

  /** Null: nothing is there, or it cannot be known now. */
  async #at(path: string): Promise<ConflictVersion | null> {
    try {
      const { row } = await this.#parts.paths.find(path)
      const { size, modifiedAt } = this.#parts.states.entryOf(row, path, '')
      return { path, size, modifiedAt }
    } catch {
      return null
    }
  }

  async #resolveCopy(row: CopyRow, keep: Keep): Promise<string> {
    const { tree, filesystem } = this.#parts
    const { parent, name, node } = this.#nameOf(row)
    const mine = { parent, name }
    const theirs = { parent, name: row.theirs }
    const paths = { mine: tree.pathOf(this.#nameOf(row)), theirs: tree.pathOf({ ...this.#nameOf(row), name: row.theirs }) }
    const settle = (): void => {
      this.#sql.settle.run(row.id)
    }
    switch (keep) {
      case 'mine':
        await changeNames(this.#parts, filesystem.rename(parent, name, parent, row.theirs, 0), [mine, theirs], settle)
        return paths.theirs
      case 'theirs': {
        const removal = isFolder(tree.needNode(node).mode) ? filesystem.rmdir(parent, name) : filesystem.unlink(parent, name)
        await changeNames(this.#parts, removal, [mine], settle)
        return paths.theirs
      }
      case 'both':
        this.#parts.database.transaction(settle)
        return paths.mine
      default:
        return unreachable(keep)
    }
  }

  /**
   * The bytes come back as a new file, synced, before anything is given up; it then takes the name, if it is to. A crash in
   * between leaves that file, perhaps not whole, and the quarantine as it was.
   */
  async #resolveUnproved(row: QuarantineRow, keep: Keep): Promise<string> {
    const { filesystem, settings } = this.#parts
    const path = row.path.toString()
    const release = (): void => {
      this.#sql.release.run(row.id)
      this.#sql.well.run(Number(row.file.split('.')[0]))
    }
    let result = path
    if (keep === 'theirs') {
      this.#parts.database.transaction(release)
    } else {
      const theirs = await this.#needPlace(path)
      const kept = { file: join(settings.folder, 'quarantine', row.file), at: row.at, size: row.size }
      const copy = { parent: theirs.parent, name: await this.#restore(kept, theirs) }
      if (keep === 'mine') {
        await changeNames(this.#parts, filesystem.rename(copy.parent, copy.name, theirs.parent, theirs.name, 0), [copy, theirs], release)
      } else {
        this.#parts.database.transaction(release)
        result = besides(path, copy.name)
      }
    }
    await this.#parts.contents.syncAll()
    await unlink(join(settings.folder, 'quarantine', row.file)).catch(() => undefined)
    return result
  }

  /**
   * What is here of ours (changes, and what was fetched of the version below them; zeros where neither is) becomes a file
   * beside the name, the name takes what the provider has, and then ours takes the name, if it is to. A crash in between
   * leaves both.
   */
  async #resolveLost({ node, generation }: LostRow, keep: Keep): Promise<string> {
    const { tree, queue, filesystem, settings, states } = this.#parts
    const names = tree.namesOf(node)
    const path = tree.pathOfNode(node) ?? ''
    const place = await this.#parts.paths.place(path)
    let copy: Buffer | undefined
    if (keep !== 'theirs') {
      const { size, modifiedAt } = states.entryOf(tree.needNode(node), path, '')
      copy = await this.#restore(
        { file: join(settings.folder, 'blobs', folderOf(node), `${node}.${generation}`), at: modifiedAt, size },
        place,
      )
    }
    for (const name of names) await queue.takeTheirs(name.id, AbortSignal.timeout(longestAsk))
    if (copy === undefined) return path
    if (keep === 'both') return besides(path, copy)
    const mine = { parent: place.parent, name: copy }
    await changeNames(this.#parts, filesystem.rename(place.parent, copy, place.parent, place.name, 0), [mine, place])
    return path
  }

  /** Writes the bytes to a new file beside the name, synced; gives the new name. */
  async #restore(kept: Kept, { parent, name }: { readonly parent: number; readonly name: Buffer }): Promise<Buffer> {
    const { filesystem, tree, settings } = this.#parts
    const free = conflictName(name, settings.hostName, kept.at, longestName, (one) => tree.nameIn(parent, one) !== undefined)
    const before = tree.lookup(parent, name)
    const mode = before === undefined || isFolder(before.mode) ? fileType.file | (0o666 & ~settings.umask) : before.mode
    const caller = { uid: before?.uid ?? settings.uid, gid: before?.gid ?? settings.gid, pid: 0 }
    const made = filesystem.create(caller, parent, free, mode, { flags: writeOnly, killPrivileges: false })
    const { opened } = await changeNames(this.#parts, made, [{ parent, name: free }])
    const file = await open(kept.file, 'r').catch((caught: unknown) => {
      throw new CloudError('not-found', `${relative(settings.folder, kept.file)} is not there any more`, { cause: caught })
    })
    try {
      await this.#copyBytes(file, kept.size, opened)
    } finally {
      await file.close()
      await filesystem.release(opened.fh)
    }
    return free
  }

  /** @param size bytes in all: what the file is shorter is zeros */
  async #copyBytes(file: Awaited<ReturnType<typeof open>>, size: number, { fh }: Opened): Promise<void> {
    const { filesystem, contents } = this.#parts
    const buffer = Buffer.allocUnsafe(copyAtOnce)
    for (let at = 0; at < size; ) {
      const wanted = Math.min(copyAtOnce, size - at)
      let { bytesRead } = await file.read(buffer, 0, wanted, at)
      if (bytesRead === 0) bytesRead = buffer.fill(0, 0, wanted).subarray(0, wanted).length
      for (let done = 0; done < bytesRead; )
        done += await filesystem.write(fh, buffer, done, bytesRead - done, at + done, { cached: false, killPrivileges: false })
      at += bytesRead
    }
    await contents.sync(nodeOfHandle(fh))
  }

  /** The place of a path whose folders may be gone by now: they are made again. */
  async #needPlace(path: string): Promise<{ readonly parent: number; readonly name: Buffer }> {
    const { paths, filesystem, settings } = this.#parts
    const above = path.split('/').slice(0, -1)
    for (let depth = 1; depth <= above.length; depth++) {
      const folder = await paths.place(above.slice(0, depth).join('/'))
      if (this.#parts.tree.nameIn(folder.parent, folder.name) !== undefined) continue
      const caller = { uid: settings.uid, gid: settings.gid, pid: 0 }
      await changeNames(this.#parts, filesystem.mkdir(caller, folder.parent, folder.name, 0o777 & ~settings.umask), [folder])
    }
    return paths.place(path)
  }
}

function besides(path: string, name: Buffer): string {
  return [...path.split('/').slice(0, -1), name.toString()].join('/')
}
