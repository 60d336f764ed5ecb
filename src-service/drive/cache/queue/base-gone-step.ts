import { CloudError } from '../../../common/errors.ts'
import type { Situation } from './decide.ts'
import { again, type QueueParts, type StepContext, type StepResult } from './queue-parts.ts'
import type { QueueRow } from './queue-rows.ts'
import { dropName, followSource, sourceChanged } from './source-changed.ts'

/**
 * Bytes of the node are missing here, and no object at the provider has them any more as we know it. Without changes of
 * ours the names follow the provider; with changes they are kept, and the item is refused until somebody decides.
 */
export async function baseGoneStep(
  parts: QueueParts,
  row: QueueRow,
  { name, node, remote }: Situation,
  step: StepContext,
): Promise<StepResult> {
  const { places, connector, database } = parts
  const known = places.placeOfNode(node.id)
  if (hasChanges(parts, node.id)) {
    const base = known === undefined ? null : await connector.stat(known.place, 'file', step.signal)
    if (base?.rev !== known?.row.rev) {
      database.sql.prepare("UPDATE node SET fault = 'base_lost' WHERE id = ?").run(node.id)
      throw new CloudError('damaged', 'the version that the changes were made to is gone at the provider; what was written is kept')
    }
    if (base !== null) throw new CloudError('unavailable', 'the provider has the version, but does not give its bytes')
  }
  const source = known?.row.content === node.content || known?.row.id === remote?.id ? known : undefined
  if (source === undefined) {
    database.transaction(() => {
      dropName(parts, row, name.id)
    })
    return again
  }
  const entry = await connector.stat(source.place, 'file', step.signal)
  if (entry?.rev === source.row.rev && source.row.content === node.content) {
    throw new CloudError('unavailable', 'the provider has the version, but does not give its bytes')
  }
  database.transaction(() => {
    sourceChanged(parts, source.row, entry)
    followSource(parts, row, source.row)
  })
  return again
}

/** True if bytes that only this machine has are among those of a file that is not whole. */
function hasChanges({ database }: QueueParts, node: number): boolean {
  return database.sql.prepare('SELECT 1 FROM blob WHERE node = ? AND extents IS NOT NULL').get(node) !== undefined
}
