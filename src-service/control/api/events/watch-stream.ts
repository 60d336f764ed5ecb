import { isDeepStrictEqual } from 'node:util'
import { create, type MessageInitShape } from '@bufbuild/protobuf'
import type { EventSchema, WatchResponseSchema } from '../../../../proto/gen/cloudmoor/v1/event_pb.js'
import { MountSchema, type Mount as WireMount } from '../../../../proto/gen/cloudmoor/v1/mount_pb.js'
import type { Mount, MountManager } from '../../mounts/mount-manager-contract.ts'
import type { Provider } from '../../providers/providers.ts'
import type { Sight } from '../../users/grants.ts'
import type { LogLine } from '../log-reader.ts'
import type { Alerts } from '../../alerts/alerts.ts'
import type { AuditRecord } from '../../store/access-records.ts'
import { writeAlert } from '../alert-handler.ts'
import { writeAuditLine } from '../audit-handler.ts'
import { writeLine } from '../log-handler.ts'
import { writeMount } from '../mount-wire.ts'
import { writeProvider } from '../provider-handler.ts'
import { writeTransfer } from '../transfer-handler.ts'
import { writeTime } from '../wire-values.ts'
import type { EventBus, Recorded } from './event-bus.ts'
import type { LiveFeed } from './live-feed.ts'
import type { TransferOf } from './live-sources.ts'
import { Pending } from './pending.ts'
import type { ServiceEvent } from './service-events.ts'

export interface WatchParts {
  readonly bus: EventBus<ServiceEvent>
  readonly mounts: Pick<MountManager, 'list' | 'orphans'>
  readonly providers: { list(): Promise<readonly Provider[]> }
  readonly alerts: Pick<Alerts, 'list'>
  readonly progress: LiveFeed<TransferOf>
  readonly logs: LiveFeed<LogLine>
  readonly audit: LiveFeed<AuditRecord>
  /** Milliseconds after which a silent stream says that it lives. */
  readonly heartbeatMs: number
}

export interface WatchWish {
  /** '' = from now on. */
  readonly cursor: string
  readonly progress: boolean
  readonly logs: boolean
  readonly audit: boolean
  /** '' = all. */
  readonly mountId: string
}

type Answer = MessageInitShape<typeof WatchResponseSchema>
type What = NonNullable<MessageInitShape<typeof EventSchema>['what']>

/** Most live events that wait for a client; one that is slower begins anew. */
const maxWaiting = 1000
/** Most alerts of a snapshot. */
const snapshotAlerts = 100

/** One client's view of the events: what it sees of them, where it is, and what waits for it. */
export class WatchStream {
  readonly #parts: WatchParts
  readonly #wish: WatchWish
  readonly #sight: Sight
  readonly #pending = new Pending()
  readonly #live: What[] = []
  #overrun = false
  #position = 0
  #wake: () => void = () => {}

  constructor(parts: WatchParts, wish: WatchWish, sight: Sight) {
    this.#parts = parts
    this.#wish = wish
    this.#sight = sight
  }

