/** Puts an end to calls that hang: the caller gets `timeout`, also from a connector that ignores its signal. */
import { CloudError } from '../../common/errors.ts'
import type { Connector, UploadSource, WriteOptions } from './connector.ts'
import { aroundPages, wrapConnector } from './wrap-connector.ts'
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
}

/** How long a write that was given up may take to end, ms. */
const longestSettling = 10_000

export const defaultDeadlines: Deadlines = { metadata: 15_000, read: 60_000, write: 120_000, copying: 600_000 }

export function withDeadline(inner: Connector, deadlines: Deadlines = defaultDeadlines): Connector {
  return wrapConnector(
    inner,
    async (operation, signal, run) => {
      using watch = new Watch(signal, durationOf(operation, deadlines), operation)
      return await watch.guard(run(watch.signal))
    },
    {
      async *list(folder, signal) {
        using watch = new Watch(signal, deadlines.metadata, 'list')
        yield* aroundPages(inner.list(folder, watch.signal), (next) => watch.guard(next()))
      },
      async *read(place, start, end, rev, signal) {
        using watch = new Watch(signal, deadlines.read, 'read')
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
        using watch = new Watch(signal, deadlines.write, 'write')
        const writing = inner.write(place, type, watchedSource(source, watch), watchedOptions(options, watch), watch.signal)
        try {
          return await watch.guard(writing)
        } catch (caught) {
          // The caller looks next whether the object was made: one that is made after that look would be nobody's.
          await settled(writing, Math.min(longestSettling, deadlines.write))
          throw caught
        }
      },
    },
  )
}

function settled(promise: Promise<unknown>, milliseconds: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds)
    const end = () => {
      clearTimeout(timer)
      resolve()
    }
    promise.then(end, end)
  })
}

function durationOf(operation: Operation, deadlines: Deadlines): number {
  switch (operation) {
    case 'move':
    case 'copy':
    case 'setAttributes':
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
  readonly #timer: NodeJS.Timeout
  readonly #onAbort: () => void
  #fail: ((error: CloudError) => void) | null = null

  constructor(outer: AbortSignal, milliseconds: number, what: string) {
    if (outer.aborted) throw CloudError.from(outer.reason)
    this.#outer = outer
    this.#onAbort = () => this.#end(CloudError.from(outer.reason))
    outer.addEventListener('abort', this.#onAbort, { once: true })
    this.#timer = setTimeout(() => {
      // Between two steps of a stream it is the consumer who takes its time.
      if (this.#fail) this.#end(new CloudError('timeout', `${what}: no answer for ${milliseconds / 1000} s`))
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
          resolve(value)
        },
        (caught: unknown) => {
          this.#fail = null
          reject(CloudError.from(caught))
        },
      )
    })
  }

  [Symbol.dispose](): void {
    clearTimeout(this.#timer)
    this.#outer.removeEventListener('abort', this.#onAbort)
  }

  #end(error: CloudError): void {
    const fail = this.#fail
    this.#controller.abort(error)
    fail?.(error)
  }
}
