/** Finds and removes what a failed test left behind: mounts below the run's temporary folder, processes of the run. Linux only. */
import { execFileSync } from 'node:child_process'
import { readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { kill, pid as ownPid } from 'node:process'
import { setTimeout as sleep } from 'node:timers/promises'

/** Environment variable that every process of a run inherits. */
export const runMark = 'CLOUDMOOR_TEST_RUN'

function read(file: string): string {
  try {
    return readFileSync(file, 'utf8')
  } catch {
    return '' // gone meanwhile, or not ours to read
  }
}

interface MountEntry {
  readonly point: string
  /** Minor device number: the number of the FUSE connection. */
  readonly connection: string
  readonly fuse: boolean
}

function mountsBelow(folder: string): MountEntry[] {
  return read('/proc/self/mountinfo')
    .split('\n')
    .map((line) => line.split(' '))
    .map((fields) => ({
      point: (fields[4] ?? '').replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(parseInt(digits, 8))),
      connection: fields[2]?.split(':')[1] ?? '',
      fuse: fields.slice(6).some((field) => /^fuse(\.|$)/.test(field)),
    }))
    .filter((mount) => mount.point.startsWith(`${folder}/`))
    .reverse()
}

/** By their environment, or, where a program was given a clean one, by a path on their command line. */
function processesOf(mark: string, temporaryFolder: string): number[] {
  const marked = (pid: number): boolean => read(`/proc/${pid}/environ`).split('\0').includes(`${runMark}=${mark}`)
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => pid !== ownPid && (marked(pid) || read(`/proc/${pid}/cmdline`).includes(`${temporaryFolder}/`)))
}

function attempt(action: () => void): void {
  try {
    action()
  } catch {
    // it went away by itself, or the next step deals with it
  }
}

/** One line for each thing found; afterwards it is gone. */
export async function clearLeftovers(mark: string, temporaryFolder: string): Promise<string[]> {
  if (process.platform !== 'linux') return []
  const found: string[] = []
  for (const mount of mountsBelow(temporaryFolder)) {
    found.push(`mount ${mount.point}`)
    // A dead server's callers would wait for ever; an aborted connection lets them go.
    if (mount.fuse) attempt(() => writeFileSync(`/sys/fs/fuse/connections/${mount.connection}/abort`, '1'))
    attempt(() => execFileSync('umount', ['-l', mount.point], { timeout: 10_000, stdio: 'ignore' }))
  }
  const pids = processesOf(mark, temporaryFolder)
  for (const pid of pids) {
    found.push(`process ${pid}: ${read(`/proc/${pid}/cmdline`).replaceAll('\0', ' ').slice(0, 200)}`)
    attempt(() => kill(pid, 'SIGTERM'))
  }
  for (let waited = 0; waited < 3000 && processesOf(mark, temporaryFolder).length > 0; waited += 100) await sleep(100)
  for (const pid of processesOf(mark, temporaryFolder)) attempt(() => kill(pid, 'SIGKILL'))
  return found
}
