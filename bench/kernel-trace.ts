/** Counts what the kernel sees, through its trace buffer: FUSE requests by opcode, and who syncs. */
import { readFile, rmdir, writeFile, mkdir } from 'node:fs/promises'
import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { threadsOf } from './ground.ts'

const folder = '/sys/kernel/tracing/instances/cloudmoor-bench'
const events = ['fuse/fuse_request_send', 'syscalls/sys_enter_fsync', 'syscalls/sys_enter_fdatasync']

export interface Counts {
  /** By opcode without its prefix, such as LOOKUP. */
  readonly requests: Readonly<Record<string, number>>
  readonly fsyncs: number
}

export interface KernelTrace extends AsyncDisposable {
  /** Counts since the last call. @param connection device minor number of the mount @param pids whose syncs count */
  take(connection: number, pids: readonly number[]): Promise<Counts>
}

/** Null where the kernel cannot trace, or we may not. */
export async function openKernelTrace(): Promise<KernelTrace | null> {
  try {
    await promisify(execFile)('mount', ['-t', 'tracefs', 'none', '/sys/kernel/tracing']).catch(() => undefined)
    await rmdir(folder).catch(() => undefined)
    await mkdir(folder)
    await writeFile(`${folder}/buffer_size_kb`, '32768')
    for (const event of events) await writeFile(`${folder}/events/${event}/enable`, '1')
  } catch {
    await rmdir(folder).catch(() => undefined)
    return null
  }
  return {
    async take(connection, pids) {
      const threads = await threadsOf(pids)
      const lines = (await readFile(`${folder}/trace`, 'utf8')).split('\n')
      await writeFile(`${folder}/trace`, '')
      const requests: Record<string, number> = {}
      let fsyncs = 0
      for (const line of lines) {
        const request = /connection (\d+) req \d+ opcode \d+ \((?:FUSE_)?(\w+)\)/.exec(line)
        if (request?.[2] !== undefined) {
          if (Number(request[1]) === connection) requests[request[2]] = (requests[request[2]] ?? 0) + 1
        } else if (/sys_(enter_)?f(data)?sync/.test(line) && threads.has(Number(/-(\d+)\s+\[/.exec(line)?.[1]))) fsyncs += 1
      }
      return { requests, fsyncs }
    },
    async [Symbol.asyncDispose]() {
      for (const event of events) await writeFile(`${folder}/events/${event}/enable`, '0').catch(() => undefined)
      await rmdir(folder).catch(() => undefined)
    },
  }
}
