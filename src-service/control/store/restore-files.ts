import { closeSync, copyFileSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'

/** Where a database that is to take the place of the present one waits for the next start. */
export interface RestorePlaces {
  /** While it is being put together; thrown away at a start. */
  readonly unfinished: string
  /** Whole: the next start takes it. */
  readonly ready: string
  /** The database that was replaced by the last restore. */
  readonly replaced: string
}

/** Beside the database, so that renames are atomic. */
export function restorePlaces(database: string): RestorePlaces {
  return { unfinished: `${database}.restore-unfinished`, ready: `${database}.restore`, replaced: `${database}.replaced` }
}

export const restoredDatabase = 'service.db'

/**
 * Puts a restored database, and key files that came with it, in their places. Killed anywhere, the next start goes on; until the
 * last rename the database is the old one or none. The old one is kept as `replaced`. Blocks, under the lock of the home.
 * @param keys by name in the restore folder, where they belong
 */
export function finishRestore(database: string, keys: Readonly<Record<string, string>>): boolean {
  const { unfinished, ready, replaced } = restorePlaces(database)
  rmSync(unfinished, { recursive: true, force: true })
  if (!existsSync(ready)) return false
  const restored = join(ready, restoredDatabase)
  const isComing = existsSync(restored)
  if (isComing) {
    for (const [name, target] of Object.entries(keys)) placeKey(join(ready, name), target)
    if (existsSync(database)) {
      for (const suffix of ['-wal', '-shm']) rmSync(`${replaced}${suffix}`, { force: true })
      renameSync(database, replaced)
    }
    // What was not yet in the old database itself goes with it; beside the new one it would ruin that.
    if (existsSync(`${database}-wal`)) renameSync(`${database}-wal`, `${replaced}-wal`)
    rmSync(`${database}-shm`, { force: true })
    syncFolder(database)
    renameSync(restored, database)
    syncFolder(database)
  }
  rmSync(ready, { recursive: true, force: true })
  return isComing
}

/** Another key that was there stays beside it. */
function placeKey(staged: string, target: string): void {
  if (!existsSync(staged)) return
  const unfinished = `${target}.unfinished`
  copyFileSync(staged, unfinished)
  const file = openSync(unfinished, 'r')
  fsyncSync(file)
  closeSync(file)
  if (existsSync(target) && !readFileSync(target).equals(readFileSync(staged))) renameSync(target, `${target}.replaced`)
  renameSync(unfinished, target)
  syncFolder(target)
}

function syncFolder(path: string): void {
  const folder = openSync(dirname(path), 'r')
  fsyncSync(folder)
  closeSync(folder)
}
