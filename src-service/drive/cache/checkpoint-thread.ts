import { parentPort, workerData } from 'node:worker_threads'
import Database from 'better-sqlite3'

/**
 * Thread of one mount's database: at each message it runs one PASSIVE checkpoint (which never makes the writer wait)
 * and answers with the length of the WAL in bytes. Once all of it has been taken the next change begins it anew: 0.
 * Under changes that never pause a PASSIVE one always leaves the last few, and the WAL grows for ever. Where it has grown long the
 * writer is kept out for those few: https://sqlite.org/pragma.html#pragma_wal_checkpoint (RESTART).
 */
const data: unknown = workerData
if (parentPort === null || typeof data !== 'object' || data === null || !('path' in data)) throw new Error('runs as a worker thread only')
const port = parentPort
const sql = new Database(String(data.path))
sql.pragma('synchronous = NORMAL')
/** Bytes; what changes pause at, see `walPause`. */
const longWal = 64 * 1024 * 1024
const pageSize = Number(sql.pragma('page_size', { simple: true }))

interface CheckpointRow {
  readonly busy: number
  readonly log: number
  readonly checkpointed: number
}

/** @returns pages of the WAL that are still needed. */
function checkpoint(mode: 'PASSIVE' | 'RESTART'): number {
  const row = sql.prepare<[], CheckpointRow>(`PRAGMA wal_checkpoint(${mode})`).get()
  return row === undefined || row.log <= row.checkpointed ? 0 : row.log
}

port.on('message', () => {
  let length = checkpoint('PASSIVE')
  if (length * pageSize > longWal) length = checkpoint('RESTART')
  port.postMessage(length * pageSize)
})
