import type { ListPage } from '../../connectors/connector.ts'

/** The same pages; each is asked for when the one before has come, not when that one was taken in. */
export async function* oneAhead(pages: AsyncIterable<ListPage>): AsyncGenerator<ListPage> {
  const iterator = pages[Symbol.asyncIterator]()
  let next = iterator.next()
  try {
    for (;;) {
      const step = await next
      if (step.done) return
      next = iterator.next()
      // Told when it is waited for.
      next.catch(() => undefined)
      yield step.value
    }
  } finally {
    await iterator.return?.()
  }
}
