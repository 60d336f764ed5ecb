import type { RequestLog } from '../../src-service/drive/cache/request-log.ts'

export interface LogRow {
  readonly errno: number
  readonly payload: Buffer
}

/** A request log that keeps its rows in the given map, which may outlive it as a database would. */
export function memoryRequestLog(rows = new Map<number, LogRow>()): RequestLog {
  const finished: number[] = []
  return {
    find: (unique) => rows.get(unique),
    run(unique, payload, work, errnoOf) {
      for (const old of finished.splice(0)) rows.delete(old)
      let outcome: { errno: number; length: number }
      try {
        outcome = { errno: 0, length: work() }
      } catch (caught) {
        outcome = { errno: errnoOf(caught), length: 0 }
      }
      rows.set(unique, { errno: outcome.errno, payload: Buffer.from(payload.subarray(0, outcome.length)) })
      return outcome
    },
    finished: (unique) => void finished.push(unique),
    clear: () => {
      finished.length = 0
      rows.clear()
    },
  }
}
