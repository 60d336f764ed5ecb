import { CloudError } from '../../common/errors.ts'
import { filesInHand } from './drivers/rclone-cache.ts'
import type { MountRecord } from '../store/records.ts'
import type { QueueCounts } from '../../common/drive-state.ts'
import { rcloneCache } from './mount-plan.ts'

export const nothingUnsent: QueueCounts = { files: 0, bytes: 0, parked: 0, uploading: 0 }

/** @throws busy, UNSENT_FILES */
export async function refuseUnsent(record: Pick<MountRecord, 'name'>, queue: QueueCounts, folder: string): Promise<void> {
  if (queue.files > 0)
    throw unsent(
      record,
      `${queue.files} files (${queue.bytes} bytes) that are not uploaded yet`,
      `cloudmoor mount remove ${record.name} --wait`,
    )
  const inHand = await filesInHand(rcloneCache(folder))
  if (inHand > 0) throw unsent(record, `${inHand} files that rclone has not handed over yet`, `cloudmoor mount ${record.name}`)
}

function unsent({ name }: Pick<MountRecord, 'name'>, what: string, command: string): CloudError {
  return new CloudError('busy', `'${name}' has ${what}`, {
    code: 'UNSENT_FILES',
    hint: `Wait for them: ${command}. Or keep them for later: cloudmoor mount remove ${name} --park. What is waiting, and why, shows cloudmoor transfers.`,
  })
}
