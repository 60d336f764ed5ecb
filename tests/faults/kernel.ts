import { readFile } from 'node:fs/promises'
import { readFileSync } from 'node:fs'
import { run } from '../support/installation.ts'

const connections = '/sys/fs/fuse/connections'

/** Mounts the kernel's list of FUSE connections if it is not there. Null, or the reason why it cannot be had. */
export async function whyNoConnectionList(): Promise<string | null> {
  if (process.platform !== 'linux') return 'FUSE mounts need Linux'
  const mounted = (await readFile('/proc/self/mounts', 'utf8')).includes(` ${connections} fusectl `)
  if (mounted) return null
  const { code, stderr } = await run('mount', ['-t', 'fusectl', 'none', connections])
  return code === 0 ? null : `${connections} is not there and cannot be mounted: ${stderr.trim()}`
}

/** Number of the FUSE connection of a mount: the minor of its device, as the list names it. */
export async function connectionOf(mountPoint: string): Promise<number> {
  const info = await readFile('/proc/self/mountinfo', 'utf8')
  for (const line of info.split('\n')) {
    const fields = line.split(' ')
    const [, minor] = (fields[2] ?? '').split(':')
    if (fields[4] === mountPoint && minor !== undefined) return Number(minor)
  }
  throw new Error(`${mountPoint} is not mounted`)
}

/** Requests that the kernel has given out and has no answer to. */
export function waiting(connection: number): number {
  return Number(readFileSync(`${connections}/${connection}/waiting`, 'utf8'))
}

/** True as soon as a request waits, false after `timeoutMs`. Looks without a pause: what is done next meets the same request. */
export function untilWaiting(connection: number, timeoutMs: number): boolean {
  const end = performance.now() + timeoutMs
  while (performance.now() < end) {
    if (waiting(connection) > 0) return true
  }
  return false
}
