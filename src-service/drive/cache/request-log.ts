import type { DriveDatabase } from './database.ts'

/** Answers of changes, kept in the same transaction as their effects until the kernel has them. Unique ids are numbers < 2^53. */
export interface RequestLog {
  /** The answer given to this request by a process that died since, if it was executed. */
  find(unique: number): { readonly errno: number; readonly payload: Buffer } | undefined
  /**
   * One transaction: removes the rows of `finished` requests, runs `work`, which writes the payload of the answer into `payload`
   * from 0 on and returns its length, and adds the row. A CloudError undoes the effect, and the refusal is logged
   * with `errnoOf(error)`. What must follow a commit in memory has been done when this returns.
   * @returns errno (0 = done) and the payload's length.
   */
  run(
    unique: number,
    payload: Buffer,
    work: () => number,
    errnoOf: (error: unknown) => number,
  ): { readonly errno: number; readonly length: number }
  /** The kernel has the answer: the row may go with the next transaction. */
  finished(unique: number): void
  /** Removes every row (start of a worker, after the leftovers were answered; unmount). */
  clear(): void
}

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
