import type { Clock } from '../../../common/clock.ts'
import type { Contents } from '../contents.ts'

/** A file that never comes to rest is uploaded from a snapshot after this long. */
const longestUnrest = 600_000
/** Writers may exist that this process has not seen open the file (it took over): only silence says that they are done. */
const unseenQuiet = 5000
const mostRemembered = 100_000

type KnownWrites = Pick<Contents, 'writerCount' | 'lastWrite'>

/** When a file may be uploaded: closed, and quiet for a while. In memory: after a start everything counts as just touched. */
export class QuietTimes {
  readonly #contents: KnownWrites
  readonly #clock: Clock
  readonly #quietMs: number
  readonly #openedAt: number
  readonly #touched = new Map<number, number>()
  readonly #restlessSince = new Map<number, number>()
  readonly #urgent = new Map<number, number>()
  readonly #overtaken = new Set<number>()
  /** While draining, closed files need not be quiet. */
  draining = 0

  constructor(contents: KnownWrites, clock: Clock, quietMs: number) {
    this.#contents = contents
    this.#clock = clock
    this.#quietMs = quietMs
    this.#openedAt = clock.monotonic()
  }

  get quietMs(): number {
    return this.#quietMs
  }

  touch(node: number): void {
    remember(this.#touched, node, this.#clock.monotonic())
  }

  /** 0 if the file may be uploaded now, else when to ask again: whole milliseconds since 1970, though the clock may be set meanwhile. */
  until(node: number): number {
    if (this.#urgent.has(node)) return 0
    const now = this.#clock.monotonic()
    const open = this.#contents.writerCount(node) > 0
    if (this.draining > 0 && !open) return 0
    const until = open ? now + Math.max(1000, this.#quietMs) : this.#quietUntil(node)
    if (until <= now) return 0
    const since = this.#restlessSince.get(node)
    if (since === undefined) remember(this.#restlessSince, node, now)
    else if (now - since >= longestUnrest) return 0
    return this.#clock.now() + Math.ceil(until - now)
  }

  /** A WRITE stopped an upload of the file. */
  overtaken(node: number): void {
    if (this.#urgent.has(node)) this.#overtaken.add(node)
  }

  /** The file may be written to while it is uploaded: a copy is sent. */
  needsSnapshot(node: number): boolean {
    if (this.#overtaken.has(node)) return true
    const since = this.#restlessSince.get(node)
    return since !== undefined && this.#clock.monotonic() - since >= longestUnrest
  }

  /** The node's upload ended, or the node is gone. */
  uploaded(node: number): void {
    this.#overtaken.delete(node)
    this.#restlessSince.delete(node)
    this.#touched.delete(node)
  }

  /** Somebody waits for the provider, or each close is to be sent at once. */
  get isHurried(): boolean {
    return this.draining > 0 || this.#urgent.size > 0 || this.#quietMs === 0
  }

  isUrgent(node: number): boolean {
    return this.#urgent.has(node)
  }

  /** Somebody waits for the provider to have this node: it goes at once. The result takes that back. */
  hurry(node: number): () => void {
    this.#urgent.set(node, (this.#urgent.get(node) ?? 0) + 1)
    return () => {
      const count = (this.#urgent.get(node) ?? 1) - 1
      if (count === 0) this.#urgent.delete(node)
      else this.#urgent.set(node, count)
    }
  }

  #quietUntil(node: number): number {
    const touched = Math.max(this.#touched.get(node) ?? 0, this.#contents.lastWrite(node))
    if (touched === 0) return this.#quietMs === 0 ? 0 : this.#openedAt + Math.max(this.#quietMs, unseenQuiet)
    return touched + this.#quietMs
  }
}

function remember(times: Map<number, number>, node: number, time: number): void {
  times.delete(node)
  times.set(node, time)
  const oldest = times.keys().next()
  if (times.size > mostRemembered && oldest.done !== true) times.delete(oldest.value)
}
