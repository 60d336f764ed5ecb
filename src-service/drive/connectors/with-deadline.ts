/**
 * Puts an end to calls that hang: the caller gets `timeout`, also from a connector that ignores its signal. A change that is given
 * up, by the deadline or by its caller, has a moment to end first: whoever looks next whether it was done must not look too early.
 */
import { CloudError } from '../../common/errors.ts'
import type { Connector, UploadSource, WriteOptions } from './connector.ts'
import { aroundPages, isReading, wrapConnector } from './wrap-connector.ts'
import type { Operation } from './wrap-connector.ts'

/** Milliseconds. */
export interface Deadlines {
  /** Any single call on names and attributes, and each page of a listing. */
  readonly metadata: number
  /** A read without a byte arriving. */
  readonly read: number
  /** A write without a byte leaving or a part being confirmed. */
  readonly write: number
  /** Calls during which a server may copy contents; a cloud is quiet while it copies. */
  readonly copying: number
  /** How long a change that was given up may take to end. */
  readonly grace: number
}

export const defaultDeadlines: Deadlines = { metadata: 15_000, read: 60_000, write: 120_000, copying: 600_000, grace: 10_000 }

/** The deadlines of calls that belong to those of a drive: all in the proportions of the defaults. Milliseconds. */
export function connectorDeadlines(drive: { readonly metadataMs: number; readonly readMs: number; readonly writeMs: number }): Deadlines {
  const { metadataMs, readMs, writeMs } = drive
  const part = metadataMs / defaultDeadlines.metadata
  return {
    ...{ metadata: metadataMs, read: readMs, write: 2 * writeMs },
    ...{ copying: part * defaultDeadlines.copying, grace: part * defaultDeadlines.grace },
  }
}

export function withDeadline(inner: Connector, deadlines: Deadlines = defaultDeadlines): Connector {
  return wrapConnector(
    inner,
    async (operation, signal, run) => {
      using watch = new Watch(signal, durationOf(operation, deadlines), isReading(operation) ? 0 : deadlines.grace, operation)
      return await watch.guard(run(watch.signal))
    },
    {
      async *list(folder, signal) {
        using watch = new Watch(signal, deadlines.metadata, 0, 'list')
        yield* aroundPages(inner.list(folder, watch.signal), (next) => watch.guard(next()))
      },
      async *read(place, start, end, rev, signal) {
        using watch = new Watch(signal, deadlines.read, 0, 'read')
        const chunks = inner.read(place, start, end, rev, watch.signal)[Symbol.asyncIterator]()
        let finished = false
        try {
          for (;;) {
            const step = await watch.guard(chunks.next())
            finished = step.done === true
            if (step.done) return
            yield step.value
          }
        } finally {
          // Not awaited: a connector that hangs in `next` would hang here too.
          if (!finished) chunks.return?.().catch(() => undefined)
        }
      },
      async write(place, type, source, options, signal) {
        using watch = new Watch(signal, deadlines.write, deadlines.grace, 'write')
        return await watch.guard(inner.write(place, type, watchedSource(source, watch), watchedOptions(options, watch), watch.signal))
      },
    },
  )
}

function durationOf(operation: Operation, deadlines: Deadlines): number {
  switch (operation) {
    case 'move':
    case 'copy':
    case 'setAttributes':
    case 'sweep':
      return deadlines.copying
    default:
      return deadlines.metadata
  }
}

function watchedSource(source: UploadSource, watch: Watch): UploadSource {
  return {
    size: source.size,
    read: async (start, end, signal) => {
      watch.touch()
      return await source.read(start, end, signal)
    },
  }
}

function watchedOptions(options: WriteOptions, watch: Watch): WriteOptions {
  return {
    ...options,
    saveHandle: async (handle) => {
      await options.saveHandle(handle)
      watch.touch()
    },
    onProgress: (bytes) => {
      watch.touch()
      options.onProgress(bytes)
    },
  }
}

/** A timer that starts with each guarded promise, and a signal that follows the caller's. */
class Watch implements Disposable {
  readonly #controller = new AbortController()
  readonly #outer: AbortSignal
  readonly #grace: number
  readonly #timer: NodeJS.Timeout
  readonly #onAbort: () => void
  #graceTimer: NodeJS.Timeout | undefined
  #givenUp: CloudError | null = null
  #fail: ((error: CloudError) => void) | null = null

  constructor(outer: AbortSignal, milliseconds: number, grace: number, what: string) {
    if (outer.aborted) throw CloudError.from(outer.reason)
    this.#outer = outer
    this.#grace = grace
    this.#onAbort = () => this.#giveUp(CloudError.from(outer.reason))
    outer.addEventListener('abort', this.#onAbort, { once: true })
    this.#timer = setTimeout(() => {
      // Between two steps of a stream it is the consumer who takes its time.
      if (this.#fail) this.#giveUp(new CloudError('timeout', `${what}: no answer for ${milliseconds / 1000} s`))
    }, milliseconds)
  }

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  /** Progress was made: the time starts anew. */
  touch(): void {
    this.#timer.refresh()
  }

  guard<T>(promise: Promise<T>): Promise<T> {
    this.#timer.refresh()
    return new Promise<T>((resolve, reject) => {
      this.#fail = reject
      promise.then(
        (value) => {
          this.#fail = null
          if (this.#givenUp) reject(this.#givenUp)
          else resolve(value)
        },
        (caught: unknown) => {
          this.#fail = null
          reject(this.#givenUp ?? CloudError.from(caught))
        },
      )
    })
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    clearTimeout(this.#graceTimer)
    this.#outer.removeEventListener('abort', this.#onAbort)
  }

  #giveUp(error: CloudError): void {
    if (this.#givenUp) return
    this.#givenUp = error
    this.#controller.abort(error)
    if (this.#grace === 0) this.#fail?.(error)
    else this.#graceTimer = setTimeout(() => this.#fail?.(error), this.#grace)
  }
}
