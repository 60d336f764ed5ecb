import type { Tree } from '../tree.ts'

/** Reserves a node id for an object that no name may stand for: ids are never used again, and only the number is needed. */
export function ghostNode(tree: Tree): number {
  const time = { sec: 0, nsec: 0 }
  const id = tree.insertNode({ mode: 0o040700, uid: 0, gid: 0, mtime: time, ctime: time })
  tree.deleteNode(id)
  return id
}
