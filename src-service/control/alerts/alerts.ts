import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import { serialise } from '../../common/serialise.ts'
import { correlationId } from '../../common/telemetry/correlation.ts'
import type { WriteLog } from '../../common/telemetry/log.ts'
import { safeText } from '../../common/telemetry/safe-fields.ts'
import type { AlertRecord } from '../store/alert-records.ts'
import type { AlertTable } from '../store/store.ts'

/** Something that needs a person, as whoever finds it says it. */
export type NewAlert = Pick<AlertRecord, 'severity' | 'mountId' | 'reason' | 'message'>

/** What happened to an alert. `repeated`: it came up again while it was open. */
export interface AlertNews {
  readonly what: 'raised' | 'repeated' | 'acknowledged' | 'resolved'
  readonly alert: AlertRecord
}

/** What needs a person. One alert of a mount and a reason is open at a time; what comes up again is counted to it. */
export interface Alerts {
  /** Never throws and never waits; also told to listeners when it cannot be stored. */
  raise(alert: NewAlert): void
  /** What the alert was about is over; nothing if there is none. */
  over(mountId: string, reason: string): void
  /** Everything about a mount that is gone is over. */
  mountGone(mountId: string): void
  /** Newest first. @param all also those that are over */
  list(all: boolean): Promise<readonly AlertRecord[]>
  /** Throws `not-found`. */
  get(id: string): Promise<AlertRecord>
  /** Throws `not-found`. @param by name of a principal */
  acknowledge(id: string, by: string): Promise<AlertRecord>
  /** Throws `not-found`. @param by name of a principal */
  resolve(id: string, by: string): Promise<AlertRecord>
  /** Calls the listener with what happens to alerts; the result ends that. A listener neither throws nor waits. */
  onNews(listener: (news: AlertNews) => void): () => void
  /** Waits for what was raised. */
  settled(): Promise<void>
}

export interface AlertParts {
  readonly table: AlertTable
  readonly clock: Clock
  readonly log: WriteLog
  /** The last warnings and errors of the log about a mount ('' = the service), oldest first. */
  readonly lastLines: (mountId: string) => Promise<readonly string[]>
}

const mostLines = 5
const mostCharacters = 500

/** One mount and reason: what is stored of it, and what is still to be done. */
interface Slot {
  /** Of the alert that is open; null = none. */
  id: string | null
  /** Came up and is not stored yet. */
  pending: { readonly alert: NewAlert; readonly call: string; readonly times: number } | null
  isOver: boolean
  isAtWork: boolean
}

/** Rejects with what the store says. */
export async function openAlerts({ table, clock, log, lastLines }: AlertParts): Promise<Alerts> {
  const inTurn = serialise()
  /** By mount and reason. Bounded: reasons are constants, and mounts that are gone take theirs along. */
  const slots = new Map<string, Slot>()
  for (const alert of await table.list(false)) slots.set(keyOf(alert), { id: alert.id, pending: null, isOver: false, isAtWork: false })
  const listeners = new Set<(news: AlertNews) => void>()

  function tell(what: AlertNews['what'], alert: AlertRecord): AlertRecord {
    for (const listener of listeners) listener({ what, alert })
    return alert
  }

  async function store(slot: Slot, { alert, call, times }: NonNullable<Slot['pending']>): Promise<void> {
    const lines = slot.id === null ? (await lastLines(alert.mountId).catch(() => [])).slice(-mostLines) : []
    const raised = { ...alert, id: newId(), message: safeText(alert.message), lines: lines.map(shorten), correlationId: call, times }
    try {
      const stored = await table.raise(raised, clock.now())
      slot.id = stored.alert.id
      tell(stored.isNew ? 'raised' : 'repeated', stored.alert)
    } catch (caught) {
      log('error', 'an alert cannot be stored', { error: CloudError.from(caught) })
      const now = { raisedAt: clock.now(), lastAt: clock.now() }
      tell('raised', { ...raised, ...now, acknowledgedAt: 0, acknowledgedBy: '', resolvedAt: 0, resolvedBy: '' })
    }
  }

  async function end(slot: Slot): Promise<void> {
    const { id } = slot
    slot.id = null
    if (id === null) return
    try {
      tell('resolved', await table.resolve(id, '', clock.now()))
    } catch (caught) {
      // It may have made room for newer ones.
      log('info', 'an alert that is over is not marked so', { error: CloudError.from(caught) })
    }
  }

  async function work(key: string, slot: Slot): Promise<void> {
    while (slot.pending !== null || slot.isOver) {
      const { pending } = slot
      slot.pending = null
      if (pending === null) {
        slot.isOver = false
        await end(slot)
      } else await store(slot, pending)
    }
    slot.isAtWork = false
    if (slot.id === null) slots.delete(key)
  }

  function begin(key: string, slot: Slot): void {
    if (slot.isAtWork) return
    slot.isAtWork = true
    void inTurn(() => work(key, slot))
  }

  function over(key: string): void {
    const slot = slots.get(key)
    if (slot === undefined) return
    slot.isOver = true
    begin(key, slot)
  }

  return {
    raise: (alert) => {
      const key = keyOf(alert)
      const slot = slots.get(key) ?? { id: null, pending: null, isOver: false, isAtWork: false }
      slots.set(key, slot)
      const before = slot.pending
      slot.pending = { alert, call: correlationId() ?? before?.call ?? newId(), times: (before?.times ?? 0) + 1 }
      // It is not over after all.
      slot.isOver = false
      begin(key, slot)
    },
    over: (mountId, reason) => over(keyOf({ mountId, reason })),
    mountGone: (mountId) => {
      for (const key of [...slots.keys()]) if (key.startsWith(`${mountId} `)) over(key)
    },
    list: (all) => table.list(all),
    get: (id) => table.get(id),
    acknowledge: async (id, by) => tell('acknowledged', await table.acknowledge(id, by, clock.now())),
    resolve: (id, by) =>
      inTurn(async () => {
        const ended = await table.resolve(id, by, clock.now())
        const slot = slots.get(keyOf(ended))
        if (slot?.id === id) {
          slot.id = null
          if (!slot.isAtWork) slots.delete(keyOf(ended))
        }
        return tell('resolved', ended)
      }),
    onNews: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    settled: () => inTurn(() => Promise.resolve()),
  }
}

function keyOf({ mountId, reason }: Pick<NewAlert, 'mountId' | 'reason'>): string {
  return `${mountId} ${reason}`
}

function shorten(line: string): string {
  return line.length <= mostCharacters ? line : `${line.slice(0, mostCharacters)}…`
}
