import { and, asc, desc, eq, gt, gte, lte, ne } from 'drizzle-orm'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import type { AuditFilter, AuditRecord, SegmentRecord } from './access-records.ts'
import { inTransaction } from './changes.ts'
import type { Synchronous } from './changes.ts'
import type { AuditTable } from './store.ts'
import { audit, auditSegments } from './tables.ts'

/** The audit log, as `Store` describes it. */
export function auditOperations(database: BetterSQLite3Database): Synchronous<AuditTable> {
  return {
    segments: (): SegmentRecord[] => database.select().from(auditSegments).orderBy(asc(auditSegments.number)).all(),
    last: (): AuditRecord | null => database.select().from(audit).orderBy(desc(audit.sequence)).limit(1).get() ?? null,
    append: (line: AuditRecord, segment: SegmentRecord | null): void =>
      inTransaction(database, () => {
        if (segment !== null) database.insert(auditSegments).values(segment).run()
        database.insert(audit).values(line).run()
      }),
    read: (filter: AuditFilter, limit: number): AuditRecord[] =>
      database.select().from(audit).where(matches(filter)).orderBy(asc(audit.sequence)).limit(limit).all(),
    tail: (filter: AuditFilter, count: number): AuditRecord[] =>
      database.select().from(audit).where(matches(filter)).orderBy(desc(audit.sequence)).limit(count).all().reverse(),
    dropUpTo: (segment: number): void =>
      inTransaction(database, () => {
        database.delete(audit).where(lte(audit.segment, segment)).run()
        database.delete(auditSegments).where(lte(auditSegments.number, segment)).run()
      }),
  }
}

function matches({ after, since, until, principal, mountId, action, correlationId, begun }: AuditFilter) {
  return and(
    gt(audit.sequence, after),
    gte(audit.at, since),
    ...(until === 0 ? [] : [lte(audit.at, until)]),
    ...(principal === '' ? [] : [eq(audit.principal, principal)]),
    ...(mountId === '' ? [] : [eq(audit.mountId, mountId)]),
    ...(action === '' ? [] : [eq(audit.action, action)]),
    ...(correlationId === '' ? [] : [eq(audit.correlationId, correlationId)]),
    ...(begun ? [] : [ne(audit.result, 'begun')]),
  )
}
