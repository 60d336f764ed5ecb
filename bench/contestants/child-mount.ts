import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { promisify } from 'node:util'
import type { Prepared } from './contestant.ts'

export interface ChildCommand {
  readonly program: string
  /** Arguments, given the mount point and a folder for its cache. */
  readonly args: (path: string, cache: string) => readonly string[]
  readonly env: Readonly<Record<string, string>>
}

const readyMs = 30_000

/** A mount that is one child in the foreground. */
export async function childMount(folder: string, { program, args, env }: ChildCommand): Promise<Prepared> {
  const own = await mkdtemp(join(folder, 'mount-'))
  const path = join(own, 'mnt')
  const cache = join(own, 'cache')
  await mkdir(path)
  await mkdir(cache)
  let child: ReturnType<typeof spawn> | undefined
  const stop = async (): Promise<void> => {
    const running = child
    child = undefined
    await promisify(execFile)('umount', [path], { timeout: 30_000 }).catch(() => undefined)
    if (await connectionOf(path)) await letGo(path)
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return
    const gone = once(running, 'exit')
    const impatient = setTimeout(() => running.kill('SIGKILL'), 5000)
    running.kill('SIGTERM')
    await gone
    clearTimeout(impatient)
  }
  const pids = async (): Promise<readonly number[]> => (child?.pid === undefined ? [] : [child.pid])
  return {
    path,
    async start() {
      const running = spawn(program, args(path, cache), {
        env: { PATH: process.env['PATH'], HOME: own, ...env },
        stdio: ['ignore', 'ignore', 'pipe'],
      })
      child = running
      let said = ''
      running.stderr.on('data', (chunk: Buffer) => (said = (said + chunk.toString()).slice(-1000)))
      const end = performance.now() + readyMs
      while (!(await connectionOf(path))) {
        if (running.exitCode !== null || performance.now() > end) throw new Error(`${program} did not mount: ${said}`)
        await sleep(5)
      }
      await readdir(path)
    },
    stop,
    pids,
    sharedPids: async () => [],
    async dispose() {
      await stop()
      await rm(own, { recursive: true, force: true })
    },
  }
}

/** Minor device number of a mount, which is the number of its FUSE connection; 0 if nothing is mounted there. */
export async function connectionOf(path: string): Promise<number> {
  const line = (await readFile('/proc/self/mountinfo', 'utf8')).split('\n').find((entry) => entry.split(' ')[4] === path)
  return Number(line?.split(' ')[2]?.split(':')[1] ?? 0)
}

/** Ends a mount whose callers may hang in it. */
export async function letGo(path: string): Promise<void> {
  await writeFile(`/sys/fs/fuse/connections/${await connectionOf(path)}/abort`, '1').catch(() => undefined)
  await promisify(execFile)('umount', ['-l', path]).catch(() => undefined)
}
