import type { RequestLog } from '../vfs/filesystem.ts'
import type { DriveDatabase } from './database.ts'

/** The request log on the mount's database; see `RequestLog`. */
export function openRequestLog(database: DriveDatabase): RequestLog {
  const { sql } = database
  const find = sql.prepare<[number], { errno: number; reply: Buffer }>('SELECT errno, reply FROM request_log WHERE id = ?')
  const add = sql.prepare('INSERT OR REPLACE INTO request_log (id, errno, reply) VALUES (?, ?, ?)')
  const remove = sql.prepare('DELETE FROM request_log WHERE id = ?')
  const clear = sql.prepare('DELETE FROM request_log')
  let finished: number[] = []

  return {
    find(unique) {
      const row = find.get(unique)
      return row === undefined ? undefined : { errno: row.errno, payload: row.reply }
    },
    run(unique, payload, work, errnoOf) {
      const gone = finished
      const outcome = database.transaction(() => {
        for (const id of gone) remove.run(id)
        const answer = database.attempt(
          () => ({ errno: 0, length: work() }),
          (error) => ({ errno: errnoOf(error), length: 0 }),
        )
        add.run(unique, answer.errno, payload.subarray(0, answer.length))
        return answer
      })
      finished = finished.length === gone.length ? [] : finished.slice(gone.length)
      return outcome
    },
    finished(unique) {
      finished.push(unique)
    },
    clear() {
      finished = []
      clear.run()
    },
  }
}
