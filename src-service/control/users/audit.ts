import { createHmac, timingSafeEqual } from 'node:crypto'
import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { serialise } from '../../common/serialise.ts'
import type { WriteLog } from '../../common/telemetry/log.ts'
import type { AuditFilter, AuditRecord, SegmentRecord } from '../store/access-records.ts'
import type { AuditTable } from '../store/store.ts'

/** What happened, before it has its place in the chain. */
export type AuditFact = Omit<AuditRecord, 'sequence' | 'segment' | 'at' | 'times' | 'mac'>

/**
 * The audit log. Each line carries an HMAC over itself and the line before; segments of a day are opened by the last line before
 * them, and that is also written to the log, so that whoever changes the database cannot change the past unseen.
 */
export interface Audit {
  /** Rejects with `unavailable` (AUDIT_UNAVAILABLE) if it cannot be written: then nothing may be changed. */
  write(fact: AuditFact): Promise<void>
  /** A refusal. Repetitions within a minute become one line; never rejects. */
  refused(fact: AuditFact): void
  read(filter: AuditFilter, limit: number): Promise<readonly AuditRecord[]>
  tail(filter: AuditFilter, count: number): Promise<readonly AuditRecord[]>
  verify(): Promise<AuditFindings>
  /** Writes the refusals that still wait to be summed. */
  close(): Promise<void>
}

export interface AuditFindings {
  readonly lines: number
  /** Time of the oldest line that is kept; 0 = there is none. */
  readonly wholeSince: number
  /** Sequence of the first line that does not fit; 0 = all fit. */
  readonly brokenAt: number
  readonly head: string
}

export interface AuditParts {
  readonly table: AuditTable
  /** 32 bytes; not from the vault: also what happens while that is locked is recorded. */
  readonly key: Buffer
  readonly clock: Clock
  readonly log: WriteLog
  readonly keptDays: number
  /** Called when it turns out to be writable or not, and when that changes. */
  readonly onWritable?: (isWritable: boolean) => void
}

const dayMs = 24 * 3600 * 1000
const sumMs = 60_000
/** Kinds of refusals that are summed at a time; more are summed as one. */
const maxSums = 200
const page = 1000
export const everyLine: AuditFilter = {
  ...{ after: 0, since: 0, until: 0, principal: '', mountId: '', action: '', correlationId: '', begun: true },
}

