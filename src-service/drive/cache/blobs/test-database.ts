import Database from 'better-sqlite3'
import { schema } from '../schema.ts'
import type { BlobDatabase } from './blob-rows.ts'

/** Stands in for `DriveDatabase` without its checkpoint thread, so that a test may open hundreds. */
export function openTestDatabase(path: string): BlobDatabase & { close(): void } {
  const sql = new Database(path)
  sql.pragma('journal_mode = WAL')
  sql.pragma('synchronous = OFF')
  sql.pragma('wal_autocheckpoint = 0')
  if (Number(sql.pragma('user_version', { simple: true })) === 0) sql.exec(`BEGIN; ${schema} PRAGMA user_version = 1; COMMIT;`)
  let depth = 0
  let pending: (() => void)[] = []
  return {
    sql,
    path,
    transaction(work) {
      if (depth > 0) return work()
      sql.exec('BEGIN IMMEDIATE')
      depth = 1
      let result
      try {
        result = work()
        sql.exec('COMMIT')
      } catch (error) {
        pending = []
        if (sql.inTransaction) sql.exec('ROLLBACK')
        throw error
      } finally {
        depth = 0
      }
      const todo = pending
      pending = []
      for (const task of todo) task()
      return result
    },
    afterCommit(work) {
      if (depth > 0) pending.push(work)
      else work()
    },
    fact: (key) => sql.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?').get(key)?.value,
    setFact(key, value) {
      sql.prepare('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value').run(key, value)
    },
    walBytes: () => 0,
    checkpointed: async () => undefined,
    close: () => sql.close(),
  }
}
