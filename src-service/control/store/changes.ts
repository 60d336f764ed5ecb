import { eq } from 'drizzle-orm'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import { CloudError } from '../../common/errors.ts'
import type { mounts, providers, tokens, users } from './tables.ts'

/** A table of `Store` without waiting. */
export type Synchronous<Table> = {
  readonly [Name in keyof Table]: Table[Name] extends (...args: infer Args) => Promise<infer Result> ? (...args: Args) => Result : never
}

/** Takes the write lock at once: what is read in it does not change before it is written. */
export function inTransaction<T>(database: BetterSQLite3Database, work: () => T): T {
  return database.transaction(work, { behavior: 'immediate' })
}

export function absent(noun: string): never {
  throw new CloudError('not-found', `there is no such ${noun}`)
}

export function checkRevision(noun: string, found: { readonly revision: number }, expected: number | null): void {
  if (expected === null || expected === found.revision) return
  throw new CloudError('conflict', `the ${noun} was changed meanwhile: its revision is ${found.revision}, not ${expected}`, {
    hint: 'Read it again and repeat the change.',
  })
}

export function refuseTaken(
  database: BetterSQLite3Database,
  table: typeof providers | typeof mounts | typeof users | typeof tokens,
  noun: string,
  name: string,
  owner: string | null,
): void {
  const taken = database.select({ id: table.id }).from(table).where(eq(table.name, name)).get()
  if (taken !== undefined && taken.id !== owner)
    throw new CloudError('exists', `there is a ${noun} named '${name}' already`, { code: 'NAME_TAKEN' })
}
