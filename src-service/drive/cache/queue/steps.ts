import { CloudError } from '../../../common/errors.ts'
import { isFolder } from '../tree.ts'
import { conflictStep } from './conflict-step.ts'
import type { Decision, Situation } from './decide.ts'
import { attributesStep, lostFolderStep, makeFolderStep } from './folder-steps.ts'
import { copyStep, moveAsideStep, moveStep } from './move-step.ts'
import { probeStep } from './probe-step.ts'
import { again, type QueueParts, type StepContext, type StepResult } from './queue-parts.ts'
import type { QueueRow } from './queue-rows.ts'
import { keepFolderStep, keepReadable, type RemovalDecision, removeStep } from './remove-step.ts'
import { uploadStep } from './upload-step.ts'

/** What one row of the queue does next at the provider. */
export type Work =
  | { readonly kind: 'name'; readonly situation: Situation; readonly decision: Decision }
  | { readonly kind: 'removal'; readonly decision: RemovalDecision & { readonly kind: 'remove' | 'keep' } }
  | { readonly kind: 'abandon'; readonly handle: string }

export async function runStep(parts: QueueParts, row: QueueRow, work: Work, step: StepContext): Promise<StepResult> {
  switch (work.kind) {
    case 'name':
      try {
        return await nameStep(parts, row, work.situation, work.decision, step)
      } catch (caught) {
        return await afterRefusal(parts, row, work, CloudError.from(caught), step)
      }
    case 'removal': {
      const { decision } = work
      return decision.kind === 'keep'
        ? keepFolderStep(parts, decision.row, decision.place, step)
        : removeStep(parts, row, decision.row, decision.place, step)
    }
    case 'abandon':
      return abandonStep(parts, row, work.handle, step)
  }
}

async function nameStep(
  parts: QueueParts,
  row: QueueRow,
  situation: Situation,
  decision: Decision,
  step: StepContext,
): Promise<StepResult> {
  const waits = 'over' in decision && decision.over !== null ? await keepReadable(parts, decision.over, step) : undefined
  if (waits !== undefined) return waits
  switch (decision.kind) {
    case 'probe':
      return probeStep(parts, row, step)
    case 'make-folder':
      return makeFolderStep(parts, row, situation, step)
    case 'upload':
      return uploadStep(parts, row, situation, decision.over, step)
    case 'copy':
      return copyStep(parts, row, situation, decision.from, decision.over, step)
    case 'move':
      return moveStep(parts, row, situation, decision.from, decision.over, step)
    case 'move-aside':
      return moveAsideStep(parts, row, situation, decision.from, step)
    case 'set-attributes':
      return attributesStep(parts, row, situation, step)
    case 'conflict':
      return conflictStep(parts, row, step)
    case 'done':
    case 'take-back':
    case 'wait':
    case 'quiet':
    case 'note-attributes':
      return again
  }
}

/** Refusals that say something of the place are looked into; the others stand. */
async function afterRefusal(
  parts: QueueParts,
  row: QueueRow,
  { situation, decision }: Work & { readonly kind: 'name' },
  error: CloudError,
  step: StepContext,
): Promise<StepResult> {
  if (decision.kind === 'probe' || decision.kind === 'conflict' || step.signal.aborted) throw error
  switch (error.kind) {
    case 'conflict':
    case 'exists':
    case 'is-a-folder':
      // Of the place where a name was to be before it went elsewhere, nothing need be known.
      return isWhereItWas(parts, situation) ? conflictStep(parts, row, step) : again
    case 'not-found':
    case 'not-a-folder':
      if (decision.kind !== 'set-attributes') return lostFolderStep(parts, situation.name.parent, error, step)
      if (isFolder(situation.node.mode)) return lostFolderStep(parts, situation.node.id, error, step)
      return isWhereItWas(parts, situation) ? conflictStep(parts, row, step) : again
    default:
      throw error
  }
}

function isWhereItWas({ tree }: QueueParts, { name }: Situation): boolean {
  const now = tree.nameById(name.id)
  return now?.parent === name.parent && now.name.equals(name.name)
}

/** Ends an upload session. A provider that does not know it any more has ended it already. */
async function abandonStep(
  { connector, database, rows }: QueueParts,
  row: QueueRow,
  handle: string,
  step: StepContext,
): Promise<StepResult> {
  try {
    await connector.abandon?.(handle, step.signal)
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind !== 'not-found' && row.refusals < 3) throw error
  }
  database.transaction(() => rows.remove(row.id))
  return again
}
