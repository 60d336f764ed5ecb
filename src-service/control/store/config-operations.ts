import { eq } from 'drizzle-orm'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import type { ConfigChange, Revised } from './records.ts'
import { checkRevision, inTransaction } from './changes.ts'
import { mounts, providers, settings } from './tables.ts'

/** Many changes of configuration in one transaction. */
export function configOperations(database: BetterSQLite3Database, clock: Clock): { readonly apply: (change: ConfigChange) => void } {
  function changeable(table: typeof providers | typeof mounts, noun: string, { id, revision }: Revised) {
    const found = database.select({ id: table.id, revision: table.revision }).from(table).where(eq(table.id, id)).get()
    if (found === undefined) throw new CloudError('conflict', `a ${noun} was removed meanwhile`, { hint: 'Repeat the import.' })
    checkRevision(noun, found, revision)
    return { revision: found.revision + 1, updatedAt: clock.now() }
  }

  return {
    apply: (change: ConfigChange): void =>
      inTransaction(database, () => {
        for (const { id, ...row } of change.mounts.remove) {
          changeable(mounts, 'mount', { id, ...row })
          database.delete(mounts).where(eq(mounts.id, id)).run()
        }
        // Names may be swapped: until all are given, a row whose name changes has one that no resource can have.
        for (const { id } of change.providers.update)
          database
            .update(providers)
            .set({ name: `/${id}` })
            .where(eq(providers.id, id))
            .run()
        for (const { id } of change.mounts.update)
          database
            .update(mounts)
            .set({ name: `/${id}` })
            .where(eq(mounts.id, id))
            .run()
        for (const { id, ...row } of change.providers.remove) {
          changeable(providers, 'provider', { id, ...row })
          database.delete(providers).where(eq(providers.id, id)).run()
        }
        const made = { revision: 1, createdAt: clock.now(), updatedAt: clock.now() }
        for (const { id, revision, change: fields } of change.providers.update) {
          const marks = changeable(providers, 'provider', { id, revision })
          database
            .update(providers)
            .set({ ...fields, ...marks })
            .where(eq(providers.id, id))
            .run()
        }
        for (const row of change.providers.insert)
          database
            .insert(providers)
            .values({ ...row, ...made })
            .run()
        for (const { id, revision, change: fields } of change.mounts.update) {
          const marks = changeable(mounts, 'mount', { id, revision })
          database
            .update(mounts)
            .set({ ...fields, ...marks })
            .where(eq(mounts.id, id))
            .run()
        }
        for (const row of change.mounts.insert)
          database
            .insert(mounts)
            .values({ ...row, ...made })
            .run()
        for (const [name, value] of Object.entries(change.settings)) {
          database.insert(settings).values({ name, value }).onConflictDoUpdate({ target: settings.name, set: { value } }).run()
        }
      }),
  }
}
