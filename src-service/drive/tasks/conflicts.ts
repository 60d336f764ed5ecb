import { open, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError, unreachable } from '../../common/errors.ts'
import type { Conflict, ConflictVersion, Keep } from '../../common/frames/drive-calls.ts'
import { conflictName } from '../cache/queue/conflict-name.ts'
import { fileType, isFolder, type NameRow } from '../cache/tree.ts'
import { nodeOfHandle, type Opened } from '../vfs/filesystem.ts'
import { changeNames, type TaskParts } from './task-parts.ts'

const copyAtOnce = 1024 * 1024
const writeOnly = 1
const longestName = 255

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

/** Versions that wait for a person: copies made because both sides changed a name, and what a power loss left unproved. */
export class Conflicts {
  readonly #parts: TaskParts
  readonly #sql

  constructor(parts: TaskParts) {
    this.#parts = parts
    const { sql } = parts.database
    const copies = 'SELECT conflict.* FROM conflict JOIN name ON name.id = conflict.name AND name.name = conflict.mine'
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
      count: sql.prepare<[], { n: number }>(
        `SELECT (SELECT count(*) FROM conflict JOIN name ON name.id = conflict.name AND name.name = conflict.mine) + (SELECT count(*) FROM quarantine) AS n`,
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
    const found = await Promise.all([...unproved.map((row) => this.#unproved(row)), ...copies.map((row) => this.#copy(row))])
    return found.sort((a, b) => a.at - b.at)
  }

  /** Gives the path where what was kept is. @throws not-found, and what the change of names throws */
  async resolve(id: string, keep: Keep): Promise<string> {
    if (this.#parts.settings.readOnly) throw new CloudError('read-only', 'the mount is read-only')
    const number = Number(id.slice(1))
    const copy = id.startsWith('c') ? this.#sql.copy.get(number) : undefined
    const unproved = id.startsWith('q') ? this.#sql.one.get(number) : undefined
    const path =
      copy !== undefined
        ? await this.#resolveCopy(copy, keep)
        : unproved !== undefined
          ? await this.#resolveUnproved(unproved, keep)
          : undefined
    if (path === undefined)
      throw new CloudError('not-found', `there is no conflict ${id}`, { hint: 'cloudmoor conflicts list shows them.' })
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
    let kept = path
    if (keep === 'theirs') {
      this.#parts.database.transaction(release)
    } else {
      const theirs = await this.#needPlace(path)
      const copy = { parent: theirs.parent, name: await this.#restore(row, theirs) }
      if (keep === 'mine') {
        await changeNames(this.#parts, filesystem.rename(copy.parent, copy.name, theirs.parent, theirs.name, 0), [copy, theirs], release)
      } else {
        this.#parts.database.transaction(release)
        kept = [...path.split('/').slice(0, -1), copy.name.toString()].join('/')
      }
    }
    await this.#parts.contents.syncAll()
    await unlink(join(settings.folder, 'quarantine', row.file)).catch(() => undefined)
    return kept
  }

  /** Writes the quarantined bytes to a new file beside the name; gives the new name. */
  async #restore(row: QuarantineRow, { parent, name }: { readonly parent: number; readonly name: Buffer }): Promise<Buffer> {
    const { filesystem, tree, settings } = this.#parts
    const free = conflictName(name, settings.hostName, row.at, longestName, (one) => tree.nameIn(parent, one) !== undefined)
    const before = tree.lookup(parent, name)
    const mode = before === undefined || isFolder(before.mode) ? fileType.file | (0o666 & ~settings.umask) : before.mode
    const caller = { uid: before?.uid ?? settings.uid, gid: before?.gid ?? settings.gid, pid: 0 }
    const made = filesystem.create(caller, parent, free, mode, { flags: writeOnly, killPrivileges: false })
    const { opened } = await changeNames(this.#parts, made, [{ parent, name: free }])
    const file = await open(join(settings.folder, 'quarantine', row.file), 'r').catch((caught: unknown) => {
      throw new CloudError('not-found', `quarantine/${row.file} is not there any more`, { cause: caught })
    })
    try {
      await this.#copyBytes(file, opened)
    } finally {
      await file.close()
      await filesystem.release(opened.fh)
    }
    return free
  }

  async #copyBytes(file: Awaited<ReturnType<typeof open>>, { fh }: Opened): Promise<void> {
    const { filesystem, contents } = this.#parts
    const buffer = Buffer.allocUnsafe(copyAtOnce)
    for (let at = 0; ; ) {
      const { bytesRead } = await file.read(buffer, 0, copyAtOnce, at)
      if (bytesRead === 0) break
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
