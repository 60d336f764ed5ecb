import { CloudError } from '../../../common/errors.ts'
import type { Situation } from './decide.ts'
import { followSource, sourceChanged } from './source-changed.ts'
import { again, type QueueParts, type StepContext, type StepResult } from './queue-parts.ts'
import type { QueueRow } from './queue-rows.ts'

/**
 * Bytes of the node are missing here, and the object that has them is not at the provider any more as we know it. Without
 * changes of ours the names follow the provider; with changes they are kept, and the item is refused until somebody decides.
 */
export async function baseGoneStep(parts: QueueParts, row: QueueRow, { node }: Situation, step: StepContext): Promise<StepResult> {
  const { places, connector, database } = parts
  const known = places.placeOfNode(node.id)
  if (known === undefined || known.row.content !== node.content) {
    throw new CloudError('damaged', 'the version that the changes were made to is gone at the provider; what was written is kept')
  }
  const entry = await connector.stat(known.place, 'file', step.signal)
  if (entry?.rev === known.row.rev) throw new CloudError('unavailable', 'the provider has the version, but does not give its bytes')
  database.transaction(() => {
    sourceChanged(parts, known.row, entry)
    followSource(parts, row, known.row)
  })
  return again
}
