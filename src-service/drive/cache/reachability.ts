import type { Condition } from '../../common/drive-state.ts'
import { backoffDelay } from '../../common/backoff.ts'
import type { Clock } from '../../common/clock.ts'
import { CloudError, isUnknown } from '../../common/errors.ts'
import type { Connector } from '../connectors/connector.ts'

type Way =
  | { readonly kind: 'open' }
  /** `error` is what callers get at once while nobody but the probe tries. */
  | { readonly kind: 'closed'; readonly error: CloudError; readonly since: number; readonly probes: number }

const probing = { base: 1000, cap: 30_000 }
/** A login that is refused again and again may end up locked. */
const longestSignIn = 300_000
const longestThrottle = 3_600_000
/** Errors of one kind are told once in this time. */
const toldAgainMs = 60_000

/**
 * Whether the provider can be reached, as one truth for listings, reads and the queue. A call that finds no network, or
 * no answer, starts one probe; only if the probe fails too is the way closed, and calls fail fast until a probe succeeds.
 */
export class Reachability {
  readonly #connector: Connector
  readonly #clock: Clock
  readonly #probeMs: number
  readonly #changed: () => void
  readonly #tell: (error: CloudError) => void
  readonly #hasSecrets: () => boolean
  readonly #told = new Map<string, number>()
  readonly #listeners: (() => void)[] = []
  /** Attempts to find out whether the provider can be reached, the milliseconds that the last took, and those made while it was lost. */
  readonly counts = { probes: 0, probeFailures: 0, probeMs: 0, reconnects: 0, reconnectFailures: 0 }
  readonly #ended = new AbortController()
  #way: Way = { kind: 'open' }
  #throttledUntil = 0
  /** The same by the clock that only grows: the other one may be set back. */
  #throttleEnd = 0
  #probe: Promise<void> | null = null
  #cancelTimer: (() => void) | null = null

  /** @param options.hasSecrets there is something to sign in with. @param options.tell gets errors that say something is wrong between here and the provider, not each of them */
  constructor(options: {
    readonly connector: Connector
    readonly clock: Clock
    readonly probeMs: number
    readonly onChange: () => void
    readonly tell?: (error: CloudError) => void
    readonly hasSecrets?: () => boolean
  }) {
    this.#connector = options.connector
    this.#clock = options.clock
    this.#probeMs = options.probeMs
    this.#changed = options.onChange
    this.#tell = options.tell ?? (() => undefined)
    this.#hasSecrets = options.hasSecrets ?? (() => true)
  }

  /** The error that a call would surely end in, or undefined if it is worth trying. */
  failFast(): CloudError | undefined {
    return this.#way.kind === 'closed' ? this.#way.error : undefined
  }

  /** Milliseconds since 1970 until which the provider wants to be left alone; 0 = it does not. */
  throttledUntil(): number {
    return this.#throttleEnd > this.#clock.monotonic() ? this.#throttledUntil : 0
  }

