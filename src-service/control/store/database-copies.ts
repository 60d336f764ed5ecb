import Database from 'better-sqlite3'
import { CloudError } from '../../common/errors.ts'
import { migrations } from './migrations.ts'
import { isDamage, refuseNewer, syncPath, versionOf } from './open-database.ts'
import { createPrivateFile } from './private-file.ts'

/** Copies an open database, as it is at one moment, to a new file that is on the disk then. Blocks: for the store's thread. */
export function copyDatabase(database: Database.Database, path: string): { readonly schema: number } {
  createPrivateFile(path)
  database.prepare('VACUUM INTO ?').run(path)
  syncPath(path)
  return { schema: versionOf(database) }
}

/**
 * Checks a database file that nobody has open, and makes it fit to be restored: who was logged in then is not any more.
 * Blocks. Throws `damaged`, `unsupported` (DATABASE_NEWER), `invalid`.
 */
export function checkCopy(path: string): { readonly schema: number } {
  const database = new Database(path, { fileMustExist: true })
  try {
    database.exec('PRAGMA trusted_schema = OFF; PRAGMA journal_mode = DELETE')
    refuseNewer(database, 'in the backup', migrations)
    const schema = versionOf(database)
    if (schema === 0) throw new CloudError('invalid', 'the backup holds no database of CloudMoor')
    const result: unknown = database.pragma('integrity_check(1)', { simple: true })
    if (result !== 'ok') throw new CloudError('damaged', `the database in the backup is damaged: ${String(result)}`)
    for (const table of ['sessions', 'login_failures']) {
      const known = database.prepare("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?").get(table)
      if (known !== undefined) database.exec(`DELETE FROM ${table}`)
    }
    return { schema }
  } catch (caught) {
    throw isDamage(caught)
      ? new CloudError('damaged', `the database in the backup is damaged: ${caught.message}`, { cause: caught })
      : caught
  } finally {
    database.close()
    syncPath(path)
  }
}
