import { expect, test } from 'vitest'
import { Bursts } from './bursts.ts'

function rig() {
  const state = { now: 1000, isHurried: false }
  const bursts = new Bursts({ now: () => state.now, monotonic: () => state.now, after: () => () => undefined }, state)
  return { state, bursts }
}

test('the provider waits for a pause of the programs', () => {
  const { state, bursts } = rig()
  expect(bursts.until()).toBe(0)
  for (let i = 0; i < 20; i += 1) {
    bursts.happened()
    state.now += 40
    expect(bursts.until()).toBe(state.now + 11)
  }
  state.isHurried = true
  expect(bursts.until()).toBe(0)
  state.isHurried = false
  state.now = bursts.until()
  expect(bursts.until()).toBe(0)
})

test('… but not for long, and the next burst is waited for again', () => {
  const { state, bursts } = rig()
  let waited = 0
  for (let i = 0; i < 1000; i += 1) {
    bursts.happened()
    if (bursts.until() > 0) waited += 10
    state.now += 10
  }
  expect(waited).toBeGreaterThan(4900)
  expect(waited).toBeLessThan(5100)
  state.now += 60
  bursts.happened()
  expect(bursts.until()).toBeGreaterThan(0)
})
