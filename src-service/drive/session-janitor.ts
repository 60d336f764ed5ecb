import type { Clock } from '../common/clock.ts'
import { CloudError } from '../common/errors.ts'
import type { Reachability } from './cache/reachability.ts'
import type { UploadQueue } from './cache/sync.ts'
import type { Connector } from './connectors/connector.ts'
import type { DriveOptions } from './drive-contract.ts'

interface JanitorParts {
  readonly connector: Connector
  readonly queue: UploadQueue
  readonly reachability: Reachability
  readonly clock: Clock
  readonly log: DriveOptions['log']
  /** Milliseconds without a new part after which an upload that nobody knows counts as left behind. */
  readonly idleMs: number
}

const firstAfter = 60_000
const every = 6 * 3_600_000
const sweepMs = 60_000

/**
 * Ends uploads at the provider that nobody will go on with: those of a database that was lost, or of a version that was replaced.
 * They are invisible, and cost. Looks a minute after the drive opens, every few hours, and when it is told to.
 */
export class SessionJanitor {
  readonly #parts: JanitorParts
  readonly #ended = new AbortController()
  #cancel: () => void

  constructor(parts: JanitorParts) {
    this.#parts = parts
    this.#cancel = parts.clock.after(firstAfter, () => this.#turn())
  }

  /** Never fails: what it could not end is found the next time. */
  async sweep(signal: AbortSignal): Promise<void> {
    const { connector, queue, reachability, clock, log, idleMs } = this.#parts
    if (connector.sweep === undefined || reachability.failFast() !== undefined) return
    try {
      const either = AbortSignal.any([signal, this.#ended.signal, AbortSignal.timeout(sweepMs)])
      const ended = await connector.sweep(queue.handles(), clock.now() - idleMs, either)
      if (ended > 0) log('info', `ended ${ended} uploads that were left behind at the provider`)
    } catch (caught) {
      const error = CloudError.from(caught)
      log('debug', `uploads that were left behind could not be looked for: ${error.message}`, { kind: error.kind })
    }
  }

  close(): void {
    this.#ended.abort(new CloudError('cancelled', 'the drive is closing'))
    this.#cancel()
  }

  #turn(): void {
    void this.sweep(this.#ended.signal)
    this.#cancel = this.#parts.clock.after(every, () => this.#turn())
  }
}
