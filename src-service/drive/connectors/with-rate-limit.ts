/** Each request takes a token of its account first; an answer that asks to slow down closes the bucket for all. */
import { CloudError } from '../../common/errors.ts'
import type { Connector } from './connector.ts'
import type { Priority, RateLimiter } from './rate-limiter.ts'
import { aroundPages, wrapConnector } from './wrap-connector.ts'
import type { Operation } from './wrap-connector.ts'

export function withRateLimit(inner: Connector, limiter: RateLimiter): Connector {
  async function limited<T>(operation: Operation, signal: AbortSignal, run: () => Promise<T>): Promise<T> {
    await limiter.take(priorityOf(operation), signal)
    try {
      return await run()
    } catch (caught) {
      throw observed(caught)
    } finally {
      limiter.done()
    }
  }

  function observed(caught: unknown): CloudError {
    const error = CloudError.from(caught)
    if (error.kind === 'throttled') limiter.throttle(error.retryAfterMs)
    return error
  }

  return wrapConnector(inner, (operation, signal, run) => limited(operation, signal, () => run(signal)), {
    list: (folder, signal) => aroundPages(inner.list(folder, signal), (next) => limited('list', signal, next)),
    async *read(place, start, end, rev, signal) {
      await limiter.take('reader', signal)
      try {
        yield* inner.read(place, start, end, rev, signal)
      } catch (caught) {
        throw observed(caught)
      } finally {
        limiter.done()
      }
    },
    write: (place, type, source, options, signal) => {
      let parts = 0
      const saveHandle = async (handle: string) => {
        await options.saveHandle(handle)
        // One more part follows.
        await limiter.take('upload', signal)
        parts++
      }
      return limited('write', signal, () => inner.write(place, type, source, { ...options, saveHandle }, signal)).finally(() => {
        limiter.done(parts)
      })
    },
  })
}

function priorityOf(operation: Operation): Priority {
  switch (operation) {
    case 'read':
    case 'stat':
      return 'reader'
    case 'write':
    case 'copy':
      return 'upload'
    default:
      return 'ordinary'
  }
}
