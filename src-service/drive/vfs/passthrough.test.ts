import { expect, test } from 'vitest'
import type { Contents } from '../cache/contents.ts'
import { Passthrough } from './passthrough.ts'

const whole = { isWhole: () => true, openForBacking: () => Promise.resolve(99) } as unknown as Contents

function kernel(): { readonly calls: string[]; open: (node: number) => Promise<number>; close: (node: number, id: number) => void } {
  const calls: string[] = []
  let next = 1
  return {
    calls,
    open: (node) => {
      calls.push(`open ${node}`)
      return Promise.resolve(next++)
    },
    close: (node, id) => calls.push(`close ${node} ${id}`),
  }
}

test('all opens of a node share one id, closed at the last release', async () => {
  const backing = kernel()
  const passthrough = new Passthrough(whole, backing)
  expect(await passthrough.open(7)).toBe(1)
  expect(await passthrough.open(7)).toBe(1)
  passthrough.release(7)
  await Promise.resolve()
  expect(backing.calls).toEqual(['open 7'])
  passthrough.release(7)
  await Promise.resolve()
  expect(backing.calls).toEqual(['open 7', 'close 7 1'])
})

test('after a takeover known ids are kept, other nodes that existed are served by requests, new ones are passed through', async () => {
  const backing = kernel()
  const passthrough = new Passthrough(whole, backing)
  passthrough.tookOver(20, new Map([[7, 5]]))
  expect(await passthrough.open(7)).toBe(5)
  passthrough.release(7)
  passthrough.release(7)
  expect(await passthrough.open(7)).toBe(5)
  expect(await passthrough.open(8)).toBe(0)
  expect(await passthrough.open(21)).toBe(1)
  expect(backing.calls).toEqual(['open 21'])
})
