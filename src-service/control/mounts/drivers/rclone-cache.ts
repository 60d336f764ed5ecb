import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, pause } from '../../../common/clock.ts'

const pollMs = 100

/** Files that rclone was given and has not handed over yet: written, or about to be sent. It keeps them over restarts. */
export async function filesInHand(cacheFolder: string): Promise<number> {
  const all = await readdir(join(cacheFolder, 'vfsMeta'), { recursive: true, withFileTypes: true }).catch(() => [])
  let dirty = 0
  for (const entry of all) {
    if (entry.isFile() && isDirty(await readFile(join(entry.parentPath, entry.name), 'utf8').catch(() => ''))) dirty++
  }
  return dirty
}

/** Waits until there are none, `patienceMs` at most; returns how many are left. */
export async function untilHandedOver(clock: Clock, cacheFolder: string, patienceMs: number): Promise<number> {
  const end = clock.monotonic() + patienceMs
  for (;;) {
    const left = await filesInHand(cacheFolder)
    if (left === 0 || clock.monotonic() > end) return left
    await pause(clock, pollMs)
  }
}

/** A description that is being written, and cannot be read, is that of a file being written. */
function isDirty(text: string): boolean {
  try {
    return (JSON.parse(text) as { readonly Dirty?: unknown }).Dirty === true
  } catch {
    return text !== ''
  }
}
