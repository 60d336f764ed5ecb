import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { CloudError } from '../../common/errors.ts'
import { type Effect, fruitlessLimit, type Input, type Lifecycle, type Step, transition, unableLimit } from './mount-machine.ts'

const error = new CloudError('io', 'boom')
const moment = { now: 1_000_000, chance: 1 }

const states = {
  unmounted: { kind: 'unmounted' },
  initializing: { kind: 'initializing', attempt: 2 },
  mounted: { kind: 'mounted', since: 5 },
  replacing: { kind: 'reconciling', goal: 'serve', attempt: 1 },
  replacingLast: { kind: 'reconciling', goal: 'serve', attempt: unableLimit },
  ending: { kind: 'reconciling', goal: 'end', then: 'rest' },
  endingThenStart: { kind: 'reconciling', goal: 'end', then: 'start' },
  failed: { kind: 'failed', error, attempt: 3, retryAt: 9 },
} as const satisfies Record<string, Lifecycle>

const inputs = {
  start: { kind: 'start' },
  stop: { kind: 'stop', force: false, drainMs: 7, then: 'rest' },
  forcedStop: { kind: 'stop', force: true, drainMs: 7, then: 'rest' },
  restart: { kind: 'stop', force: false, drainMs: 7, then: 'start' },
  adopted: { kind: 'adopted', current: true },
  adoptedOld: { kind: 'adopted', current: false },
  up: { kind: 'up' },
  upFailed: { kind: 'upFailed', error },
  workerLost: { kind: 'workerLost', fruitless: 1, recent: 1 },
  workerLostOften: { kind: 'workerLost', fruitless: 1, recent: 6 },
  workerLostLast: { kind: 'workerLost', fruitless: fruitlessLimit, recent: 6 },
  workerServing: { kind: 'workerServing' },
  workerUnable: { kind: 'workerUnable', error },
  unmountedOutside: { kind: 'connectionEnded', listed: false, drainMs: 9 },
  aborted: { kind: 'connectionEnded', listed: true, drainMs: 9 },
  down: { kind: 'down' },
  downRefused: { kind: 'downRefused', error },
  retryDue: { kind: 'retryDue' },
} as const satisfies Record<string, Input>

/** The whole table. A pair that is not listed changes nothing and does nothing. */
const table: Record<keyof typeof states, Partial<Record<keyof typeof inputs, string>>> = {
  unmounted: {
    start: 'initializing 1: bringUp',
    stop: 'unmounted: stop ok',
    forcedStop: 'unmounted: stop ok',
    restart: 'initializing 1: stop ok, bringUp',
    adopted: 'replacing 1',
    adoptedOld: 'replacing 1: replace 0',
  },
  initializing: {
    stop: 'ending rest: start cancelled, takeDown 7',
    forcedStop: 'ending rest: start cancelled, takeDown force 7',
    restart: 'ending start: takeDown 7',
    up: 'mounted: start ok',
    upFailed: 'failed 2 +4000: start io, wait 4000',
  },
  mounted: {
    start: 'mounted: start ok',
    stop: 'ending rest: takeDown 7',
    forcedStop: 'ending rest: takeDown force 7',
    restart: 'ending start: takeDown 7',
    workerLost: 'replacing 1: replace 0',
    workerLostOften: 'replacing 1: alert worker-deaths, replace 0',
    workerLostLast: 'failed 1 +120000: abort, alert worker-crash-loop, start unavailable, wait 120000',
    workerUnable: 'replacing 1: replace 0',
    unmountedOutside: 'ending rest: takeDown force 9, alert unmounted-outside',
    aborted: 'failed 1 +2000: abort, start io, alert mount-failed, wait 2000',
  },
  replacing: {
    stop: 'ending rest: start cancelled, takeDown 7',
    forcedStop: 'ending rest: start cancelled, takeDown force 7',
    restart: 'ending start: takeDown 7',
    workerLost: 'replacing 1: replace 0',
    workerLostOften: 'replacing 1: alert worker-deaths, replace 0',
    workerLostLast: 'failed 1 +120000: abort, alert worker-crash-loop, start unavailable, wait 120000',
    workerServing: 'mounted: start ok',
    workerUnable: 'replacing 2: replace 200',
    unmountedOutside: 'ending rest: takeDown force 9, alert unmounted-outside',
    aborted: 'failed 1 +2000: abort, start io, alert mount-failed, wait 2000',
  },
  replacingLast: {
    stop: 'ending rest: start cancelled, takeDown 7',
    forcedStop: 'ending rest: start cancelled, takeDown force 7',
    restart: 'ending start: takeDown 7',
    workerLost: 'replacing 5: replace 0',
    workerLostOften: 'replacing 5: alert worker-deaths, replace 0',
    workerLostLast: 'failed 1 +120000: abort, alert worker-crash-loop, start unavailable, wait 120000',
    workerServing: 'mounted: start ok',
    workerUnable: 'failed 1 +2000: abort, start io, alert mount-failed, wait 2000',
    unmountedOutside: 'ending rest: takeDown force 9, alert unmounted-outside',
    aborted: 'failed 1 +2000: abort, start io, alert mount-failed, wait 2000',
  },
  ending: {
    start: 'ending start',
    stop: 'ending rest: start cancelled',
    forcedStop: 'ending rest: start cancelled, takeDown force 7',
    restart: 'ending start',
    workerLost: 'ending rest: replace 0',
    workerLostOften: 'ending rest: alert worker-deaths, replace 0',
    workerLostLast: 'ending rest: abort',
    workerUnable: 'ending rest: abort',
    down: 'unmounted: stop ok',
    downRefused: 'mounted: stop io, start ok',
  },
  endingThenStart: {
    stop: 'ending rest: start cancelled',
    forcedStop: 'ending rest: start cancelled, takeDown force 7',
    workerLost: 'ending start: replace 0',
    workerLostOften: 'ending start: alert worker-deaths, replace 0',
    workerLostLast: 'ending start: abort',
    workerUnable: 'ending start: abort',
    down: 'initializing 1: stop ok, bringUp',
    downRefused: 'mounted: stop io, start ok',
  },
  failed: {
    start: 'initializing 1: bringUp',
    stop: 'ending rest: takeDown 7',
    forcedStop: 'ending rest: takeDown force 7',
    restart: 'ending start: takeDown 7',
    retryDue: 'initializing 4: bringUp',
  },
}

