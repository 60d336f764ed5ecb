import Database from 'better-sqlite3'
import { closeSync, fsyncSync, openSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import type { Migration } from './migrations.ts'
import { createPrivateFile } from './private-file.ts'

const keptBackups = 5

/**
 * Opens the service's database, checks it and brings its schema up to the last of `steps`, after a backup. Blocks: for the
 * store's thread. Throws `unsupported` (DATABASE_NEWER), `damaged`, or what the disk says.
 */
export function openDatabase(path: string, backups: string, steps: readonly Migration[], now: number): Database.Database {
  createPrivateFile(path)
  const database = new Database(path)
  try {
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON; PRAGMA trusted_schema = OFF')
    refuseNewer(database, path, steps)
    checkContents(database, path, backups)
    migrate(database, backups, steps, now)
    return database
  } catch (caught) {
    database.close()
    throw isDamage(caught) ? damaged(path, backups, caught.message, caught) : caught
  }
}

export function versionOf(database: Database.Database): number {
  return Number(database.pragma('user_version', { simple: true }))
}

export function refuseNewer(database: Database.Database, path: string, steps: readonly Migration[]): void {
  const known = steps.at(-1)?.version ?? 0
  const found = versionOf(database)
  if (found <= known) return
  throw new CloudError(
    'unsupported',
    `the database ${path} was written by a newer version (schema ${found}; this program knows ${known})`,
    {
      code: 'DATABASE_NEWER',
      hint: 'Start the newer version again; an older one does not touch its data.',
    },
  )
}

function checkContents(database: Database.Database, path: string, backups: string): void {
  const result: unknown = database.pragma('quick_check(1)', { simple: true })
  if (result !== 'ok') throw damaged(path, backups, String(result), undefined)
}

export function isDamage(caught: unknown): caught is Error {
  return caught instanceof Database.SqliteError && /^SQLITE_(CORRUPT|NOTADB)/.test(caught.code)
}

function damaged(path: string, backups: string, what: string, cause: unknown): CloudError {
  return new CloudError('damaged', `the database ${path} is damaged: ${what}`, {
    cause,
    hint: `Restore a backup: cloudmoor backup restore FILE. The newest copy that was made by itself is in ${backups}. The damaged file is kept; files that wait for upload lie elsewhere and are not affected.`,
  })
}

/** Each step is one transaction that also sets the version, so that a run killed anywhere goes on where it was. */
function migrate(database: Database.Database, backups: string, steps: readonly Migration[], now: number): void {
  const before = versionOf(database)
  const missing = steps.filter((step) => step.version > before)
  if (missing.length === 0) return
  if (before > 0) backUp(database, backups, before, now)
  for (const step of missing) {
    database.transaction(() => {
      database.exec(step.sql)
      database.pragma(`user_version = ${step.version}`)
    })()
  }
}

/** Copies the database to `service-<time>-v<version>.db`; the name appears only when the copy is on the disk. */
function backUp(database: Database.Database, backups: string, version: number, now: number): void {
  const target = join(backups, `service-${new Date(now).toISOString().replaceAll(/[:.]/g, '')}-v${version}.db`)
  const unfinished = `${target}.unfinished`
  rmSync(unfinished, { force: true })
  createPrivateFile(unfinished)
  database.prepare('VACUUM INTO ?').run(unfinished)
  syncPath(unfinished)
  renameSync(unfinished, target)
  syncPath(backups)
  const copies = readdirSync(backups).filter((name) => /^service-.*\.db$/.test(name))
  for (const old of copies.sort().slice(0, -keptBackups)) rmSync(join(backups, old), { force: true })
}

export function syncPath(path: string): void {
  const file = openSync(path, 'r')
  try {
    fsyncSync(file)
  } finally {
    closeSync(file)
  }
}
