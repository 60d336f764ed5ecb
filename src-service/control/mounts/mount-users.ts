import { execFile } from 'node:child_process'
import { scriptArguments } from './script.ts'

export interface MountUser {
  readonly pid: number
  readonly name: string
  /** `works in it`, `has /mnt/x/file open` */
  readonly how: string
}

const searchMs = 3_000

/**
 * Processes that use the mount on this path, as far as this user may see them; what was found when the time is over.
 * The search runs in a process of its own and never enters the mount.
 */
export function findMountUsers(path: string): Promise<readonly MountUser[]> {
  return new Promise((resolve) => {
    const args = [...scriptArguments('./mount-users-thread', import.meta.url), path]
    const options = { cwd: '/', timeout: searchMs, killSignal: 'SIGKILL' as const, env: {}, maxBuffer: 1024 * 1024 }
    execFile(process.execPath, args, options, (_error, out) => resolve(parseUsers(out)))
  })
}

function parseUsers(out: string): readonly MountUser[] {
  return out.split('\n').flatMap((line) => {
    const [pid, name, how] = line.split('\t')
    return pid === undefined || name === undefined || how === undefined ? [] : [{ pid: Number(pid), name, how }]
  })
}

/** `vim (4711) has /mnt/x/a.txt open, bash (12) works in it` */
export function describeUsers(users: readonly MountUser[]): string {
  if (users.length === 0) return 'by processes that this user may not see'
  const shown = users.slice(0, 5).map((user) => `${user.name} (${user.pid}) ${user.how}`)
  return shown.join(', ') + (users.length > shown.length ? ` and ${users.length - shown.length} more` : '')
}