describe('the transition table', () => {
  for (const [stateName, state] of Object.entries(states) as [keyof typeof states, Lifecycle][]) {
    for (const [inputName, input] of Object.entries(inputs) as [keyof typeof inputs, Input][]) {
      test(`${stateName} × ${inputName}`, () => {
        const step = transition(state, input, moment)
        const expected = table[stateName][inputName]
        if (expected === undefined) expect(step).toEqual({ state, effects: [] })
        else expect(describeStep(step)).toBe(expected)
      })
    }
  }
})

const anyInput = fc.constantFrom(...(Object.values(inputs) as Input[]))

test('whatever comes: a job is always under way where one is needed, and none where the mount rests', () => {
  fc.assert(
    fc.property(fc.array(anyInput, { maxLength: 40 }), fc.double({ min: 0, max: 1, noNaN: true }), (history, chance) => {
      let state: Lifecycle = { kind: 'unmounted' }
      let job: string | null = null
      let replacing = false
      for (const input of history) {
        // The runner reports the end of a job only while that job runs.
        if ((input.kind === 'up' || input.kind === 'upFailed') && job !== 'bringUp') continue
        if ((input.kind === 'down' || input.kind === 'downRefused') && job !== 'takeDown') continue
        if (input.kind === 'retryDue' && job !== 'wait') continue
        if ((input.kind === 'workerServing' || input.kind === 'workerUnable') && !replacing) continue
        if (['up', 'upFailed', 'down', 'downRefused', 'retryDue'].includes(input.kind)) job = null
        if (input.kind === 'workerServing' || input.kind === 'workerUnable') replacing = false
        if (input.kind === 'adopted' && state.kind === 'unmounted') replacing = true
        const step = transition(state, input, { now: 1, chance })
        for (const effect of step.effects) {
          if (effect.kind === 'bringUp' || effect.kind === 'takeDown' || effect.kind === 'wait') job = effect.kind
          if (effect.kind === 'replaceWorker') replacing = true
          if (effect.kind === 'abort') replacing = false
        }
        state = step.state
        expect(job).toBe(jobOf(state))
        if (state.kind === 'reconciling' && state.goal === 'serve') expect(replacing).toBe(true)
      }
    }),
  )
})

test('everyone who asks for a start or a stop is answered once the mount comes to rest', () => {
  fc.assert(
    fc.property(fc.array(anyInput, { maxLength: 40 }), (history) => {
      let state: Lifecycle = { kind: 'unmounted' }
      const waiting = { start: false, stop: false }
      for (const input of history) {
        if (input.kind === 'start') waiting.start = true
        if (input.kind === 'stop') waiting.stop = true
        const step = transition(state, input, moment)
        for (const effect of step.effects) if (effect.kind === 'answer') waiting[effect.to] = false
        state = step.state
        if (state.kind === 'mounted') expect(waiting).toEqual({ start: false, stop: false })
        if (state.kind === 'unmounted') expect(waiting).toEqual({ start: false, stop: false })
        if (state.kind === 'failed') expect(waiting.start).toBe(false)
      }
    }),
  )
})

function jobOf(state: Lifecycle): string | null {
  if (state.kind === 'initializing') return 'bringUp'
  if (state.kind === 'failed') return 'wait'
  return state.kind === 'reconciling' && state.goal === 'end' ? 'takeDown' : null
}

function describeStep(step: Step): string {
  const effects = step.effects.map(describeEffect).join(', ')
  return describeState(step.state) + (effects === '' ? '' : `: ${effects}`)
}

function describeState(state: Lifecycle): string {
  switch (state.kind) {
    case 'initializing':
      return `initializing ${state.attempt}`
    case 'reconciling':
      return state.goal === 'serve' ? `replacing ${state.attempt}` : `ending ${state.then}`
    case 'failed':
      return `failed ${state.attempt} +${state.retryAt - moment.now}`
    default:
      return state.kind
  }
}

function describeEffect(effect: Effect): string {
  switch (effect.kind) {
    case 'answer':
      return `${effect.to} ${effect.error === null ? 'ok' : effect.error.kind}`
    case 'takeDown':
      return `takeDown ${effect.force ? 'force ' : ''}${effect.drainMs}`
    case 'wait':
      return `wait ${effect.milliseconds}`
    case 'replaceWorker':
      return `replace ${effect.delayMs}`
    case 'alert':
      return `alert ${effect.reason}`
    default:
      return effect.kind
  }
}
