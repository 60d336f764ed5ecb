import type Database from 'better-sqlite3'
import { wallTime } from '../../common/wall-time.ts'

/** Updates of node rows that several calls share. Inside a transaction. */
export class NodeUpdates {
  readonly #touchFolder
  readonly #ctime
  readonly #mode
  readonly #attributes
  readonly #size

  constructor(sql: Database.Database) {
    this.#touchFolder = sql.prepare('UPDATE node SET mtime_s = ?, mtime_n = ?, ctime_s = ?, ctime_n = ? WHERE id = ?')
    this.#ctime = sql.prepare('UPDATE node SET ctime_s = ?, ctime_n = ? WHERE id = ?')
    this.#mode = sql.prepare('UPDATE node SET mode = ?, attrs = attrs + 1, ctime_s = ?, ctime_n = ? WHERE id = ?')
    this.#attributes = sql.prepare(
      `UPDATE node SET mode = ?, uid = ?, gid = ?, atime_s = ?, atime_n = ?, mtime_s = ?, mtime_n = ?, ctime_s = ?, ctime_n = ?, attrs = attrs + 1
       WHERE id = ?`,
    )
    this.#size = sql.prepare('UPDATE node SET size = ?, mtime_s = ?, mtime_n = ?, ctime_s = ?, ctime_n = ? WHERE id = ?')
  }

  /** A name came or went in this folder. */
  folderChanged(folder: number): void {
    const { sec, nsec } = wallTime()
    this.#touchFolder.run(sec, nsec, sec, nsec, folder)
  }

  changed(node: number): void {
    const { sec, nsec } = wallTime()
    this.#ctime.run(sec, nsec, node)
  }

  setMode(node: number, mode: number): void {
    const { sec, nsec } = wallTime()
    this.#mode.run(mode, sec, nsec, node)
  }

  setAttributes(
    node: number,
    to: {
      readonly mode: number
      readonly uid: number
      readonly gid: number
      readonly atime: { readonly sec: number; readonly nsec: number }
      readonly mtime: { readonly sec: number; readonly nsec: number }
    },
  ): void {
    const { sec, nsec } = wallTime()
    this.#attributes.run(to.mode, to.uid, to.gid, to.atime.sec, to.atime.nsec, to.mtime.sec, to.mtime.nsec, sec, nsec, node)
  }

  /** New size with its times. */
  setSize(node: number, size: number): void {
    const { sec, nsec } = wallTime()
    this.#size.run(size, sec, nsec, sec, nsec, node)
  }
}
