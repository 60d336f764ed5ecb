/** A connector that fails when told to. A test that plans a fault must see that it fired. */
import { CloudError } from '../../src-service/common/errors.ts'
import type { ErrorKind } from '../../src-service/common/errors.ts'
import type { Connector } from '../../src-service/drive/connectors/connector.ts'
import { aroundPages, wrapConnector } from '../../src-service/drive/connectors/wrap-connector.ts'
import type { Operation } from '../../src-service/drive/connectors/wrap-connector.ts'

export interface Fault {
  readonly operation: Operation
  /** From which call on, 1 is the next one. Default 1. Pages of listings count as calls. */
  readonly nth?: number
  /** How many calls fail from there. Default 1. */
  readonly times?: number
  /** `before`: nothing was done; `after`: it was done, the answer is lost; `midway` (reads): half of the bytes arrive. Default `before`. */
  readonly when?: 'before' | 'after' | 'midway'
  readonly kind: ErrorKind
  readonly retryAfterMs?: number
}

interface Planned extends Fault {
  seen: number
}

export class Faults {
  #planned: Planned[] = []
  /** Faults that happened. */
  fired = 0
  /** Calls that reached the connector below, by operation. */
  readonly calls = new Map<Operation, number>()

  plan(...faults: readonly Fault[]): void {
    this.#planned.push(...faults.map((fault) => ({ ...fault, seen: 0 })))
  }

  clear(): void {
    this.#planned = []
  }

  /** The fault that hits this call, if any. */
  strike(operation: Operation): Fault | null {
    let hit: Fault | null = null
    for (const fault of this.#planned) {
      if (fault.operation !== operation) continue
      fault.seen++
      const first = fault.nth ?? 1
      if (!hit && fault.seen >= first && fault.seen < first + (fault.times ?? 1)) hit = fault
    }
    if (hit) this.fired++
    if (hit?.when !== undefined && hit.when !== 'before') this.#count(operation)
    if (!hit) this.#count(operation)
    return hit
  }

  #count(operation: Operation): void {
    this.calls.set(operation, (this.calls.get(operation) ?? 0) + 1)
  }
}

export function failingConnector(inner: Connector, faults: Faults): Connector {
  async function struck<T>(operation: Operation, run: () => Promise<T>): Promise<T> {
    const fault = faults.strike(operation)
    if (!fault) return await run()
    if (fault.when === 'after') await run()
    throw errorOf(fault)
  }
  return wrapConnector(inner, (operation, signal, run) => struck(operation, () => run(signal)), {
    list: (folder, signal) => aroundPages(inner.list(folder, signal), (next) => struck('list', next)),
    async *read(place, start, end, rev, signal) {
      const fault = faults.strike('read')
      if (!fault || fault.when === 'midway') {
        yield* inner.read(place, start, fault ? start + Math.floor((end - start) / 2) : end, rev, signal)
      }
      if (fault) throw errorOf(fault)
    },
    write: (place, type, source, options, signal) => struck('write', () => inner.write(place, type, source, options, signal)),
  })
}

function errorOf({ kind, operation, retryAfterMs }: Fault): CloudError {
  return new CloudError(kind, `planned fault in ${operation}`, { ...(retryAfterMs !== undefined && { retryAfterMs }) })
}
