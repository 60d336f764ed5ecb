import type { Clock } from '../../common/clock.ts'
import { CloudError, unreachable } from '../../common/errors.ts'
import type { CacheUse, DriveCall, DriveCalls, Freed, Safety } from '../../common/frames/drive-calls.ts'
import { Conflicts } from './conflicts.ts'
import { exportUnsent } from './export-unsent.ts'
import { FileTasks } from './file-tasks.ts'
import { Pins } from './pins.ts'
import type { TaskParts } from './task-parts.ts'

/** Answers what people ask of a drive. */
export interface Tasks {
  answer(request: DriveCall): Promise<DriveCalls[keyof DriveCalls]['result']>
  close(): Promise<void>
}

export function openTasks(parts: TaskParts, clock: Clock, log: (message: string, reason: string) => void): Tasks {
  const files = new FileTasks(parts)
  const conflicts = new Conflicts(parts)
  const pins = new Pins(parts, clock, log)

  const answer = async (request: DriveCall): Promise<DriveCalls[keyof DriveCalls]['result']> => {
    switch (request.call) {
      case 'conflicts':
        return conflicts.list(request.limit)
      case 'resolveConflict':
        return { path: await conflicts.resolve(request.conflictId, request.keep) }
      case 'listFolder':
        return files.list(request)
      case 'search':
        return files.search(request)
      case 'pin': {
        const pinned = await files.setPinned(request.path, request.pinned)
        pins.look()
        return { files: pinned }
      }
      case 'free':
        return files.free(request.path)
      case 'rename':
        await files.rename(request)
        return {}
      case 'remove':
        return { removed: await files.remove(request) }
      case 'clearCache':
        return clearCache(parts)
      case 'cacheUse':
        return cacheUse(parts, pins)
      case 'confirmSafe':
        return confirmSafe(parts, conflicts)
      case 'exportUnsent':
        return exportUnsent(parts, request.folder)
      default:
        return unreachable(request)
    }
  }
  return { answer, close: () => pins.close() }
}

async function clearCache({ database, contents, onChange }: TaskParts): Promise<Freed> {
  const next = database.sql.prepare<[number], { node: number; pinned: number }>(
    'SELECT blob.node, node.pinned FROM blob JOIN node ON node.id = blob.node WHERE blob.node > ? ORDER BY blob.node LIMIT 1',
  )
  const freed = { bytes: 0, kept: 0 }
  for (let row = next.get(0); row !== undefined; row = next.get(row.node)) {
    const bytes = row.pinned === 1 ? 0 : await contents.evict(row.node)
    freed.bytes += bytes
    if (bytes === 0 && contents.localBytes(row.node) > 0) freed.kept++
  }
  onChange()
  return freed
}

function cacheUse({ contents }: TaskParts, pins: Pins): CacheUse {
  const { bytes, limit, dirtyBytes } = contents.usage()
  return { bytes, limit, dirtyBytes, pinnedBytes: pins.bytes() }
}

/** Said only after the disk has confirmed it: what is written later is not in it. */
async function confirmSafe({ contents, queue }: TaskParts, conflicts: Conflicts): Promise<Safety> {
  let reason = ''
  try {
    await contents.syncAll()
  } catch (caught) {
    reason = CloudError.from(caught).message
  }
  const { files, bytes } = queue.status()
  const waiting = conflicts.count()
  return { onDisk: reason === '', uploaded: files === 0 && waiting === 0, files, bytes, conflicts: waiting, reason }
}
