import { expect, test } from 'vitest'
import type { ListPage } from '../../connectors/connector.ts'
import { oneAhead } from './one-ahead.ts'

/** Pages that note when they are asked for, and when nobody wants more. */
function pagesOf(count: number, log: string[], failing = -1): AsyncIterable<ListPage> {
  return (async function* () {
    try {
      for (let index = 0; index < count; index++) {
        log.push(`ask ${index}`)
        await Promise.resolve()
        if (index === failing) throw new Error(`page ${index} failed`)
        yield { entries: [], hidden: [String(index)] }
      }
    } finally {
      log.push('end')
    }
  })()
}

async function take(pages: AsyncIterable<ListPage>, log: string[], most = Infinity): Promise<void> {
  let taken = 0
  for await (const page of pages) {
    await new Promise((resolve) => setImmediate(resolve))
    log.push(`took ${page.hidden[0]}`)
    if (++taken === most) return
  }
}

test('the next page is asked for while one is taken in, and no other', async () => {
  const log: string[] = []
  await take(oneAhead(pagesOf(3, log)), log)
  expect(log).toEqual(['ask 0', 'ask 1', 'took 0', 'ask 2', 'took 1', 'end', 'took 2'])
})

test('a page that failed is told when its turn comes; nothing is left over', async () => {
  const log: string[] = []
  await expect(take(oneAhead(pagesOf(3, log, 1)), log)).rejects.toThrow('page 1 failed')
  expect(log).toEqual(['ask 0', 'ask 1', 'end', 'took 0'])
})

test('who stops ends the listing', async () => {
  const log: string[] = []
  await take(oneAhead(pagesOf(3, log)), log, 1)
  expect(log).toEqual(['ask 0', 'ask 1', 'took 0', 'end'])
})