export async function openAudit({ table, key, clock, log, keptDays, onWritable = () => {} }: AuditParts): Promise<Audit> {
  const inTurn = serialise()
  let isWritable: boolean | null = null
  let last = await table.last()
  let segment = (await table.segments()).at(-1) ?? null
  const sums = new Map<string, { readonly fact: AuditFact; more: number; readonly cancel: () => void }>()

  function append(fact: AuditFact, times: number): Promise<void> {
    return inTurn(async () => {
      const at = clock.now()
      const opened = segment === null || Math.abs(at - segment.openedAt) >= dayMs ? openSegment(at) : null
      const unsealed = { ...fact, sequence: (last?.sequence ?? 0) + 1, segment: (opened ?? segment)?.number ?? 1, at, times }
      const line: AuditRecord = { ...unsealed, mac: seal(key, last?.mac ?? '', unsealed) }
      await table.append(line, opened)
      last = line
      setWritable(true)
      if (opened === null) return
      segment = opened
      log('info', `audit segment ${opened.number} opens after ${opened.opensWith === '' ? 'nothing' : opened.opensWith}`)
      await dropOld(at).catch((caught: unknown) => log('warn', 'old audit segments stay for now', { error: CloudError.from(caught) }))
    })
  }

  function openSegment(at: number): SegmentRecord {
    return { number: (segment?.number ?? 0) + 1, openedAt: at, opensWith: last?.mac ?? '', first: (last?.sequence ?? 0) + 1 }
  }

  /** A segment may go when the next one is older than what is kept: all of its lines are. */
  async function dropOld(now: number): Promise<void> {
    const segments = await table.segments()
    const old = segments.filter((_, index) => (segments[index + 1]?.openedAt ?? now) < now - keptDays * dayMs).at(-1)
    if (old !== undefined) await table.dropUpTo(old.number)
  }

  async function endSum(kind: string): Promise<void> {
    const sum = sums.get(kind)
    sums.delete(kind)
    sum?.cancel()
    if (sum !== undefined && sum.more > 0) await append(sum.fact, sum.more).catch(complain)
  }

  function setWritable(is: boolean): void {
    if (isWritable === is) return
    isWritable = is
    onWritable(is)
  }

  function complain(caught: unknown): void {
    setWritable(false)
    log('error', 'the audit log cannot be written', { error: CloudError.from(caught) })
  }

  return {
    write: async (fact) => {
      try {
        await append(fact, 1)
      } catch (caught) {
        complain(caught)
        throw new CloudError('unavailable', 'the audit log cannot be written, so nothing may be changed', {
          ...{ cause: caught, code: 'AUDIT_UNAVAILABLE', hint: 'Look at the disk of the service’s state.' },
        })
      }
    },

    refused: (given) => {
      const own = kindOf(given)
      const full = sums.size >= maxSums && !sums.has(own)
      const fact = full ? { ...given, principal: 'several', origin: 'several', action: 'several', target: '' } : given
      const kind = full ? kindOf(fact) : own
      const sum = sums.get(kind)
      if (sum !== undefined) {
        sum.more++
        return
      }
      sums.set(kind, { fact: { ...fact, correlationId: '' }, more: 0, cancel: clock.after(sumMs, () => void endSum(kind)) })
      void append(fact, 1).catch(complain)
    },

    read: (filter, limit) => table.read(filter, limit),
    tail: (filter, count) => table.tail(filter, count),

    verify: async () => {
      const segments = new Map((await table.segments()).map((each) => [each.number, each]))
      let before: AuditRecord | null = null
      let lines = 0
      let wholeSince = 0
      for (;;) {
        const found: readonly AuditRecord[] = await table.read({ ...everyLine, after: before?.sequence ?? 0 }, page)
        for (const line of found) {
          if (!fits(key, line, before, segments)) return { lines, wholeSince, brokenAt: line.sequence, head: before?.mac ?? '' }
          if (lines === 0) wholeSince = line.at
          lines++
          before = line
        }
        if (found.length < page) return { lines, wholeSince, brokenAt: 0, head: before?.mac ?? '' }
      }
    },

    close: async () => {
      for (const kind of [...sums.keys()]) await endSum(kind)
    },
  }
}

function kindOf({ principal, origin, action, result, mountId, target }: AuditFact): string {
  return [principal, origin, action, result, mountId, target].join('\0')
}

/** Each part with its length, so that no two lines read the same. */
function seal(key: Buffer, before: string, line: Omit<AuditRecord, 'mac'>): string {
  const { sequence, segment, at, principal, origin, action, result, mountId, providerId, target, correlationId, times } = line
  const parts = [
    before,
    sequence,
    segment,
    at,
    principal,
    origin,
    action,
    line.class,
    result,
    mountId,
    providerId,
    target,
    correlationId,
    times,
  ]
  const text = parts.map((part) => `${Buffer.byteLength(String(part))}:${part}`).join(',')
  return createHmac('sha256', key).update(`cloudmoor audit 1\n${text}`).digest('hex')
}

function fits(key: Buffer, line: AuditRecord, before: AuditRecord | null, segments: ReadonlyMap<number, SegmentRecord>): boolean {
  const own = segments.get(line.segment)
  if (own === undefined) return false
  const opens = before?.segment !== line.segment
  if (opens && own.first !== line.sequence) return false
  if (before !== null && (line.sequence !== before.sequence + 1 || (opens && own.opensWith !== before.mac))) return false
  const expected = Buffer.from(seal(key, before?.mac ?? own.opensWith, line))
  const found = Buffer.from(line.mac)
  return expected.length === found.length && timingSafeEqual(expected, found)
}
