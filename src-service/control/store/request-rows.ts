import { and, eq, lt } from 'drizzle-orm'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import { CloudError } from '../../common/errors.ts'
import type { RequestKey } from './records.ts'
import { requestIds } from './tables.ts'

const requestLifetimeMs = 24 * 3600 * 1000

export function findRequest(database: BetterSQLite3Database, request: RequestKey, now: number): string | null {
  const matches = and(eq(requestIds.method, request.method), eq(requestIds.requestId, request.requestId))
  const found = database.select().from(requestIds).where(matches).get()
  if (found === undefined || found.createdAt <= now - requestLifetimeMs) return null
  if (found.digest === request.digest) return found.resourceId
  throw new CloudError('invalid', 'the request id was used for another request', { code: 'REQUEST_ID_REUSED', hint: 'Use a new one.' })
}

export function rememberRequest(database: BetterSQLite3Database, request: RequestKey | null, resourceId: string, now: number): void {
  if (request === null) return
  database
    .delete(requestIds)
    .where(lt(requestIds.createdAt, now - requestLifetimeMs + 1))
    .run()
  database
    .insert(requestIds)
    .values({ ...request, resourceId, createdAt: now })
    .run()
}
