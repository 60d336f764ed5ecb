import { type Backoff, backoffDelay } from '../../common/backoff.ts'
import { CloudError, unreachable } from '../../common/errors.ts'

/**
 * The life of a mount as a pure function. The runner does the effects and reports back with inputs; one of `bringUp`,
 * `takeDown` and `wait` runs at a time, and starting one ends the other. What was ended reports nothing.
 */
export type Lifecycle =
  /** At rest: no kernel connection, no worker. */
  | { readonly kind: 'unmounted' }
  /** Being built for the `attempt`th time: worker, drive, kernel connection. */
  | { readonly kind: 'initializing'; readonly attempt: number }
  | { readonly kind: 'mounted'; readonly since: number }
  /** The kernel connection stands and its worker is being replaced: callers wait. `attempt`: replacements that could not begin to serve. */
  | { readonly kind: 'reconciling'; readonly goal: 'serve'; readonly attempt: number }
  | { readonly kind: 'reconciling'; readonly goal: 'end'; readonly then: 'rest' | 'start' }
  | { readonly kind: 'failed'; readonly error: CloudError; readonly attempt: number; readonly retryAt: number }

export type Input =
  | { readonly kind: 'start' }
  /** `force`: lazily if busy. `drainMs`: how long uploads may take. `then: 'start'`: come up again (changed options). */
  | { readonly kind: 'stop'; readonly force: boolean; readonly drainMs: number; readonly then: 'rest' | 'start' }
  /** A kernel connection of an earlier service was taken over; `current` if its worker may stay. */
  | { readonly kind: 'adopted'; readonly current: boolean }
  | { readonly kind: 'up' }
  | { readonly kind: 'upFailed'; readonly error: CloudError }
  /** `fruitless`: deaths in a row with no request answered in between. `recent`: deaths within a minute. */
  | { readonly kind: 'workerLost'; readonly fruitless: number; readonly recent: number }
  | { readonly kind: 'workerServing' }
  /** The replacement lives but cannot serve (its database, its memory). */
  | { readonly kind: 'workerUnable'; readonly error: CloudError }
  /** The kernel ended the connection. `listed`: its mount is still there, so it was aborted, not unmounted. */
  | { readonly kind: 'connectionEnded'; readonly listed: boolean; readonly drainMs: number }
  | { readonly kind: 'down' }
  /** Still in use; nothing was changed. */
  | { readonly kind: 'downRefused'; readonly error: CloudError }
  | { readonly kind: 'retryDue' }

export type Effect =
  | { readonly kind: 'bringUp' }
  | { readonly kind: 'takeDown'; readonly force: boolean; readonly drainMs: number }
  | { readonly kind: 'wait'; readonly milliseconds: number }
  /** Beside whatever runs. */
  | { readonly kind: 'replaceWorker'; readonly delayMs: number }
  /** Ends the worker and the kernel connection at once: callers get ENOTCONN, not a hang. */
  | { readonly kind: 'abort' }
  /** Answers everyone who waits for a start or a stop. */
  | { readonly kind: 'answer'; readonly to: 'start' | 'stop'; readonly error: CloudError | null }
  | { readonly kind: 'alert'; readonly severity: 'warning' | 'error'; readonly reason: AlertReason; readonly message: string }

export type AlertReason = 'mount-failed' | 'worker-crash-loop' | 'worker-deaths' | 'unmounted-outside'

export interface Moment {
  /** Milliseconds since 1970. */
  readonly now: number
  /** 0 … 1, for jitter. */
  readonly chance: number
}

export interface Step {
  readonly state: Lifecycle
  readonly effects: readonly Effect[]
}

export const fruitlessLimit = 5
export const unableLimit = 5
/** Deaths in a minute beyond which an alert is raised. */
export const deathsPerMinute = 5

const retryBackoff: Backoff = { base: 2_000, cap: 300_000 }
/** After a crash loop: a poisonous request comes again with the next caller, so there is no hurry. */
const crashBackoff: Backoff = { base: 120_000, cap: 600_000 }
const replaceBackoff: Backoff = { base: 200, cap: 3_000 }

