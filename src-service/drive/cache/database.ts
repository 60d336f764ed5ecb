import { readFile, stat } from 'node:fs/promises'
import { Worker } from 'node:worker_threads'
import Database from 'better-sqlite3'
import { CloudError } from '../../common/errors.ts'
import { additions, schema, schemaVersion } from './schema.ts'

/** The mount's SQLite file with its transactions. One connection, used from the worker's event loop alone. */
export interface DriveDatabase {
  readonly sql: Database.Database
  readonly path: string
  /** Runs `work` in a transaction; inside another one it joins it. Errors roll everything back. */
  transaction<T>(work: () => T): T
  /** Like `transaction`, but an error undoes only what `work` did and is handed to `refused`, whose result is committed. */
  attempt<T>(work: () => T, refused: (error: unknown) => T): T
  /** Runs after the commit; dropped if the transaction (or the attempt) is rolled back. Outside a transaction it runs at once. */
  afterCommit(work: () => void): void
  /** Bytes that the next process would have to read back from the WAL, roughly; above `walPause` changes should wait for `checkpointed`. */
  walBytes(): number
  /** Resolves when a checkpoint has completed. */
  checkpointed(): Promise<void>
  /** Fact of the whole mount. */
  fact(key: string): string | undefined
  setFact(key: string, value: string): void
  close(): Promise<void>
}

/** At this much WAL, changes pause until a checkpoint completes. */
export const walPause = 64 * 1024 * 1024
const checkpointAt = 4 * 1024 * 1024
/** The checkpointing thread ends when it had nothing to do for so long, milliseconds. */
const idleMs = 10_000

/** Opens (or makes) the database; throws `damaged` or `unsupported` with what to do. */
export function openDriveDatabase(path: string): DriveDatabase {
  const sql = open(path)
  let depth = 0
  let pending: (() => void)[] = []
  const checkpointer = new Checkpointer(path)
  const pageSize = Number(sql.pragma('page_size', { simple: true }))

  const begin = sql.prepare('BEGIN IMMEDIATE')
  const commit = sql.prepare('COMMIT')
  const rollback = sql.prepare('ROLLBACK')
  const savepoint = sql.prepare('SAVEPOINT attempt')
  const release = sql.prepare('RELEASE attempt')
  const undo = sql.prepare('ROLLBACK TO attempt')
  const getFact = sql.prepare<[string], { value: string }>('SELECT value FROM meta WHERE key = ?')
  const putFact = sql.prepare('INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value')

  const database: DriveDatabase = {
    sql,
    path,
    transaction(work) {
      if (depth > 0) return work()
      begin.run()
      depth = 1
      let result
      try {
        result = work()
        commit.run()
      } catch (error) {
        pending = []
        if (sql.inTransaction) rollback.run()
        throw error
      } finally {
        depth = 0
      }
      checkpointer.committed(5 * pageSize)
      const todo = pending
      pending = []
      for (const task of todo) task()
      return result
    },
    attempt(work, refused) {
      const kept = pending.length
      savepoint.run()
      try {
        const result = work()
        release.run()
        return result
      } catch (error) {
        pending.length = kept
        undo.run()
        release.run()
        return refused(error)
      }
    },
    afterCommit(work) {
      if (depth > 0) pending.push(work)
      else work()
    },
    walBytes: () => checkpointer.bytes,
    checkpointed: () => checkpointer.next(),
    fact: (key) => getFact.get(key)?.value,
    setFact: (key, value) => {
      putFact.run(key, value)
    },
    async close() {
      await checkpointer.close()
      sql.close()
    },
  }
  return database
}

function open(path: string): Database.Database {
  let sql
  try {
    sql = new Database(path)
    sql.pragma('journal_mode = WAL')
    sql.pragma('synchronous = NORMAL')
    sql.pragma('wal_autocheckpoint = 0')
    // Once begun anew the file is as short again.
    sql.pragma(`journal_size_limit = ${walPause}`)
    sql.pragma('cache_size = -16384')
    sql.pragma('temp_store = MEMORY')
    const version = Number(sql.pragma('user_version', { simple: true }))
    if (version > schemaVersion) {
      throw new CloudError('unsupported', `the mount's database has format ${version}, this program knows ${schemaVersion}`, {
        hint: 'Update CloudMoor, or start the version that wrote this mount.',
      })
    }
    if (version === 0) {
      sql.exec(`BEGIN IMMEDIATE; ${schema} PRAGMA user_version = ${schemaVersion}; COMMIT;`)
    }
    sql.exec(additions)
    return sql
  } catch (error) {
    sql?.close()
    if (error instanceof CloudError) throw error
    const known = CloudError.from(error)
    throw new CloudError(
      known.code?.startsWith('SQLITE_CORRUPT') || known.code?.startsWith('SQLITE_NOTADB') ? 'damaged' : known.kind,
      known.message,
      {
        cause: error,
        ...(known.code === undefined ? {} : { code: known.code }),
        hint: 'The database of this mount cannot be opened. Its files are kept; see docs/operations/known-issues.md.',
      },
    )
  }
}

/** Passive checkpoints in a thread of their own, so that no fsync of the database waits on the event loop. */
class Checkpointer {
  /** Also what a predecessor that died left: it makes every start slower. */
  bytes = 0
  #due = checkpointAt
  readonly #path: string
  /** An engine of its own: there while it is needed. */
  #thread: Worker | undefined
  #idle: NodeJS.Timeout | undefined
  #running = false
  #closed = false
  #waiting: (() => void)[] = []

  constructor(path: string) {
    this.#path = path
    // What a predecessor left.
    stat(`${path}-wal`).then(
      ({ size }) => this.committed(size),
      () => undefined,
    )
  }

  #open(): Worker {
    const file = import.meta.url.endsWith('.ts') ? './checkpoint-thread.ts' : './checkpoint-thread.js'
    const thread = new Worker(new URL(file, import.meta.url), { workerData: { path: this.#path }, execArgv: [] })
    thread.unref()
    thread.on('message', (bytes: number) => {
      this.#running = false
      this.bytes = bytes
      // A WAL that is written all the time starts anew only when changes pause: no need to ask again at once.
      this.#due = bytes + checkpointAt
      this.#rest()
      this.#wake()
    })
    thread.on('error', () => {
      this.#running = false
      this.#closed = true
      this.#wake()
    })
    return thread
  }

  #rest(): void {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => {
      if (this.#running) return
      void this.#thread?.terminate()
      this.#thread = undefined
    }, idleMs)
    this.#idle.unref()
  }

  /** Counts an estimate of the WAL's growth: its exact size would cost a system call per commit. */
  committed(bytes: number): void {
    this.bytes += bytes
    if (this.bytes >= this.#due) this.#start()
  }

  next(): Promise<void> {
    if (this.#closed) return Promise.resolve()
    this.#start()
    return new Promise((resolve) => this.#waiting.push(resolve))
  }

  #start(): void {
    if (this.#running || this.#closed) return
    this.#running = true
    this.#thread ??= this.#open()
    this.#thread.postMessage('checkpoint')
  }

  #wake(): void {
    const waiting = this.#waiting
    this.#waiting = []
    for (const resolve of waiting) resolve()
  }

  async close(): Promise<void> {
    this.#closed = true
    clearTimeout(this.#idle)
    await this.#thread?.terminate()
    this.#wake()
  }
}

/** Identity of the running kernel: differs after every boot. */
export async function currentBootId(): Promise<string> {
  return (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim()
}
