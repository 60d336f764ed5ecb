import type { Contents } from '../cache/contents.ts'
import { isFile, type NodeRow } from '../cache/tree.ts'
import type { Attributes } from './filesystem.ts'

/** stat(2) of a node: its row, and what was written since the row was last brought up to date. */
export function attributesOf(row: NodeRow, contents: Contents): Attributes {
  const live = isFile(row.mode) ? contents.live(row.id) : undefined
  const size = live?.size ?? row.size
  const mtimeSec = live?.mtimeSec ?? row.mtime_s
  const mtimeNsec = live?.mtimeNsec ?? row.mtime_n
  return {
    id: row.id,
    ino: row.ino,
    mode: row.mode,
    nlink: row.nlink,
    uid: row.uid,
    gid: row.gid,
    rdev: row.rdev,
    size,
    // As if nothing were sparse: programs take fewer blocks than bytes for holes and would skip what is only not local yet.
    blocks: Math.ceil(size / 512),
    atimeSec: row.atime_s,
    atimeNsec: row.atime_n,
    mtimeSec,
    mtimeNsec,
    ctimeSec: live === undefined ? row.ctime_s : Math.max(mtimeSec, row.ctime_s),
    ctimeNsec:
      live === undefined || row.ctime_s > mtimeSec ? row.ctime_n : row.ctime_s === mtimeSec ? Math.max(mtimeNsec, row.ctime_n) : mtimeNsec,
  }
}

/** Permission bits after a write, truncation or chown by someone who may not keep them (FUSE_HANDLE_KILLPRIV_V2, as chown(2) on Linux). */
export function withoutPrivileges(mode: number): number {
  const keepGroup = (mode & 0o2010) !== 0o2010
  return mode & ~0o4000 & (keepGroup ? ~0 : ~0o2000)
}
