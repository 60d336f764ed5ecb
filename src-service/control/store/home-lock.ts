import Database from 'better-sqlite3'
import { CloudError } from '../../common/errors.ts'
import { createPrivateFile } from './private-file.ts'

export interface HomeLock {
  release(): void
}

/**
 * Holds a home for this process: a second service is told who has it. The lock is SQLite's, so that it ends with the process
 * however that ends. Waits up to `waitMs` for a predecessor to go, blocking this thread. Throws `busy` (HOME_IN_USE).
 */
export function lockHome(path: string, waitMs: number): HomeLock {
  createPrivateFile(path)
  const file = new Database(path, { timeout: waitMs })
  try {
    file.exec('PRAGMA synchronous = OFF; BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS holder (pid INTEGER NOT NULL)')
    file.exec('DELETE FROM holder')
    file.prepare('INSERT INTO holder VALUES (?)').run(process.pid)
    file.exec('COMMIT')
    // Readers may still look at the holder while a writer holds this lock.
    file.exec('BEGIN IMMEDIATE')
  } catch (caught) {
    const holder = readHolder(file)
    file.close()
    if (!isBusy(caught)) throw caught
    throw new CloudError('busy', `another service${holder === null ? '' : ` (process ${holder})`} runs on this home`, {
      cause: caught,
      code: 'HOME_IN_USE',
      hint: 'Stop it, or give this one a home of its own with CLOUDMOOR_HOME.',
    })
  }
  return { release: () => file.close() }
}

function isBusy(caught: unknown): boolean {
  return caught instanceof Database.SqliteError && caught.code.startsWith('SQLITE_BUSY')
}

function readHolder(file: Database.Database): number | null {
  try {
    const pid: unknown = file.prepare('SELECT pid FROM holder').pluck().get()
    return typeof pid === 'number' ? pid : null
  } catch {
    return null
  }
}
