import { CloudError } from '../../../common/errors.ts'

interface Waiter {
  readonly resolve: () => void
  readonly reject: (error: CloudError) => void
}

/** Callers that wait for something to become true, each until its own signal ends it. */
export class Waiters<K> {
  readonly #waiting = new Map<K, Set<Waiter>>()

  wait(key: K, signal: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal.aborted) {
        reject(CloudError.from(signal.reason))
        return
      }
      const onAbort = (): void => {
        this.#remove(key, waiter)
        reject(CloudError.from(signal.reason))
      }
      const waiter: Waiter = {
        resolve: () => {
          signal.removeEventListener('abort', onAbort)
          resolve()
        },
        reject: (error) => {
          signal.removeEventListener('abort', onAbort)
          reject(error)
        },
      }
      signal.addEventListener('abort', onAbort, { once: true })
      const set = this.#waiting.get(key) ?? new Set()
      this.#waiting.set(key, set.add(waiter))
    })
  }

  keys(): K[] {
    return [...this.#waiting.keys()]
  }

  resolve(key: K): void {
    for (const waiter of this.#take(key)) waiter.resolve()
  }

  reject(key: K, error: CloudError): void {
    for (const waiter of this.#take(key)) waiter.reject(error)
  }

  #take(key: K): Set<Waiter> {
    const set = this.#waiting.get(key) ?? new Set()
    this.#waiting.delete(key)
    return set
  }

  #remove(key: K, waiter: Waiter): void {
    const set = this.#waiting.get(key)
    set?.delete(waiter)
    if (set?.size === 0) this.#waiting.delete(key)
  }
}
