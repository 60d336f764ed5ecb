import { and, asc, desc, eq, sql } from 'drizzle-orm'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import type { AlertRecord, RaisedAlert } from './alert-records.ts'
import { absent, inTransaction } from './changes.ts'
import type { Synchronous } from './changes.ts'
import type { AlertTable } from './store.ts'
import { alerts } from './tables.ts'

/** Most alerts that are kept; those that are over go first, the oldest of them first. */
const kept = 1000

/** Alerts, as `Store` describes them. */
export function alertOperations(database: BetterSQLite3Database): Synchronous<AlertTable> {
  const isOpen = eq(alerts.resolvedAt, 0)

  function get(id: string): AlertRecord {
    return database.select().from(alerts).where(eq(alerts.id, id)).get() ?? absent('alert')
  }

  function change(id: string, fields: Partial<AlertRecord>): AlertRecord {
    const row = { ...get(id), ...fields }
    database.update(alerts).set(row).where(eq(alerts.id, id)).run()
    return row
  }

  function trim(): void {
    const more = (database.select({ n: sql<number>`count(*)` }).from(alerts).get()?.n ?? 0) - kept
    if (more <= 0) return
    const openLast = sql`${alerts.resolvedAt} = 0`
    const going = database.select({ id: alerts.id }).from(alerts).orderBy(openLast, asc(alerts.lastAt)).limit(more).all()
    for (const { id } of going) database.delete(alerts).where(eq(alerts.id, id)).run()
  }

  return {
    list: (all: boolean): AlertRecord[] =>
      database
        .select()
        .from(alerts)
        .where(all ? undefined : isOpen)
        .orderBy(desc(alerts.raisedAt), desc(alerts.id))
        .all(),
    get,
    raise: (alert: RaisedAlert, at: number): { alert: AlertRecord; isNew: boolean } =>
      inTransaction(database, () => {
        const { id, lines, times, mountId, reason, ...latest } = alert
        const same = and(isOpen, eq(alerts.mountId, mountId), eq(alerts.reason, reason))
        const found = database.select().from(alerts).where(same).get()
        if (found !== undefined) return { alert: change(found.id, { ...latest, times: found.times + times, lastAt: at }), isNew: false }
        const nobody = { acknowledgedAt: 0, acknowledgedBy: '', resolvedAt: 0, resolvedBy: '' }
        const row = { ...latest, id, mountId, reason, lines, times, raisedAt: at, lastAt: at, ...nobody }
        database.insert(alerts).values(row).run()
        trim()
        return { alert: row, isNew: true }
      }),
    acknowledge: (id: string, by: string, at: number): AlertRecord =>
      inTransaction(database, () => (get(id).acknowledgedAt > 0 ? get(id) : change(id, { acknowledgedAt: at, acknowledgedBy: by }))),
    resolve: (id: string, by: string, at: number): AlertRecord =>
      inTransaction(database, () => (get(id).resolvedAt > 0 ? get(id) : change(id, { resolvedAt: at, resolvedBy: by }))),
  }
}