export function transition(state: Lifecycle, input: Input, moment: Moment): Step {
  switch (state.kind) {
    case 'unmounted':
      return fromUnmounted(state, input)
    case 'initializing':
      return fromInitializing(state, input, moment)
    case 'mounted':
      return fromMounted(state, input, moment)
    case 'reconciling':
      return state.goal === 'serve' ? fromReplacing(state, input, moment) : fromEnding(state, input, moment)
    case 'failed':
      return fromFailed(state, input)
    default:
      return unreachable(state)
  }
}

function fromUnmounted(state: Lifecycle, input: Input): Step {
  switch (input.kind) {
    case 'start':
      return begin(1)
    case 'stop':
      return input.then === 'start' ? begin(1, answer('stop')) : stay(state, answer('stop'))
    case 'adopted':
      return {
        state: { kind: 'reconciling', goal: 'serve', attempt: 1 },
        effects: input.current ? [] : [{ kind: 'replaceWorker', delayMs: 0 }],
      }
    default:
      return stay(state)
  }
}

function fromInitializing(state: Lifecycle & { kind: 'initializing' }, input: Input, moment: Moment): Step {
  switch (input.kind) {
    case 'stop':
      return end(input, ...overruled(input))
    case 'up':
      return { state: { kind: 'mounted', since: moment.now }, effects: [answer('start')] }
    case 'upFailed':
      return fail(input.error, state.attempt, retryBackoff, moment, answer('start', input.error))
    default:
      return stay(state)
  }
}

function fromMounted(state: Lifecycle & { kind: 'mounted' }, input: Input, moment: Moment): Step {
  switch (input.kind) {
    case 'start':
      return stay(state, answer('start'))
    case 'stop':
      return end(input)
    case 'workerLost':
      return replaceOrFail({ kind: 'reconciling', goal: 'serve', attempt: 1 }, input, moment)
    case 'workerUnable':
      // A stop was refused while the worker was being replaced.
      return { state: { kind: 'reconciling', goal: 'serve', attempt: 1 }, effects: [{ kind: 'replaceWorker', delayMs: 0 }] }
    case 'connectionEnded':
      return ended(input, moment)
    default:
      return stay(state)
  }
}

function fromReplacing(state: Lifecycle & { kind: 'reconciling'; goal: 'serve' }, input: Input, moment: Moment): Step {
  switch (input.kind) {
    case 'stop':
      return end(input, ...overruled(input))
    case 'workerServing':
      return { state: { kind: 'mounted', since: moment.now }, effects: [answer('start')] }
    case 'workerLost':
      return replaceOrFail(state, input, moment)
    case 'workerUnable': {
      if (state.attempt >= unableLimit) return fail(input.error, 1, retryBackoff, moment, { kind: 'abort' }, answer('start', input.error))
      const delayMs = backoffDelay(replaceBackoff, state.attempt, () => moment.chance)
      return { state: { ...state, attempt: state.attempt + 1 }, effects: [{ kind: 'replaceWorker', delayMs }] }
    }
    case 'connectionEnded':
      return ended(input, moment)
    default:
      return stay(state)
  }
}

function fromEnding(state: Lifecycle & { kind: 'reconciling'; goal: 'end' }, input: Input, moment: Moment): Step {
  switch (input.kind) {
    case 'start':
      return stay({ ...state, then: 'start' })
    case 'stop':
      return input.force ? end(input, ...overruled(input)) : stay({ ...state, then: input.then }, ...overruled(input))
    case 'workerLost':
      // The unmount itself may need a worker: pages of mapped files are written back.
      if (input.fruitless >= fruitlessLimit) return stay(state, { kind: 'abort' })
      return stay(state, ...deathAlert(input.recent), { kind: 'replaceWorker', delayMs: 0 })
    case 'workerUnable':
      return stay(state, { kind: 'abort' })
    case 'down':
      return state.then === 'start' ? begin(1, answer('stop')) : { state: { kind: 'unmounted' }, effects: [answer('stop')] }
    case 'downRefused':
      return { state: { kind: 'mounted', since: moment.now }, effects: [answer('stop', input.error), answer('start')] }
    default:
      return stay(state)
  }
}

