/** Counts what was asked of a cloud and what came of it. Plain numbers: whoever exports them reads them when asked. */
import { CloudError } from '../../common/errors.ts'
import type { ErrorKind } from '../../common/errors.ts'
import type { Connector } from './connector.ts'
import { aroundPages, wrapConnector } from './wrap-connector.ts'
import type { Operation } from './wrap-connector.ts'

/** Every number only grows. */
export interface ConnectorMetrics {
  /** Calls, and pages of listings, by operation. */
  readonly requests: Partial<Record<Operation, number>>
  readonly errors: Partial<Record<ErrorKind, number>>
  bytesIn: number
  /** Bytes of contents that the cloud confirmed. */
  bytesOut: number
  /** Sum over all requests, milliseconds, without waiting for a token and without contents on their way in. */
  latencyMs: number
}

export function newMetrics(): ConnectorMetrics {
  return { requests: {}, errors: {}, bytesIn: 0, bytesOut: 0, latencyMs: 0 }
}

export function withMetrics(inner: Connector, metrics: ConnectorMetrics): Connector {
  async function counted<T>(operation: Operation, run: () => Promise<T>): Promise<T> {
    metrics.requests[operation] = (metrics.requests[operation] ?? 0) + 1
    const begun = performance.now()
    try {
      return await run()
    } catch (caught) {
      throw failed(caught)
    } finally {
      metrics.latencyMs += performance.now() - begun
    }
  }

  function failed(caught: unknown): CloudError {
    const error = CloudError.from(caught)
    metrics.errors[error.kind] = (metrics.errors[error.kind] ?? 0) + 1
    return error
  }

  return wrapConnector(inner, (operation, signal, run) => counted(operation, () => run(signal)), {
    list: (folder, signal) => aroundPages(inner.list(folder, signal), (next) => counted('list', next)),
    async *read(place, start, end, rev, signal) {
      const chunks = inner.read(place, start, end, rev, signal)[Symbol.asyncIterator]()
      let step = await counted('read', () => chunks.next())
      try {
        while (!step.done) {
          metrics.bytesIn += step.value.byteLength
          yield step.value
          step = await chunks.next()
        }
      } catch (caught) {
        throw failed(caught)
      } finally {
        if (!step.done) await chunks.return?.()
      }
    },
    write: (place, type, source, options, signal) => {
      let confirmed = 0
      const onProgress = (bytes: number) => {
        metrics.bytesOut += Math.max(0, bytes - confirmed)
        confirmed = bytes
        options.onProgress(bytes)
      }
      return counted('write', () => inner.write(place, type, source, { ...options, onProgress }, signal))
    },
  })
}
