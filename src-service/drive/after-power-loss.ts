import type { StartReport } from './cache/blobs/start-report.ts'
import type { UploadQueue } from './cache/sync.ts'
import type { Tree } from './cache/tree.ts'
import type { Transfer } from './drive-contract.ts'

interface QuarantineRow {
  readonly id: number
  readonly path: Buffer
  readonly file: string
  readonly size: number
  readonly reason: string
}

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

/** What lies in quarantine, as transfers that wait for a person. */
export function quarantined(tree: Tree, limit: number): Transfer[] {
  const rows = tree.database.sql
    .prepare<[number], QuarantineRow>('SELECT id, path, file, size, reason FROM quarantine ORDER BY id LIMIT ?')
    .all(limit)
  return rows.map((row) => ({
    id: -row.id,
    path: row.path.toString(),
    direction: 'upload',
    state: 'parked',
    size: row.size,
    done: 0,
    tries: 0,
    nextTryAt: 0,
    reason: `never synced before a power loss; its bytes are kept in quarantine/${row.file}`,
  }))
}
