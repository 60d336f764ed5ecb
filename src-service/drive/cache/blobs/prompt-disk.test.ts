import { expect, test } from 'vitest'
import { localDisk } from './disk.ts'
import { PromptDisk } from './prompt-disk.ts'

const bytes = Buffer.alloc(10)

/** A disk that takes `takesMs` for each write. */
function rig() {
  const state = { now: 0, takesMs: 0, written: 0 }
  const prompt = new PromptDisk(
    {
      ...localDisk,
      writeNow: (_fd, _data, _offset, length) => {
        state.now += state.takesMs
        state.written += 1
        return length
      },
    },
    { now: () => state.now, monotonic: () => state.now, after: () => () => undefined },
  )
  return { state, write: () => prompt.write(1, bytes, 0, bytes.length, 0) }
}

test('a disk that made one write wait is not written to at once for a while, longer each time', () => {
  const { state, write } = rig()
  expect(write()).toBe(true)
  for (const pause of [5000, 10_000, 20_000, 40_000, 60_000, 60_000]) {
    state.takesMs = 6
    expect(write()).toBe(true)
    state.takesMs = 0
    state.now += pause - 1
    expect(write()).toBe(false)
    state.now += 1
    expect(write()).toBe(true)
  }
  state.now += 60_000
  state.takesMs = 6
  expect(write()).toBe(true)
  state.now += 5000
  expect(write()).toBe(true)
})

test('what fails is left to the pool, which says why', () => {
  const prompt = new PromptDisk(localDisk, { now: () => 0, monotonic: () => 0, after: () => () => undefined })
  expect(prompt.make('/nowhere/file')).toBe(-1)
  expect(prompt.write(-1, bytes, 0, bytes.length, 0)).toBe(false)
})
