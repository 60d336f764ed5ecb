/** The machine under the bench: its caches and memory before a trial, what processes cost. Linux, as root. */
import { execFile } from 'node:child_process'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { promisify } from 'node:util'

const run = promisify(execFile)
/** Ticks of /proc/PID/stat per second, on every Linux that Node runs on. */
const ticks = 100
const touched = 4 * 1024 ** 3

/** Nothing is cached: not what was written, not names, not pages. */
export async function dropCaches(): Promise<void> {
  await run('sync')
  await writeFile('/proc/sys/vm/drop_caches', '3')
}

/**
 * Touches 4 GiB and gives them back: a virtual machine whose host took idle memory away has it again, so that no trial pays for that.
 * At most half of what is free is taken.
 */
export async function touchMemory(): Promise<void> {
  const available = Number(/MemAvailable:\s+(\d+)/.exec(await readFile('/proc/meminfo', 'utf8'))?.[1] ?? 0) * 1024
  const bytes = Math.min(touched, Math.floor(available / 2))
  const program = `const b = Buffer.allocUnsafeSlow(${bytes}); for (let i = 0; i < b.length; i += 4096) b[i] = 1`
  // Where the host itself is short of memory this would take minutes, and help nobody.
  await run(process.execPath, ['-e', program], { timeout: 10_000, killSignal: 'SIGKILL' }).catch(() => undefined)
}

export interface Cost {
  /** Seconds of user and system time since the processes began. */
  readonly cpu: number
  /** Largest resident memory since `forgetPeaks`, MB, all processes together. */
  readonly peak: number
}

/** Of all these processes together; those that are gone count nothing. */
export async function costOf(pids: readonly number[]): Promise<Cost> {
  const costs = await Promise.all(
    pids.map(async (pid) => {
      const fields = (await proc(pid, 'stat')).replace(/^.*\) /, '').split(' ')
      const peak = Number(/VmHWM:\s+(\d+)/.exec(await proc(pid, 'status'))?.[1] ?? 0) / 1000
      return { cpu: (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / ticks, peak }
    }),
  )
  return { cpu: sum(costs.map(({ cpu }) => cpu)), peak: sum(costs.map(({ peak }) => peak)) }
}

export async function forgetPeaks(pids: readonly number[]): Promise<void> {
  await Promise.all(pids.map((pid) => writeFile(`/proc/${pid}/clear_refs`, '5').catch(() => undefined)))
}

/** Proportional memory (shared pages divided among their users) of all these processes, MB. */
export async function proportionalMemory(pids: readonly number[]): Promise<number> {
  const sizes = await Promise.all(pids.map(async (pid) => Number(/^Pss:\s+(\d+)/m.exec(await proc(pid, 'smaps_rollup'))?.[1] ?? 0) / 1000))
  return sum(sizes)
}

/** Threads of these processes. */
export async function threadsOf(pids: readonly number[]): Promise<ReadonlySet<number>> {
  const lists = await Promise.all(pids.map((pid) => readdir(`/proc/${pid}/task`).catch(() => [])))
  return new Set(lists.flat().map(Number))
}

function proc(pid: number, file: string): Promise<string> {
  return readFile(`/proc/${pid}/${file}`, 'utf8').catch(() => '')
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0)
}
