import { readFile } from 'node:fs/promises'

/** Number of the FUSE connection of a mount: the minor of its device, as /sys/fs/fuse/connections names it. */
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
export async function waiting(connection: number): Promise<number> {
  return Number(await readFile(`/sys/fs/fuse/connections/${connection}/waiting`, 'utf8'))
}

/** Resolves true when a request waits, false after `timeoutMs`. */
export async function untilWaiting(connection: number, timeoutMs: number): Promise<boolean> {
  const end = performance.now() + timeoutMs
  while (performance.now() < end) {
    if ((await waiting(connection)) > 0) return true
  }
  return false
}
