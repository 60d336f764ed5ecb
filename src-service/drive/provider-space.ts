import type { Connector } from './connectors/connector.ts'
import type { FilesystemStats } from './vfs/filesystem.ts'

const refreshMs = 60_000
/** Shown where the provider names no limit: 1 PiB. */
const unlimited = 2 ** 50

/** Free space for statfs: always answered at once from what was last known, and asked for again behind. */
export class ProviderSpace {
  readonly #connector: Connector
  #last: FilesystemStats = { total: unlimited, free: unlimited, files: 0, freeFiles: 2 ** 32 }
  #askedAt = Number.NEGATIVE_INFINITY

  constructor(connector: Connector) {
    this.#connector = connector
  }

  stats(): FilesystemStats {
    if (performance.now() - this.#askedAt > refreshMs) {
      this.#askedAt = performance.now()
      void this.#ask()
    }
    return this.#last
  }

  async #ask(): Promise<void> {
    try {
      const usage = await this.#connector.usage(AbortSignal.timeout(15_000))
      const used = usage.used ?? 0
      const free = usage.free ?? (usage.total === null ? unlimited - used : Math.max(0, usage.total - used))
      this.#last = { ...this.#last, total: usage.total ?? free + used, free }
    } catch {
      // What was known goes on being shown; the connector's own conditions tell that it cannot be reached.
    }
  }
}
