/** A server that runs for a test file: started on a free port, waited for, ended for sure. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ServerCommand {
  /** For messages. */
  readonly name: string
  readonly path: string
  readonly args: readonly string[]
  /** Nothing else of the environment than this and PATH. */
  readonly env?: Readonly<Record<string, string>>
  readonly cwd?: string
  /** Asked every 50 ms. */
  readonly isReady: () => Promise<boolean>
}

export interface ServerProcess {
  readonly pid: number
  /** Ends it with SIGKILL, with all that it started. */
  stop(): Promise<void>
}

const readyMs = 30_000

/** Resolves when it is ready. @throws Error with its last words, if it ends before or is not ready within 30 s */
export async function startServerProcess({ name, path, args, env, cwd, isReady }: ServerCommand): Promise<ServerProcess> {
  // A group of its own: some servers have workers, which outlive them.
  const child = spawn(path, args, {
    env: { PATH: process.env['PATH'], CLOUDMOOR_TEST_RUN: process.env['CLOUDMOOR_TEST_RUN'], ...env },
    cwd,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  let said = ''
  const hear = (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-2000)
  }
  child.stdout.on('data', hear)
  child.stderr.on('data', hear)
  const failed = once(child, 'error').then(([error]: unknown[]) => {
    throw error
  })
  failed.catch(() => undefined)
  const stop = async () => {
    if (child.pid === undefined) return
    const gone = child.exitCode === null && child.signalCode === null ? once(child, 'exit') : null
    try {
      process.kill(-child.pid, 'SIGKILL')
    } catch {
      // All of the group is gone already.
    }
    await gone
  }
  try {
    const end = Date.now() + readyMs
    while (!(await Promise.race([isReady(), failed]))) {
      if (child.exitCode !== null || child.signalCode !== null)
        throw new Error(`${name} ended with ${child.exitCode ?? child.signalCode}: ${said}`)
      if (Date.now() > end) throw new Error(`${name} was not ready within ${readyMs / 1000} s: ${said}`)
      await sleep(50)
    }
  } catch (error) {
    await stop()
    throw error
  }
  return { pid: child.pid ?? 0, stop }
}

/** True as soon as the address answers with one of these. */
export async function answersWith(url: string, ...statuses: number[]): Promise<boolean> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(5000) }).catch(() => null)
  await answer?.body?.cancel()
  return answer !== null && statuses.includes(answer.status)
}

export async function freePort(): Promise<number> {
  const server = createServer()
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  await once(server, 'close')
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}
