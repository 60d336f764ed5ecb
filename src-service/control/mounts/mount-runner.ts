import type { Clock } from '../../common/clock.ts'
import { pause } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import type { WriteLog } from '../../common/telemetry/log.ts'
import { type Effect, type Input, type Lifecycle, transition } from './mount-machine.ts'

/** What a runner can do to a mount; the supervisor does it. */
export interface MountActions {
  bringUp(signal: AbortSignal): Promise<void>
  /** Throws to refuse: everything is as it was. */
  takeDown(options: { readonly force: boolean; readonly drainMs: number }, signal: AbortSignal): Promise<void>
  replaceWorker(delayMs: number): Promise<void>
  abort(): void
}

export interface RunnerOptions {
  readonly clock: Clock
  readonly log: WriteLog
  readonly actions: MountActions
  readonly onChange: (state: Lifecycle) => void
  readonly onAlert: (severity: 'warning' | 'error', reason: string, message: string) => void
}

interface Job {
  readonly ending: AbortController
  readonly done: Promise<void>
}

type Waiter = (error: CloudError | null) => void

/** Feeds one mount's state machine and does what it says. */
export class MountRunner {
  readonly #options: RunnerOptions
  readonly #waiters: Readonly<Record<'start' | 'stop', Set<Waiter>>> = { start: new Set(), stop: new Set() }
  #state: Lifecycle = { kind: 'unmounted' }
  #since: number
  #job: Job | undefined
  #closed = false

  constructor(options: RunnerOptions) {
    this.#options = options
    this.#since = options.clock.now()
  }

  get state(): Lifecycle {
    return this.#state
  }

  /** Milliseconds since 1970 of the last change of state. */
  get since(): number {
    return this.#since
  }

  /** Resolves when it is mounted; rejects with why it is not. Goes on trying all the same. */
  start(signal: AbortSignal): Promise<void> {
    return this.#ask('start', { kind: 'start' }, signal)
  }

  /** Resolves when it is unmounted (or, with `then: 'start'`, on the way up again); rejects with `busy` when it is in use. */
  stop(how: Omit<Input & { kind: 'stop' }, 'kind'>, signal: AbortSignal): Promise<void> {
    return this.#ask('stop', { kind: 'stop', ...how }, signal)
  }

  input(input: Input): void {
    if (this.#closed) return
    const before = this.#state
    const step = transition(before, input, { now: this.#options.clock.now(), chance: Math.random() })
    this.#state = step.state
    if (before !== step.state) this.#moved(before, input)
    for (const effect of step.effects) this.#do(effect)
  }

  /** Waits, within the bound, for the end of what is under way: a handover in between would lose the mount. */
  async settled(milliseconds: number): Promise<void> {
    const end = this.#options.clock.monotonic() + milliseconds
    while (this.#isMoving() && this.#options.clock.monotonic() < end) await pause(this.#options.clock, 20)
  }

  /** The service ends and leaves the mount as it is: nothing is done any more. */
  release(): void {
    this.#closed = true
    this.#job?.ending.abort()
  }

  #isMoving(): boolean {
    return this.#state.kind === 'initializing' || this.#state.kind === 'reconciling'
  }

  #moved(before: Lifecycle, input: Input): void {
    const after = this.#state
    if (before.kind !== after.kind) this.#since = this.#options.clock.now()
    this.#options.log('info', `${before.kind} -> ${after.kind} (${input.kind})`)
    this.#options.onChange(after)
  }

  #ask(what: 'start' | 'stop', input: Input, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error: CloudError | null) => {
        this.#waiters[what].delete(settle)
        signal.removeEventListener('abort', onAbort)
        if (error === null) resolve()
        else reject(error)
      }
      // Who asked no longer waits; what was asked for goes on.
      const onAbort = () => settle(CloudError.from(signal.reason))
      if (signal.aborted) {
        onAbort()
        return
      }
      signal.addEventListener('abort', onAbort)
      this.#waiters[what].add(settle)
      this.input(input)
    })
  }

  #do(effect: Effect): void {
    const { actions, clock, onAlert } = this.#options
    switch (effect.kind) {
      case 'bringUp': {
        this.#run(
          (signal) => actions.bringUp(signal).then((): Input => ({ kind: 'up' })),
          (error) => ({ kind: 'upFailed', error }),
        )
        return
      }
      case 'takeDown': {
        this.#run(
          (signal) => actions.takeDown(effect, signal).then((): Input => ({ kind: 'down' })),
          (error) => ({ kind: 'downRefused', error }),
        )
        return
      }
      case 'wait': {
        this.#run(
          (signal) => pause(clock, effect.milliseconds, signal).then((): Input => ({ kind: 'retryDue' })),
          (error) => ({ kind: 'upFailed', error }),
        )
        return
      }
      case 'replaceWorker':
        void actions.replaceWorker(effect.delayMs)
        return
      case 'abort': {
        actions.abort()
        return
      }
      case 'answer':
        for (const settle of [...this.#waiters[effect.to]]) settle(effect.error)
        return
      case 'alert': {
        onAlert(effect.severity, effect.reason, effect.message)
        return
      }
    }
  }

  /** One job at a time: the one before is told to end, and waited for. What was told to end reports nothing. */
  #run(work: (signal: AbortSignal) => Promise<Input>, failed: (error: CloudError) => Input): void {
    const before = this.#job
    before?.ending.abort()
    const ending = new AbortController()
    const isOver = () => ending.signal.aborted
    const done = (async () => {
      await before?.done
      if (isOver()) return
      const input = await work(ending.signal).catch((caught: unknown) => failed(CloudError.from(caught)))
      if (!isOver()) this.input(input)
    })()
    this.#job = { ending, done }
  }
}
