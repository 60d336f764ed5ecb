import { statfs } from 'node:fs/promises'
import { type Clock, pause } from '../../common/clock.ts'
import type { MountHealth } from './mount-health.ts'
import type { AlertBook } from './watch-mounts.ts'

export interface DiskWatchParts {
  readonly mounts: { list(signal: AbortSignal): Promise<readonly MountHealth[]> }
  readonly alerts: AlertBook
  readonly clock: Clock
  /** Folder of the service's state. */
  readonly state: string
  /** Bytes that are left there. */
  readonly freeOf?: (folder: string) => Promise<number>
}

const everyMs = 60_000
const listMs = 30_000
/** Below this the next big file fills the disk. */
const little = 1024 ** 3
/** Enough again: what goes up and down around the bound is told once. */
const enough = 1.25 * little

/** Raises an alert while the disk of the state, or of a mount's cache, is nearly full. The result ends it. */
export function watchDisks({ mounts, alerts, clock, state, freeOf = freeBytes }: DiskWatchParts): () => void {
  const ended = new AbortController()
  const raised = new Set<string>()

  async function look(mountId: string, folder: string): Promise<void> {
    const free = await freeOf(folder)
    if (free > enough) {
      raised.delete(mountId)
      alerts.over(mountId, 'disk-nearly-full')
    }
    if (free >= little || raised.has(mountId)) return
    raised.add(mountId)
    const message = `the disk of ${folder} has ${Math.floor(free / 1024 ** 2)} MiB left`
    alerts.raise({ severity: 'warning', mountId, reason: 'disk-nearly-full', message })
  }

  async function run(): Promise<void> {
    while (!ended.signal.aborted) {
      const own = (await mounts.list(AbortSignal.timeout(listMs)).catch(() => [])).filter(({ record }) => record.cacheDir !== '')
      const places = [['', state] as const, ...own.map(({ record }) => [record.id, record.cacheDir] as const)]
      // One after the other: a disk that hangs holds up this look, nothing else.
      for (const [mountId, folder] of places) await look(mountId, folder).catch(() => {})
      await pause(clock, everyMs, ended.signal)
    }
  }

  void run()
  return () => ended.abort()
}

async function freeBytes(folder: string): Promise<number> {
  const { bavail, bsize } = await statfs(folder)
  return bavail * bsize
}
