import { parentPort, workerData } from 'node:worker_threads'
import Database from 'better-sqlite3'

/**
 * Thread of one mount's database: at each message it runs one PASSIVE checkpoint (which never makes the writer wait)
 * and answers with the length of the WAL in bytes. Once all of it has been taken the next change begins it anew: 0.
 */
const data: unknown = workerData
if (parentPort === null || typeof data !== 'object' || data === null || !('path' in data)) throw new Error('runs as a worker thread only')
const port = parentPort
const sql = new Database(String(data.path))
sql.pragma('synchronous = NORMAL')
const pageSize = Number(sql.pragma('page_size', { simple: true }))

interface CheckpointRow {
  readonly busy: number
  readonly log: number
  readonly checkpointed: number
}

port.on('message', () => {
  const row = sql.prepare<[], CheckpointRow>('PRAGMA wal_checkpoint(PASSIVE)').get()
  const length = row === undefined || row.log <= row.checkpointed ? 0 : row.log
  port.postMessage(length * pageSize)
})
