import type { MessageInitShape } from '@bufbuild/protobuf'
import { timestampMs } from '@bufbuild/protobuf/wkt'
import type { ServiceImpl } from '@connectrpc/connect'
import type { AuditEntrySchema, AuditService, TailAuditRequest } from '../../../proto/gen/cloudmoor/v1/audit_pb.js'
import { pause, systemClock } from '../../common/clock.ts'
import type { AuditFilter, AuditRecord } from '../store/access-records.ts'
import type { Audit } from '../users/audit.ts'
import { sightOf } from './call.ts'
import { readLimit, writeTime } from './wire-values.ts'

const batch = 200
const pollMs = 500

/** AuditService in terms of `Audit`. Nothing is buffered for a slow client: the lines wait in the database. */
export function auditHandler(audit: Audit): ServiceImpl<typeof AuditService> {
  return {
    tailAudit: async function* (request, context) {
      const { signal } = context
      const sight = sightOf(context)
      const seen = (line: AuditRecord) => (line.mountId === '' ? sight.whole : sight.mount(line.mountId))
      const filter = readFilter(request)
      const count = readLimit('lines', request.lines, 100, 10_000)
      let after = 0
      if (!request.all) {
        const past = await audit.tail(filter, count)
        after = past.at(-1)?.sequence ?? 0
        yield* inBatches(past.filter(seen))
      }
      while (!signal.aborted) {
        const lines = await audit.read({ ...filter, after }, batch)
        after = lines.at(-1)?.sequence ?? after
        yield* inBatches(lines.filter(seen))
        if (lines.length > 0) continue
        if (!request.follow) return
        await pause(systemClock, pollMs, signal)
      }
    },

    verifyAudit: async () => {
      const { lines, wholeSince, brokenAt, head } = await audit.verify()
      return { lines: BigInt(lines), brokenAt: BigInt(brokenAt), head, ...(wholeSince === 0 ? {} : { wholeSince: writeTime(wholeSince) }) }
    },
  }
}

function readFilter({ mountId, principal, action, correlationId, since, until, begun }: TailAuditRequest): AuditFilter {
  return {
    ...{ after: 0, mountId, principal, action, correlationId, begun },
    since: since === undefined ? 0 : timestampMs(since),
    until: until === undefined ? 0 : timestampMs(until),
  }
}

function* inBatches(lines: readonly AuditRecord[]) {
  for (let start = 0; start < lines.length; start += batch) yield { entries: lines.slice(start, start + batch).map(writeAuditLine) }
}

export function writeAuditLine(line: AuditRecord): MessageInitShape<typeof AuditEntrySchema> {
  const { principal, origin, action, result, mountId, providerId, target, correlationId, times, mac } = line
  const about = { principal, origin, action, result, mountId, providerId, target, correlationId, times, mac }
  return { ...about, class: line.class, sequence: BigInt(line.sequence), time: writeTime(line.at) }
}
