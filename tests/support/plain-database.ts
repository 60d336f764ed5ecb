import Database from 'better-sqlite3'
import type { DriveDatabase } from '../../src-service/drive/cache/database.ts'
import { additions, schema, schemaVersion } from '../../src-service/drive/cache/schema.ts'

/** A mount's database without its checkpoint thread and without fsync, so that a test may open hundreds. Rules of transactions as in the real one. */
export function openPlainDatabase(path: string): DriveDatabase {
  const sql = new Database(path)
  sql.pragma('journal_mode = WAL')
  sql.pragma('synchronous = OFF')
  if (Number(sql.pragma('user_version', { simple: true })) === 0)
    sql.exec(`BEGIN; ${schema} ${additions} PRAGMA user_version = ${schemaVersion}; COMMIT;`)
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
    attempt(work, refused) {
      const kept = pending.length
      sql.exec('SAVEPOINT attempt')
      try {
        const result = work()
        sql.exec('RELEASE attempt')
        return result
      } catch (error) {
        pending.length = kept
        sql.exec('ROLLBACK TO attempt; RELEASE attempt')
        return refused(error)
      }
    },
    afterCommit(work) {
      if (depth > 0) pending.push(work)
      else work()
    },
    walBytes: () => 0,
    checkpointed: () => Promise.resolve(),
    fact: (key) => sql.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?').get(key)?.value,
    setFact(key, value) {
      sql.prepare('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value').run(key, value)
    },
    close() {
      sql.close()
      return Promise.resolve()
    },
  }
}
