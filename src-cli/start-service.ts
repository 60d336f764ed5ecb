import type { ChildProcess } from 'node:child_process'
import { spawn } from 'node:child_process'
import { open, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { exitCodes } from './exit-codes.ts'
import { Failure } from './failure.ts'
import { makeFolders } from './local-files.ts'
import { installation, stateFolder } from './places.ts'
import type { Service } from './service.ts'
import { connectTo, isGone } from './service.ts'

const deadlineMs = 30_000
const shownLines = 15

/** The service that answers, or the user's own, started now. With `--server` nothing is started: it may be anybody's. */
export async function connectOrStart(server: string | undefined, environment: NodeJS.ProcessEnv): Promise<Service> {
  try {
    return await connectTo(server)
  } catch (error) {
    if (server !== undefined || !isGone(error)) throw error
    return startService(environment, [])
  }
}

/** Starts the user's own service, detached, and waits until it answers. Throws a Failure with the last lines it wrote. */
export async function startService(environment: NodeJS.ProcessEnv, flags: readonly string[]): Promise<Service> {
  const state = stateFolder(environment)
  await makeFolders(state)
  const logPath = join(state, 'service-start.log')
  const log = await open(logPath, 'w', 0o600)
  // Not below the caller's folder: the service would keep that file system busy.
  const child = spawn(join(installation, 'bin', 'cloudmoor-service'), flags, {
    cwd: '/',
    env: environment,
    detached: true,
    stdio: ['ignore', log.fd, log.fd],
  })
  let ended: string | undefined
  child.once('error', (error) => (ended = error.message))
  child.once('exit', (code, signal) => (ended = signal === null ? `it ended with code ${code ?? 0}` : `it was ended by ${signal}`))
  child.unref()
  await log.close()
  const until = performance.now() + deadlineMs
  for (let pause = 10; performance.now() < until && ended === undefined; pause = Math.min(pause * 1.5, 25)) {
    const service = await tryConnect()
    if (service !== undefined) return onlyOne(service, child)
    await sleep(pause)
  }
  const other = await tryConnect()
  if (other !== undefined) return onlyOne(other, child)
  if (ended === undefined) child.kill('SIGTERM')
  throw new Failure(`the service did not start: ${ended ?? `no answer within ${deadlineMs / 1000} s`}${await lastLines(logPath)}`, {
    exitCode: exitCodes.noService,
    reason: 'SERVICE_START',
    hint: 'cloudmoor doctor',
  })
}

/** Somebody else may have started a service at the same moment. Then ours waits for the home, and would come up when that one stops. */
async function onlyOne(service: Service, child: ChildProcess): Promise<Service> {
  const { pid } = await service.system.getStatus({})
  if (pid !== child.pid) child.kill('SIGTERM')
  return service
}

async function tryConnect(): Promise<Service | undefined> {
  try {
    return await connectTo(undefined)
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

async function lastLines(path: string): Promise<string> {
  const text = await readFile(path, 'utf8').catch(() => '')
  const lines = text.trimEnd().split('\n').slice(-shownLines)
  return text.trim() === '' ? '' : `; its last lines (${path}):\n${lines.map((line) => `  ${line}`).join('\n')}`
}
