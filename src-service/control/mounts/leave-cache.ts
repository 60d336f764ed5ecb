import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import { filesInHand } from './drivers/rclone-cache.ts'
import type { MountRecord } from '../store/records.ts'
import type { QueueCounts } from '../../common/drive-state.ts'
import { rcloneCache } from './mount-plan.ts'

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
    hint: `Wait for them: ${command}. What is waiting, and why, shows cloudmoor transfers.`,
  })
}

/** Everything in it is at the provider as well, save what a power cut left unproved: that stays. */
export async function removeCache(folder: string): Promise<void> {
  const unproved = await readdir(join(folder, 'quarantine')).catch(() => [])
  if (unproved.length === 0) await rm(folder, { recursive: true, force: true })
}
