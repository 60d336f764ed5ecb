import { CloudError } from '../../common/errors.ts'
import type { Body } from './http-body.ts'
import type { Headers, RequestHead } from './http-head.ts'

export interface HttpRequest extends RequestHead {
  /** An iterable's length stands in `content-length`; it is asked for its bytes once. */
  readonly body: Buffer | AsyncIterable<Buffer> | null
}

export interface HttpResponse {
  readonly status: number
  readonly headers: Headers
  /** Must be read to its end or cancelled: otherwise the connection is lost. */
  readonly body: Body
}

interface Promised {
  resolve(response: HttpResponse): void
  reject(error: CloudError): void
}

/** A request and who waits for its answer. */
export class Exchange {
  readonly request: HttpRequest
  /** What ended it, once something has. */
  error: CloudError | null = null
  /** Takes it out of where it is: the line, or a connection. */
  stop: (error: CloudError) => void = () => undefined
  readonly #signal: AbortSignal
  readonly #promised: Promised
  readonly #explain: (error: Error) => CloudError
  readonly #onAbort: () => void

  constructor(request: HttpRequest, signal: AbortSignal, explain: (error: Error) => CloudError, promised: Promised) {
    this.request = request
    this.#signal = signal
    this.#promised = promised
    this.#explain = explain
    this.#onAbort = () => this.stop(CloudError.from(signal.reason))
    signal.addEventListener('abort', this.#onAbort, { once: true })
  }

  /** The head of the answer is here. */
  answered(response: HttpResponse): void {
    this.#promised.resolve(response)
  }

  /** All of the answer is here. */
  finished(): void {
    this.#signal.removeEventListener('abort', this.#onAbort)
  }

  failed(caught: Error): void {
    this.finished()
    this.error ??= this.#explain(caught)
    this.#promised.reject(this.error)
  }
}
