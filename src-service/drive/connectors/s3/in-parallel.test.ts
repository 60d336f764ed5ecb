import { setTimeout as sleep } from 'node:timers/promises'
import { expect, test } from 'vitest'
import { inParallel } from './in-parallel.ts'

const signal = new AbortController().signal

test('each item once, so many at a time', async () => {
  const done: number[] = []
  let now = 0
  let most = 0
  await inParallel([1, 2, 3, 4, 5, 6, 7], 3, signal, async (item) => {
    most = Math.max(most, ++now)
    await sleep(2)
    now--
    done.push(item)
  })
  expect(done.sort()).toEqual([1, 2, 3, 4, 5, 6, 7])
  expect(most).toBe(3)
})

test('after a failure nothing is on its way any more, and nothing new begins', async () => {
  const begun: number[] = []
  let running = 0
  const work = inParallel([1, 2, 3, 4, 5, 6], 3, signal, async (item, abort) => {
    begun.push(item)
    running++
    await sleep(item === 2 ? 1 : 20).finally(() => running--)
    if (item === 2) throw new Error('two')
    abort.throwIfAborted()
  })
  await expect(work).rejects.toThrow('two')
  expect(running).toBe(0)
  expect(begun).toEqual([1, 2, 3])
})
