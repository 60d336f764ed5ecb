import { pause, systemClock } from '../../../common/clock.ts'
import { CloudError } from '../../../common/errors.ts'
import type { WriteLog } from '../../../common/telemetry/log.ts'

/** Where a feed takes its items from while somebody listens. */
export interface LiveSource<Item> {
  /** What is new. */
  next(signal: AbortSignal): Promise<readonly Item[]>
  close(): Promise<void>
}

/** One look for all listeners, four times a second, and none while nobody listens. */
export class LiveFeed<Item> {
  readonly #open: () => LiveSource<Item>
  readonly #log: WriteLog
  readonly #listeners = new Set<(items: readonly Item[]) => void>()
  #running: AbortController | null = null

  constructor(open: () => LiveSource<Item>, log: WriteLog) {
    this.#open = open
    this.#log = log
  }

  subscribe(listener: (items: readonly Item[]) => void): () => void {
    this.#listeners.add(listener)
    if (this.#running === null) {
      this.#running = new AbortController()
      void this.#run(this.#running.signal)
    }
    return () => {
      this.#listeners.delete(listener)
      if (this.#listeners.size > 0) return
      this.#running?.abort()
      this.#running = null
    }
  }

  async #run(signal: AbortSignal): Promise<void> {
    const source = this.#open()
    while (!signal.aborted) {
      try {
        const items = await source.next(signal)
        if (items.length > 0) for (const listener of this.#listeners) listener(items)
      } catch (caught) {
        this.#log('debug', 'a look for events failed', { error: CloudError.from(caught) })
      }
      await pause(systemClock, lookMs, signal)
    }
    await source.close().catch(() => {})
  }
}

const lookMs = 250
