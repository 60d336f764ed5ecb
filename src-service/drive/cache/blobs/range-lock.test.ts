import { expect, test } from 'vitest'
import { Budget } from './budget.ts'
import { RangeLock } from './range-lock.ts'
import { SharedRun } from './shared-run.ts'

const soon = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

test('overlapping ranges take turns in the order of the calls, others do not wait', async () => {
  const lock = new RangeLock()
  const seen: string[] = []
  const first = lock.ask(0, 10, false)
  const hold = (name: string, start: number, end: number, shared: boolean): Promise<void> =>
    lock.hold(start, end, shared, async () => {
      seen.push(name)
      await soon()
    })
  const all = [hold('second', 5, 15, false), hold('apart', 20, 30, false), hold('third', 0, 6, true), hold('with third', 0, 6, true)]
  await soon()
  expect(seen).toEqual(['apart'])
  first.release()
  await Promise.all(all)
  expect(seen).toEqual(['apart', 'second', 'third', 'with third'])
  expect(lock.idle).toBe(true)
})

test('who asks during a run shares the next one', async () => {
  let runs = 0
  const finish: (() => void)[] = []
  const shared = new SharedRun(() => {
    runs += 1
    return new Promise((resolve) => finish.push(resolve))
  })
  const one = shared.run()
  const two = shared.run()
  const three = shared.run()
  expect(runs).toBe(1)
  finish[0]?.()
  await one
  await soon()
  expect(runs).toBe(2)
  finish[1]?.()
  await Promise.all([two, three])
  expect(runs).toBe(2)
})

test('a failed run does not stop the next', async () => {
  let runs = 0
  const shared = new SharedRun(async () => {
    runs += 1
    await soon()
    if (runs === 1) throw new Error('once')
  })
  const one = shared.run()
  const two = shared.run()
  await expect(one).rejects.toThrow('once')
  await two
  expect(runs).toBe(2)
})

test('readers come before read-ahead, and a quarter of the memory is kept for them', async () => {
  const budget = new Budget(100)
  expect(budget.tryTake(60, 'ahead')).toBe(true)
  expect(budget.tryTake(20, 'ahead')).toBe(false)
  expect(budget.tryTake(40, 'reader')).toBe(true)
  const order: string[] = []
  const waiting = [budget.take(10, 'ahead').then(() => order.push('ahead')), budget.take(90, 'reader').then(() => order.push('reader'))]
  budget.giveBack(60)
  await soon()
  expect(order).toEqual([])
  budget.giveBack(40)
  await soon()
  expect(order).toEqual(['reader'])
  budget.giveBack(90)
  await Promise.all(waiting)
  expect(order).toEqual(['reader', 'ahead'])
})

test('a request larger than the whole budget goes alone', async () => {
  const budget = new Budget(10)
  expect(budget.tryTake(1000, 'reader')).toBe(true)
  expect(budget.tryTake(1, 'reader')).toBe(false)
  budget.giveBack(1000)
  expect(budget.tryTake(1, 'reader')).toBe(true)
})
