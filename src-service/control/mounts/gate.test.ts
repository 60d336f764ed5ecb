import { expect, test } from 'vitest'
import { Gate } from './gate.ts'

test('lets a number through at a time, in order, also after failures', async () => {
  const gate = new Gate(2)
  let inside = 0
  let most = 0
  const order: number[] = []
  const work = [1, 2, 3, 4, 5].map((name) =>
    gate.pass(async () => {
      most = Math.max(most, ++inside)
      await new Promise((resolve) => setTimeout(resolve, 2))
      inside--
      order.push(name)
      if (name === 2) throw new Error('two')
      return name
    }),
  )
  expect((await Promise.allSettled(work)).map(({ status }) => status)).toEqual([
    'fulfilled',
    'rejected',
    'fulfilled',
    'fulfilled',
    'fulfilled',
  ])
  expect([most, order]).toEqual([2, [1, 2, 3, 4, 5]])
})
