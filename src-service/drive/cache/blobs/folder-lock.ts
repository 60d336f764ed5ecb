import { readFile, rename, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import Database from 'better-sqlite3'
import { CloudError } from '../../../common/errors.ts'

const pollMs = 50
/** How long a process that dies in the usual way may take. */
const dyingMs = 300

interface Holder {
  readonly pid: number
  /** Process start time as /proc tells it: a pid alone may belong to someone else by now. */
  readonly started: string
}

/**
 * Exclusive use of a folder by one process: SQLite's lock on a file of its own. The kernel drops such a lock with its
 * process, so a crash leaves nothing behind. Of a process that was killed and whose main thread is over, while another thread
 * hangs in the kernel (perhaps until a successor has answered it), the lock is taken over: it changes nothing any more.
 * @param waitMs a predecessor that is just dying is waited for.
 * @throws busy
 */
export async function lockFolder(folder: string, waitMs: number): Promise<() => void> {
  const path = join(folder, 'lock')
  const begun = performance.now()
  for (;;) {
    const file = await tryLock(path)
    if (file !== undefined) {
      return () => file.close()
    }
    const waited = performance.now() - begun
    if (waited > dyingMs && (await hangs(holderOf(path)))) await takeOver(path)
    else if (waited > waitMs)
      throw new CloudError('busy', `another process uses ${folder}`, { hint: 'Each mount has one worker. Stop the other one first.' })
    else await new Promise((resolve) => setTimeout(resolve, pollMs))
  }
}

async function tryLock(path: string): Promise<Database.Database | undefined> {
  const file = new Database(path, { timeout: 0 })
  try {
    const [{ ino }, { started }] = await Promise.all([stat(path), stateOf(process.pid)])
    file.exec(
      'PRAGMA synchronous = OFF; BEGIN IMMEDIATE; CREATE TABLE IF NOT EXISTS holder (pid INTEGER, started TEXT); DELETE FROM holder',
    )
    file.prepare('INSERT INTO holder VALUES (?, ?)').run(process.pid, started)
    // Others may still read who holds it; no statement follows: the open transaction is the lock.
    file.exec('COMMIT; BEGIN IMMEDIATE')
    // Whoever took it over from a dead process meanwhile has another file at this place.
    if ((await stat(path)).ino === ino) return file
  } catch (error) {
    const known = CloudError.from(error)
    if (known.code?.startsWith('SQLITE_BUSY') !== true && known.kind !== 'not-found') {
      file.close()
      throw known
    }
  }
  file.close()
  return undefined
}

function holderOf(path: string): Holder | undefined {
  let file: Database.Database | undefined
  try {
    file = new Database(path, { timeout: 0, readonly: true })
    return file.prepare<[], Holder>('SELECT pid, started FROM holder').get()
  } catch {
    // It is being written, or somebody else's.
    return undefined
  } finally {
    file?.close()
  }
}

/** True if the process is still there, and its main thread is not. */
async function hangs(holder: Holder | undefined): Promise<boolean> {
  if (holder === undefined) return false
  const { state, started } = await stateOf(holder.pid)
  return started === holder.started && started !== '' && (state === 'Z' || state === 'X')
}

/** A fresh file in the place of the one that is locked for as long as the dead process hangs. */
async function takeOver(path: string): Promise<void> {
  const fresh = `${path}.${process.pid}`
  new Database(fresh).exec('CREATE TABLE holder (pid INTEGER, started TEXT)').close()
  await rename(fresh, path)
  await rm(`${path}-journal`, { force: true })
}

async function stateOf(pid: number): Promise<{ readonly state: string; readonly started: string }> {
  try {
    const text = await readFile(`/proc/${pid}/stat`, 'utf8')
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
    return { state: fields[0] ?? '', started: fields[19] ?? '' }
  } catch {
    return { state: '', started: '' }
  }
}
