import { readdir, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import { type Adopted, adoptionProtocol, type HeldMount } from '../../common/frames/adoption.ts'
import { layoutVersion } from '../../common/native/native.ts'
import { findWorker, type WorkerHost, type WorkerProcess } from './worker-process.ts'

/** A mount that a worker of an earlier service serves. */
export interface AdoptedMount {
  readonly worker: WorkerProcess
  readonly held: HeldMount
  readonly adopted: Adopted
  readonly fds: readonly number[]
  /** The worker may stay: it is of this version and hosts this mount alone. */
  readonly current: boolean
}

const adoptMs = 10_000
const quickExitMs = 5_000

/**
 * Finds the workers that an earlier service left and takes over what they serve. Workers that serve nothing, or what cannot be
 * taken over, are ended; their mounts are dead then.
 * @param version of this program
 */
export async function adoptWorkers(host: WorkerHost, version: string): Promise<readonly AdoptedMount[]> {
  const names = (await readdir(host.places.workers)).filter((name) => name.endsWith('.sock'))
  const found = await Promise.all(names.map((name) => adoptWorker(host, join(host.places.workers, name), version)))
  return found.flat()
}

async function adoptWorker(host: WorkerHost, socket: string, version: string): Promise<readonly AdoptedMount[]> {
  const worker = await reach(host, socket)
  if (worker === undefined) return []
  const { hello } = worker.link
  const attached = hello.mounts.filter((mount) => mount.state === 'HELD_STATE_ATTACHED' && mount.descriptors > 0)
  const adopted: AdoptedMount[] = []
  for (const held of attached) {
    const mount = await takeOver(host, worker, held, hello.workerVersion === version && hello.mounts.length === 1)
    if (mount !== undefined) adopted.push(mount)
  }
  if (adopted.length === 0) await worker.terminate(quickExitMs)
  return adopted
}

async function takeOver(host: WorkerHost, worker: WorkerProcess, held: HeldMount, current: boolean): Promise<AdoptedMount | undefined> {
  try {
    const { adopted, fds } = await worker.link.adopt(held.mountId, adoptMs)
    if (adopted.memoryLayout === layoutVersion && fds.length === 2) return { worker, held, adopted, fds, current }
    for (const fd of fds) host.native.closeFd(fd)
    host.log('warn', 'a mount of another version cannot be taken over', { mountId: held.mountId })
  } catch (caught) {
    host.log('warn', `a mount could not be taken over: ${CloudError.from(caught).message}`, { mountId: held.mountId })
  }
  return undefined
}

/** undefined if nobody is there to talk to; a process that listens and says nothing is ended. */
async function reach(host: WorkerHost, socket: string): Promise<WorkerProcess | undefined> {
  const seen: { pid?: number } = {}
  try {
    const worker = await findWorker(host, socket, (pid) => {
      seen.pid = pid
      // It may have been stopped.
      signalIfThere(pid, 'SIGCONT')
    })
    if (worker.link.hello.protocol === adoptionProtocol) return worker
    host.log('warn', 'a worker speaks another protocol', { pid: worker.pid })
    await worker.terminate(quickExitMs)
  } catch (caught) {
    host.log('info', `no worker behind ${socket}: ${CloudError.from(caught).message}`)
    if (seen.pid !== undefined) signalIfThere(seen.pid, 'SIGKILL')
  }
  await unlink(socket).catch(() => {})
  return undefined
}

function signalIfThere(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal)
  } catch {
    // It is gone.
  }
}
