import { access } from 'node:fs/promises'
import type { Method, Methods, OpenDrive, WorkerEvent } from '../../common/frames/messages.ts'
import { type RateUser, rateUser, type Seat } from './account-rates.ts'
import type { WorkerPool } from './worker-pool.ts'

const openMs = 120_000
const exitMs = 15_000

/** Asks the worker of one drive. */
export type CallDrive = <M extends Method>(method: M, params: Methods[M]['params'], deadlineMs: number) => Promise<Methods[M]['result']>

/**
 * Opens the drive of a mount that is not mounted, for as long as `work` takes: to count what it has not uploaded, to upload it,
 * to list it. `never()` if it was never opened. Throws `busy` while it is mounted, `damaged` …
 */
export async function withDrive<T>(
  parts: { readonly pool: WorkerPool; readonly join: (user: RateUser) => Promise<Seat> },
  open: OpenDrive,
  signal: AbortSignal,
  never: () => T,
  work: (call: CallDrive) => Promise<T>,
): Promise<T> {
  if (!(await exists(open.folder))) return never()
  const worker = await parts.pool.take()
  const call: CallDrive = (method, params, deadlineMs) => worker.link.call(method, params, { deadlineMs, signal })
  const seat = await parts.join(rateUser(open.mountId, call))
  worker.listen({ onEvent: (event) => hear(seat, event), onLost: () => {} })
  try {
    await call('open', { ...open, requestsPerSecond: seat.share }, openMs)
    return await work(call)
  } finally {
    await worker.exit(exitMs)
    seat.leave()
  }
}

function hear(seat: Seat, event: WorkerEvent): void {
  if (event.event === 'demand') seat.demanded(event)
  if (event.event === 'throttled') seat.throttled(event.milliseconds)
}

function exists(folder: string): Promise<boolean> {
  return access(folder).then(
    () => true,
    () => false,
  )
}
