import { join } from 'node:path'
import Database from 'better-sqlite3'
import { CloudError } from '../../../common/errors.ts'

const pollMs = 50

/**
 * Exclusive use of a folder by one process: SQLite's exclusive lock on a file of its own. The kernel drops such a lock with
 * its process, so a crash leaves nothing behind.
 * @param waitMs a predecessor that is just dying is waited for.
 * @throws busy
 */
export async function lockFolder(folder: string, waitMs: number): Promise<() => void> {
  const file = new Database(join(folder, 'lock'), { timeout: 0 })
  const deadline = performance.now() + waitMs
  for (;;) {
    try {
      // No statement follows: the open transaction is the lock.
      file.exec('BEGIN EXCLUSIVE')
      return () => file.close()
    } catch (error) {
      const known = CloudError.from(error)
      if (known.code?.startsWith('SQLITE_BUSY') !== true || performance.now() > deadline) {
        file.close()
        if (known.code?.startsWith('SQLITE_BUSY') !== true) throw known
        throw new CloudError('busy', `another process uses ${folder}`, { hint: 'Each mount has one worker. Stop the other one first.' })
      }
    }
    await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}