  /** Goes on until the signal is aborted. */
  async *run(signal: AbortSignal): AsyncGenerator<Answer> {
    const ends = this.#listen()
    try {
      const resumed = this.#resume()
      if (resumed) await this.#takeIn(signal)
      yield resumed ? this.#heartbeat() : await this.#snapshot(this.#wish.cursor !== '', signal)
      while (!signal.aborted) {
        if (this.#overrun || !this.#parts.bus.keepsAfter(this.#position)) yield await this.#snapshot(true, signal)
        yield* this.#events()
        yield* this.#liveEvents()
        if (this.#overrun || this.#isBehind() || this.#live.length > 0) continue
        if (!(await this.#news(signal))) yield this.#heartbeat()
      }
    } finally {
      for (const end of ends) end()
    }
  }

  #listen(): (() => void)[] {
    const { bus, progress, logs, audit } = this.#parts
    const ends = [bus.onPublish(() => this.#wake())]
    if (this.#wish.progress) ends.push(progress.subscribe((items) => this.#push(this.#progressOf(items))))
    if (this.#wish.logs) ends.push(logs.subscribe((lines) => this.#push(this.#linesOf(lines))))
    if (this.#wish.audit) ends.push(audit.subscribe((lines) => this.#push(this.#auditOf(lines))))
    return ends
  }

  /** True if everything since the client's cursor is still known. */
  #resume(): boolean {
    const { bus } = this.#parts
    const [epoch, sequence] = this.#wish.cursor.split('.')
    this.#position = Number(sequence ?? bus.last)
    return epoch === bus.epoch && bus.keepsAfter(this.#position)
  }

  async #snapshot(reset: boolean, signal: AbortSignal): Promise<Answer> {
    this.#overrun = false
    this.#live.length = 0
    // What happens while it is made comes again as an event.
    this.#position = this.#parts.bus.last
    const mounts = await this.#takeIn(signal)
    const providers = (await this.#parts.providers.list()).filter(({ record }) => this.#seesProvider(record.id))
    const alerts = (await this.#parts.alerts.list(false)).filter(({ mountId }) => this.#seesAbout(mountId)).slice(0, snapshotAlerts)
    const known = { mounts: mounts.map(writeMount), providers: providers.map(writeProvider), alerts: alerts.map(writeAlert) }
    const value = { reset, ...known, pending: this.#pending.write() }
    return { cursor: this.#cursor(), content: { case: 'snapshot', value } }
  }

  /** Learns what there is, so that sums are right and what goes out of sight is told. */
  async #takeIn(signal: AbortSignal) {
    const mounts = (await this.#parts.mounts.list(signal)).filter(({ record }) => this.#seesMount(record.id))
    this.#pending.clear()
    for (const mount of mounts) this.#pending.set(mount)
    await this.#takeOrphans(signal)
    return mounts
  }

  async #takeOrphans(signal: AbortSignal): Promise<void> {
    if (!this.#seesAbout('')) return
    this.#pending.setOrphans((await this.#parts.mounts.orphans.list(signal)).map(({ queue }) => queue))
  }

  *#events(): Generator<Answer> {
    const { bus } = this.#parts
    let summed = this.#pending.sum()
    while (this.#isBehind()) {
      const recorded = bus.get(this.#position + 1)
      // Overtaken: the next round begins anew.
      if (recorded === undefined) return
      const what = this.#writeEvent(recorded.event)
      this.#position = recorded.sequence
      if (what !== null) yield this.#event(recorded, what)
      const before = summed
      summed = this.#pending.sum()
      if (!isDeepStrictEqual(summed, before)) yield this.#event(recorded, { case: 'pending', value: this.#pending.write() })
    }
  }

  #isBehind(): boolean {
    return this.#position < this.#parts.bus.last
  }

  *#liveEvents(): Generator<Answer> {
    for (const what of this.#live.splice(0)) yield this.#event({ time: Date.now() }, what)
  }

  #event({ time }: Pick<Recorded<ServiceEvent>, 'time'>, what: What): Answer {
    return { cursor: this.#cursor(), content: { case: 'event', value: { time: writeTime(time), what } } }
  }

  #heartbeat(): Answer {
    return { cursor: this.#cursor(), content: { case: 'heartbeat', value: {} } }
  }

  #cursor(): string {
    return `${this.#parts.bus.epoch}.${this.#position}`
  }

  /** Null = not for this client. */
  #writeEvent(event: ServiceEvent): What | null {
    switch (event.kind) {
      case 'mount':
        if (!this.#seesMount(event.mount.record.id)) return this.#outOfSight(event.mount.record.id)
        this.#pending.set(event.mount)
        return { case: 'mount', value: messageOf(event.mount) }
      case 'mount-removed':
        return this.#outOfSight(event.mountId)
      case 'orphans':
        if (this.#seesAbout('')) this.#pending.setOrphans(event.queues)
        return null
      case 'provider':
        return this.#seesProvider(event.provider.record.id) ? { case: 'provider', value: writeProvider(event.provider) } : null
      case 'provider-removed':
        return this.#wish.mountId === '' && this.#sight.whole ? { case: 'removedProviderId', value: event.providerId } : null
      case 'alert':
        return this.#seesAbout(event.alert.mountId) ? { case: 'alert', value: writeAlert(event.alert) } : null
    }
  }

  /** Told once, and only to who knew of it. */
  #outOfSight(mountId: string): What | null {
    if (!this.#pending.has(mountId)) return null
    this.#pending.delete(mountId)
    return { case: 'removedMountId', value: mountId }
  }

  #seesMount(id: string): boolean {
    return (this.#wish.mountId === '' || this.#wish.mountId === id) && this.#sight.mount(id)
  }

  #seesProvider(id: string): boolean {
    return this.#wish.mountId === '' && this.#sight.provider(id)
  }

  /** What is about no mount may be about any. */
  #seesAbout(mountId: string): boolean {
    return mountId === '' ? this.#wish.mountId === '' && this.#sight.whole : this.#seesMount(mountId)
  }

  #progressOf(items: readonly TransferOf[]): What[] {
    const transfers = items.filter(({ mountId }) => this.#seesMount(mountId))
    if (transfers.length === 0) return []
    return [{ case: 'progress', value: { transfers: transfers.map(({ mountId, transfer }) => writeTransfer(mountId, transfer)) } }]
  }

  #linesOf(lines: readonly LogLine[]): What[] {
    return lines
      .filter((line) => line.level !== 'debug' && this.#seesAbout(line.mountId))
      .map((line) => ({ case: 'log' as const, value: writeLine(line) }))
  }

  #auditOf(lines: readonly AuditRecord[]): What[] {
    return lines.filter(({ mountId }) => this.#seesAbout(mountId)).map((line) => ({ case: 'audit' as const, value: writeAuditLine(line) }))
  }

  #push(items: readonly What[]): void {
    if (items.length === 0) return
    this.#live.push(...items)
    if (this.#live.length > maxWaiting) {
      this.#live.length = 0
      this.#overrun = true
    }
    this.#wake()
  }

  /** False = nothing came before it was time to say that the stream lives. True at the end, too. */
  #news(signal: AbortSignal): Promise<boolean> {
    if (signal.aborted) return Promise.resolve(true)
    return new Promise((resolve) => {
      const end = (came: boolean) => {
        clearTimeout(timer)
        signal.removeEventListener('abort', aborted)
        this.#wake = () => {}
        resolve(came)
      }
      const aborted = () => end(true)
      const timer = setTimeout(() => end(false), this.#parts.heartbeatMs)
      signal.addEventListener('abort', aborted, { once: true })
      this.#wake = () => end(true)
    })
  }
}

/** Written once for all streams. */
const messages = new WeakMap<Mount, WireMount>()

function messageOf(mount: Mount): WireMount {
  const message = messages.get(mount) ?? create(MountSchema, writeMount(mount))
  messages.set(mount, message)
  return message
}
