/** What the WebDAV servers share: a temporary folder, a process in it, and its end. */
import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { chmod, chown, mkdir, mkdtemp, readFile, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

export interface DavProcess {
  readonly name: string
  readonly program: string
  readonly args: (folder: string) => readonly string[]
  readonly libraries: string
  /** Address that answers when the server is up, whatever it says. */
  readonly ready: string
  /** Writes what the server reads. */
  readonly prepare: (folder: string) => Promise<void>
}

export interface StartedDav {
  readonly folder: string
  readonly data: string
  readonly stop: () => Promise<void>
}

/** Servers that root starts work as this user (nobody). */
const nobody = 65534

export async function startDavProcess(what: DavProcess): Promise<StartedDav> {
  const folder = await mkdtemp(join(tmpdir(), `cloudmoor-${what.name}-`))
  const data = join(folder, 'data')
  await mkdir(data)
  await what.prepare(folder)
  if (process.getuid?.() === 0) {
    await chmod(folder, 0o755)
    for (const name of await readdir(folder)) await chown(join(folder, name), nobody, nobody)
  }
  const child = spawn(what.program, what.args(folder), {
    env: { PATH: process.env['PATH'], HOME: folder, LD_LIBRARY_PATH: what.libraries, LANG: 'C.UTF-8' },
    cwd: folder,
    stdio: ['ignore', 'ignore', 'inherit'],
  })
  const stop = async () => {
    await end(child)
    await rm(folder, { recursive: true, force: true })
  }
  try {
    await waitUntilReady(what, child)
  } catch (error) {
    const said = await readFile(join(folder, 'error.log'), 'utf8').catch(() => '')
    await stop()
    throw new Error(`${what.name}: ${said.slice(-2000)}`, { cause: error })
  }
  return { folder, data, stop }
}

async function waitUntilReady({ name, ready }: DavProcess, child: ChildProcess): Promise<void> {
  const deadline = Date.now() + 15_000
  while (Date.now() < deadline) {
    if (child.exitCode !== null) throw new Error(`${name} ended with ${child.exitCode}`)
    const answer = await fetch(ready).catch(() => null)
    await answer?.body?.cancel()
    if (answer) return
    await sleep(30)
  }
  throw new Error(`${name} was not ready within 15 s`)
}

/** TERM, because both servers have children of their own to end. */
async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  const gone = once(child, 'exit')
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), 5_000)
  await gone
  clearTimeout(timer)
}
