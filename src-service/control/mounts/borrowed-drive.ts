import { access } from 'node:fs/promises'
import type { Method, Methods, OpenDrive } from '../../common/frames/messages.ts'
import type { WorkerPool } from './worker-pool.ts'

const openMs = 120_000
const exitMs = 15_000

type Call = <M extends Method>(method: M, params: Methods[M]['params'], deadlineMs: number) => Promise<Methods[M]['result']>

/**
 * Opens the drive of a mount that is not mounted, for as long as `work` takes: to count what it has not uploaded, to upload it,
 * to list it. `never()` if it was never opened. Throws `busy` while it is mounted, `damaged` …
 */
export async function withDrive<T>(
  pool: WorkerPool,
  open: OpenDrive,
  signal: AbortSignal,
  never: () => T,
  work: (call: Call) => Promise<T>,
): Promise<T> {
  if (!(await exists(open.folder))) return never()
  const worker = await pool.take()
  try {
    await worker.link.call('open', open, { deadlineMs: openMs, signal })
    return await work((method, params, deadlineMs) => worker.link.call(method, params, { deadlineMs, signal }))
  } finally {
    await worker.exit(exitMs)
  }
}

function exists(folder: string): Promise<boolean> {
  return access(folder).then(
    () => true,
    () => false,
  )
}
