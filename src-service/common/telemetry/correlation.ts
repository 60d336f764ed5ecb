import { AsyncLocalStorage } from 'node:async_hooks'

const current = new AsyncLocalStorage<string>()

/** Runs `work`; every log line it leads to carries this id. */
export function withCorrelation<T>(id: string, work: () => T): T {
  return current.run(id, work)
}

/** Id of the call that leads here; undefined outside of calls. */
export function correlationId(): string | undefined {
  return current.getStore()
}