  /** Called with every error of a call to the provider. */
  failed(error: CloudError): void {
    this.#tellOnce(error)
    switch (error.kind) {
      case 'sign-in':
        if (this.#way.kind === 'open') this.#close(error)
        return
      case 'offline':
      case 'timeout':
        if (this.#way.kind === 'open') void this.#probeOnce()
        return
      case 'throttled':
        this.throttled(error.retryAfterMs ?? 5000)
        return
      default:
    }
  }

  /** The provider wants to be left alone for so many milliseconds. */
  throttled(milliseconds: number): void {
    const wait = Math.min(milliseconds, longestThrottle)
    const end = this.#clock.monotonic() + wait
    if (end <= this.#throttleEnd) return
    this.#throttleEnd = end
    this.#throttledUntil = this.#clock.now() + wait
    this.#changed()
    this.#clock.after(wait, () => {
      this.#changed()
    })
  }

  /** Resolves when the way is known to be open or closed, if a probe is under way. */
  async settled(): Promise<void> {
    await this.#probe
  }

  /** Called when the way opens again. */
  onOpen(listener: () => void): void {
    this.#listeners.push(listener)
  }

  /** Probes now: secrets were given, or somebody asks. */
  retry(): void {
    this.#throttleEnd = 0
    if (this.#way.kind === 'closed') void this.#probeOnce()
  }

  /** Finds out now, also while nothing failed. Resolves when it is known. */
  async probe(): Promise<void> {
    if (!this.#ended.signal.aborted) await this.#probeOnce()
  }

  conditions(): Condition[] {
    const found: Condition[] = []
    if (this.#way.kind === 'closed') {
      const { error, since } = this.#way
      if (error.kind === 'sign-in') found.push({ kind: 'needs-sign-in', reason: error.message })
      else found.push({ kind: 'offline', since, reason: error.message })
    }
    if (this.throttledUntil() > 0) found.push({ kind: 'throttled', until: this.#throttledUntil })
    return found
  }

  async close(): Promise<void> {
    this.#ended.abort(new CloudError('cancelled', 'the drive is closing'))
    this.#cancelTimer?.()
    await this.#probe
  }

  #tellOnce(error: CloudError): void {
    if (!isUnknown(error.kind) || error.kind === 'cancelled') return
    const now = this.#clock.monotonic()
    if (now - (this.#told.get(error.kind) ?? -Infinity) < toldAgainMs) return
    this.#told.set(error.kind, now)
    this.#tell(error)
  }

  #probeOnce(): Promise<void> {
    this.#cancelTimer?.()
    this.#cancelTimer = null
    this.#probe ??= this.#check().finally(() => {
      this.#probe = null
    })
    return this.#probe
  }

  async #check(): Promise<void> {
    const began = this.#clock.monotonic()
    const isLost = this.#way.kind === 'closed'
    this.counts.probes++
    if (isLost) this.counts.reconnects++
    try {
      await this.#connector.check(AbortSignal.any([this.#ended.signal, AbortSignal.timeout(this.#probeMs)]))
      this.counts.probeMs = this.#clock.monotonic() - began
      this.#open()
    } catch (caught) {
      this.counts.probeMs = this.#clock.monotonic() - began
      this.counts.probeFailures++
      if (isLost) this.counts.reconnectFailures++
      if (this.#ended.signal.aborted) return
      const error = CloudError.from(caught)
      if (error.kind === 'throttled') this.throttled(error.retryAfterMs ?? 5000)
      if (isNoWay(error)) this.#close(error)
      else this.#open()
    }
  }

  #open(): void {
    if (this.#way.kind === 'open') return
    this.#way = { kind: 'open' }
    this.#changed()
    for (const listener of this.#listeners) listener()
  }

  #close(error: CloudError): void {
    const before = this.#way
    const again = before.kind === 'closed'
    this.#way = {
      kind: 'closed',
      error: failFastError(error),
      since: again ? before.since : this.#clock.now(),
      probes: again ? before.probes + 1 : 1,
    }
    if (!again || before.error.kind !== this.#way.error.kind) this.#changed()
    this.#cancelTimer?.()
    this.#cancelTimer = null
    // Without anything to sign in with there is nothing to try: secrets will come, or a look from outside.
    if (error.kind === 'sign-in' && !this.#hasSecrets()) return
    const backoff = error.kind === 'sign-in' ? { ...probing, cap: longestSignIn } : probing
    this.#cancelTimer = this.#clock.after(backoffDelay(backoff, this.#way.probes), () => void this.#probeOnce())
  }
}

/** After these nothing else is worth trying; any other answer came from the provider itself. */
function isNoWay(error: CloudError): boolean {
  return error.kind === 'offline' || error.kind === 'timeout' || error.kind === 'cancelled' || error.kind === 'sign-in'
}

function failFastError(error: CloudError): CloudError {
  if (error.kind === 'sign-in') return error
  return new CloudError('offline', error.message, { cause: error, ...(error.code === undefined ? {} : { code: error.code }) })
}
