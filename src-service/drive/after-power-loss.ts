import type { StartReport } from './cache/blobs/start-report.ts'
import type { UploadQueue } from './cache/sync.ts'
import type { Tree } from './cache/tree.ts'

/**
 * Puts names right after a power loss. A file that was never fsynced and that the provider never had is nothing now: its name goes
 * (an empty file must not be uploaded in its place); its bytes lie in quarantine/. The others are compared with the provider anew.
 * Repeated at every start, so that a crash in the middle of it is made good.
 */
export function repairNames(tree: Tree, queue: UploadQueue, report: StartReport, dropNode: (node: number) => void): void {
  const lost = tree.database.sql.prepare<[], { id: number }>(
    `SELECT id FROM node WHERE fault = 'unproved_after_power_loss' AND generation = 0
     AND NOT EXISTS (SELECT 1 FROM remote WHERE remote.node = node.id AND remote.type <> 'folder')`,
  )
  tree.database.transaction(() => {
    for (const { id } of lost.all()) {
      const row = tree.needNode(id)
      for (const name of tree.namesOf(id)) {
        queue.nameRemoved(name.id)
        tree.removeName(name, row.mode)
      }
      tree.database.afterCommit(() => {
        dropNode(id)
      })
    }
    for (const { node, now } of report.unproved) if (now !== 'nothing' && tree.node(node) !== undefined) queue.nodeChanged(node)
  })
}
