import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { exitCodes } from '../exit-codes.ts'
import { Failure } from '../failure.ts'
import { safe, show } from '../output.ts'
import type { Service } from '../service.ts'
import { isGone } from '../service.ts'
import { queueText } from '../status-text.ts'
import { queueView } from '../views.ts'
import { durationFlag } from './flags.ts'
import { serviceLine, serviceView } from './status.ts'

/** `cloudmoor service …`. */
export function addServiceCommands(program: Command, cli: Cli): void {
  const service = program.command('service').description('the service that holds the mounts')
  service
    .command('start')
    .description('start it in the background, if none runs')
    .action(() => start(cli))
  service
    .command('stop')
    .description('upload what fits in the time, unmount, end; what is left stays queued and is named')
    .option('--timeout <duration>', 'longest wait for uploads; 0 = none', durationFlag)
    .action((flags: { readonly timeout?: number }) => stop(cli, flags.timeout))
  service
    .command('restart')
    .description('hand over to a new process; mounts stay up')
    .action(() => restart(cli))
  service
    .command('status')
    .description('show the service')
    .action(() => status(cli))
}

async function start(cli: Cli): Promise<void> {
  const view = await serviceView(await cli.connectOrStart())
  show(cli.output, view, () => serviceLine(view))
}

async function status(cli: Cli): Promise<void> {
  const view = await serviceView(await cli.connect())
  show(cli.output, view, () => `${serviceLine(view)}\nState:  ${safe(view.stateDir)}\nQueue:  ${queueText(view.queue)}`)
}

async function stop(cli: Cli, seconds: number | undefined): Promise<void> {
  const service = await cli.connect()
  const { pid } = await service.system.getStatus({})
  const request = seconds === undefined ? {} : { uploadTimeout: { seconds: BigInt(seconds) } }
  const answer = await service.system.shutdown(request, { timeoutMs: ((seconds ?? 600) + 120) * 1000, signal: cli.signal })
  service.close()
  await until(() => Promise.resolve(!isAlive(pid)), 30_000, `process ${pid} does not end`)
  const unsent = answer.unsent.map((mount) => ({ name: mount.name, queue: queueView(mount.queue) }))
  show(cli.output, { stopped: true, pid, unsent }, () =>
    [
      'the service has ended',
      ...unsent.map((mount) => `still queued, kept for the next start: ${safe(mount.name)}: ${queueText(mount.queue)}`),
    ].join('\n'),
  )
}

async function restart(cli: Cli): Promise<void> {
  const service = await cli.connect()
  const before = await service.system.getStatus({})
  await service.system.restart({})
  service.close()
  const next = await nextService(cli, before.pid)
  const view = await serviceView(next)
  show(cli.output, view, () => serviceLine(view))
}

/** Waits for the service that takes the place of the one with this process id. */
export async function nextService(cli: Cli, pid: number): Promise<Service> {
  // Until it has ended the old one may still answer.
  await until(() => Promise.resolve(!isAlive(pid)), 60_000, `process ${pid} does not end`)
  let next: Service | undefined
  await until(
    async () => {
      next = await replaced(cli, pid)
      return next !== undefined
    },
    60_000,
    'the new service does not answer',
  )
  if (next === undefined) throw new Error('waited for nothing')
  return next
}

/** The service that took the place of the one with this process id; undefined as long as there is none. */
async function replaced(cli: Cli, pid: number): Promise<Service | undefined> {
  try {
    const service = await cli.connect()
    return (await service.system.getStatus({})).pid === pid ? undefined : service
  } catch (error) {
    if (isGone(error)) return undefined
    throw error
  }
}

async function until(condition: () => Promise<boolean>, deadlineMs: number, message: string): Promise<void> {
  const end = performance.now() + deadlineMs
  while (!(await condition())) {
    if (performance.now() > end) {
      throw new Failure(`${message} within ${deadlineMs / 1000} s`, {
        exitCode: exitCodes.failed,
        reason: 'TIMEOUT',
        hint: 'cloudmoor logs -n 50',
      })
    }
    await sleep(50)
  }
}

/** Signal 0 only asks; a process of another user answers EPERM, which also means that it is there. */
function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}