function fromFailed(state: Lifecycle & { kind: 'failed' }, input: Input): Step {
  switch (input.kind) {
    case 'start':
      return begin(1)
    case 'stop':
      return end(input)
    case 'retryDue':
      return begin(state.attempt + 1)
    default:
      return stay(state)
  }
}

function stay(state: Lifecycle, ...effects: readonly Effect[]): Step {
  return { state, effects }
}

function begin(attempt: number, ...first: readonly Effect[]): Step {
  return { state: { kind: 'initializing', attempt }, effects: [...first, { kind: 'bringUp' }] }
}

function end(input: Input & { kind: 'stop' }, ...first: readonly Effect[]): Step {
  return {
    state: { kind: 'reconciling', goal: 'end', then: input.then },
    effects: [...first, { kind: 'takeDown', force: input.force, drainMs: input.drainMs }],
  }
}

/** Those who wait for a start that a later stop undoes. */
function overruled(stop: Input & { kind: 'stop' }): readonly Effect[] {
  return stop.then === 'start' ? [] : [answer('start', new CloudError('cancelled', 'the mount was stopped while it came up'))]
}

function replaceOrFail(next: Lifecycle, input: Input & { kind: 'workerLost' }, moment: Moment): Step {
  if (input.fruitless < fruitlessLimit) {
    return { state: next, effects: [...deathAlert(input.recent), { kind: 'replaceWorker', delayMs: 0 }] }
  }
  const error = new CloudError('unavailable', `the mount's worker ended ${input.fruitless} times in a row without answering a request`, {
    hint: 'See the log of the mount; what was not yet uploaded is kept.',
  })
  const alert: Effect = { kind: 'alert', severity: 'error', reason: 'worker-crash-loop', message: error.message }
  return fail(error, 1, crashBackoff, moment, { kind: 'abort' }, alert, answer('start', error))
}

function deathAlert(recent: number): readonly Effect[] {
  // Once when the bound is passed, not at every further death.
  if (recent !== deathsPerMinute + 1) return []
  return [
    { kind: 'alert', severity: 'warning', reason: 'worker-deaths', message: `the mount's worker ended ${recent} times within a minute` },
  ]
}

function ended(input: Input & { kind: 'connectionEnded' }, moment: Moment): Step {
  if (!input.listed) {
    const message = 'the mount was unmounted by someone else; it stays down until it is started again'
    return {
      // Nothing is left to unmount: this lets uploads finish, ends the worker and forgets the connection.
      state: { kind: 'reconciling', goal: 'end', then: 'rest' },
      effects: [
        { kind: 'takeDown', force: true, drainMs: input.drainMs },
        { kind: 'alert', severity: 'warning', reason: 'unmounted-outside', message },
      ],
    }
  }
  const error = new CloudError('io', 'the kernel ended the connection of the mount')
  return fail(error, 1, retryBackoff, moment, { kind: 'abort' }, answer('start', error))
}

function fail(error: CloudError, attempt: number, backoff: Backoff, moment: Moment, ...first: readonly Effect[]): Step {
  const milliseconds = backoffDelay(backoff, attempt, () => moment.chance)
  const alerted = attempt > 1 || first.some((effect) => effect.kind === 'alert')
  const alerts: readonly Effect[] = alerted ? [] : [{ kind: 'alert', severity: 'error', reason: 'mount-failed', message: error.message }]
  return {
    state: { kind: 'failed', error, attempt, retryAt: moment.now + milliseconds },
    effects: [...first, ...alerts, { kind: 'wait', milliseconds }],
  }
}

function answer(to: 'start' | 'stop', error: CloudError | null = null): Effect {
  return { kind: 'answer', to, error }
}
