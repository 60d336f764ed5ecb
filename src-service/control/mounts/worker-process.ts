import { type ChildProcess, spawn } from 'node:child_process'
import { open, readFile, unlink } from 'node:fs/promises'
import { join } from 'node:path'
import { type Clock, pause } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import type { WorkerEvent } from '../../common/frames/messages.ts'
import { newId } from '../../common/ids.ts'
import type { Native } from '../../common/native/native.ts'
import type { Places } from '../../common/paths.ts'
import type { WriteLog } from '../../common/telemetry/log.ts'
import { openWorkerLink, type WorkerLink } from './worker-link.ts'

export interface WorkerHost {
  readonly native: Native
  readonly clock: Clock
  readonly places: Pick<Places, 'workers' | 'logs'>
  readonly log: WriteLog
  /** Arguments of Node that run the worker's program. */
  readonly program: readonly string[]
}

export interface WorkerListener {
  /** Received descriptors belong to the listener. */
  onEvent(event: WorkerEvent, fds: readonly number[]): void
  /**
   * Once: the process is gone, or was killed and its main thread has ended while another one hangs in the kernel,
   * perhaps until a successor has answered what it waits for. Either way it reads and answers no more requests.
   */
  onLost(): void
}

const startMs = 15_000
const helloMs = 10_000
const pingEveryMs = 3_000
const silenceMs = 10_000
const afterKillMs = 500
/** The main thread itself hangs in the kernel: nobody may take over its memory before it ends. */
const stuckMs = 60_000
const watchEveryMs = 5

/** One mount worker, started here or found at a service's start. Its listener may change with its task. */
export class WorkerProcess {
  readonly link: WorkerLink
  readonly pid: number
  readonly id: string
  readonly #host: WorkerHost
  readonly #startedAt: string
  #listener: WorkerListener | undefined
  #lost = false
  #killed = false
  #lastPong: number
  #stopPinging: () => void = () => {}

  /** @param startedAt process start time as /proc tells it: a pid alone may belong to someone else by now */
  constructor(host: WorkerHost, link: WorkerLink, startedAt: string) {
    this.#host = host
    this.link = link
    this.pid = link.pid
    this.id = link.hello.workerId
    this.#startedAt = startedAt
    this.#lastPong = host.clock.monotonic()
    this.#schedulePing()
  }

  get isLost(): boolean {
    return this.#lost
  }

  /** Who is told from now on. Told at once if the worker is lost already. */
  listen(listener: WorkerListener): void {
    this.#listener = listener
    if (this.#lost) listener.onLost()
  }

  event(event: WorkerEvent, fds: readonly number[]): void {
    if (this.#listener !== undefined) {
      this.#listener.onEvent(event, fds)
      return
    }
    for (const fd of fds) this.#host.native.closeFd(fd)
  }

  isGone(): boolean {
    return this.#host.native.isGone(this.pid)
  }

  /** SIGKILL; `onLost` follows when it is gone, at the latest after half a second. */
  kill(reason: string): void {
    if (this.#killed) return
    this.#killed = true
    this.#host.log('warn', `worker ${this.id} is killed: ${reason}`, { pid: this.pid })
    void this.#signal('SIGKILL').then(() => this.#awaitEnd())
  }

  /** SIGTERM: the worker persists and ends quickly. Resolves when it is gone, or was killed after `patienceMs`. */
  async terminate(patienceMs: number): Promise<void> {
    if (!this.isGone()) await this.#signal('SIGTERM')
    await this.#untilGone(patienceMs)
    if (this.isGone()) return
    this.kill('it did not end when asked')
    await this.#untilGone(afterKillMs)
  }

  /** Asks it to close its drives and end. As `terminate`. */
  async exit(patienceMs: number): Promise<void> {
    await this.link.call('exit', {}, { deadlineMs: patienceMs }).catch(() => {})
    await this.terminate(patienceMs)
  }

  /** The link broke or the process ended: what counts is the process. */
  ended(): void {
    if (this.#lost || this.#killed) return
    if (this.isGone()) {
      this.#lose()
      return
    }
    void this.#untilGone(afterKillMs).then(() => (this.isGone() ? this.#lose() : this.kill('its channel broke')))
  }

  /** Lets it run on by itself: the service ends. */
  release(): void {
    this.#lost = true
    this.#stopPinging()
    this.link.close()
  }

  async #signal(signal: NodeJS.Signals): Promise<void> {
    if ((await statOf(this.pid)).startedAt !== this.#startedAt) return
    try {
      process.kill(this.pid, signal)
    } catch {
      // It is gone.
    }
  }

  async #awaitEnd(): Promise<void> {
    await this.#untilGone(afterKillMs)
    if (!this.isGone()) {
      this.#host.log('error', `worker ${this.id} hangs in the kernel`, { pid: this.pid })
      await this.#until(async () => this.isGone() || (await mainThreadEnded(this.pid)), stuckMs)
    }
    this.#lose()
  }

  #untilGone(patienceMs: number): Promise<void> {
    return this.#until(async () => this.isGone(), patienceMs)
  }

  async #until(isOver: () => Promise<boolean>, patienceMs: number): Promise<void> {
    const end = this.#host.clock.monotonic() + patienceMs
    while (!(await isOver()) && this.#host.clock.monotonic() < end) await pause(this.#host.clock, watchEveryMs)
  }

  #lose(): void {
    if (this.#lost) return
    this.#lost = true
    this.#stopPinging()
    this.link.close()
    void unlink(join(this.#host.places.workers, `${this.id}.sock`)).catch(() => {})
    this.#host.log('info', `worker ${this.id} is gone`, { pid: this.pid })
    this.#listener?.onLost()
  }

  #schedulePing(): void {
    const { clock } = this.#host
    const planned = clock.monotonic() + pingEveryMs
    this.#stopPinging = clock.after(pingEveryMs, () => {
      // A late timer means that this process stood still: the worker's answers may lie unread.
      if (clock.monotonic() - planned > pingEveryMs) this.#lastPong = clock.monotonic()
      if (clock.monotonic() - this.#lastPong > silenceMs) {
        this.kill(`it has not answered for ${silenceMs / 1000} s`)
        return
      }
      this.link.call('ping', {}, { deadlineMs: silenceMs }).then(
        () => {
          this.#lastPong = clock.monotonic()
        },
        () => {},
      )
      this.#schedulePing()
    })
  }
}

/** Starts a worker process and waits until it talks. Throws `unavailable` with what it said. */
export async function startWorker(host: WorkerHost): Promise<WorkerProcess> {
  const id = newId(10)
  const socket = join(host.places.workers, `${id}.sock`)
  const child = await spawnDetached(host, [...host.program, socket])
  try {
    return await connectUntilReady(host, socket, child)
  } catch (caught) {
    child.kill('SIGKILL')
    throw new CloudError('unavailable', `a worker did not start: ${CloudError.from(caught).message}`, {
      cause: caught,
      code: 'WORKER_UNAVAILABLE',
      hint: `See ${outputFile(host)}.`,
    })
  }
}

/** Connects to a worker that runs already. Throws when nobody listens there. @param onPeer told who listens, before it says anything */
export async function findWorker(host: WorkerHost, socket: string, onPeer?: (pid: number) => void): Promise<WorkerProcess> {
  const made: { worker?: WorkerProcess } = {}
  const link = await openWorkerLink({
    native: host.native,
    clock: host.clock,
    path: socket,
    uid: process.getuid?.() ?? -1,
    deadlineMs: helloMs,
    ...(onPeer === undefined ? {} : { onPeer }),
    onEvent: (event, fds) => made.worker?.event(event, fds),
    onClose: () => made.worker?.ended(),
  })
  const startedAt = (await statOf(link.pid)).startedAt
  made.worker = new WorkerProcess(host, link, startedAt)
  if (startedAt === '') made.worker.ended()
  return made.worker
}

async function connectUntilReady(host: WorkerHost, socket: string, child: ChildProcess): Promise<WorkerProcess> {
  const end = host.clock.monotonic() + startMs
  while (true) {
    if (child.exitCode !== null || child.signalCode !== null) throw new CloudError('unavailable', 'it ended at once')
    try {
      const worker = await findWorker(host, socket)
      child.on('exit', () => worker.ended())
      return worker
    } catch (caught) {
      if (host.clock.monotonic() > end) throw caught
    }
    await pause(host.clock, 5)
  }
}

async function spawnDetached(host: WorkerHost, args: readonly string[]): Promise<ChildProcess> {
  const output = await open(outputFile(host), 'a', 0o600)
  try {
    // A session of its own: it outlives this process and its terminal. Nothing but the output is inherited.
    const child = spawn(process.execPath, args, {
      cwd: '/',
      detached: true,
      stdio: ['ignore', output.fd, output.fd],
      env: workerEnvironment(),
    })
    child.on('error', (error) => host.log('error', 'a worker could not be started', { error: error.message }))
    child.unref()
    return child
  } finally {
    await output.close()
  }
}

/** What a worker prints beside its log: the last words of a crash. */
function outputFile(host: WorkerHost): string {
  return join(host.places.logs, 'worker-output.log')
}

/** Nothing of the service's environment but what names places, language and trust: what an account needs of it comes with its secrets. */
function workerEnvironment(): Record<string, string> {
  const kept = ['PATH', 'HOME', 'TZ', 'LANG', 'LC_ALL', 'SSL_CERT_FILE', 'SSL_CERT_DIR', 'NODE_EXTRA_CA_CERTS', 'NODE_COMPILE_CACHE']
  const found = kept.flatMap((name) => {
    const value = process.env[name]
    return value === undefined ? [] : [[name, value] as const]
  })
  // io_uring's threads would keep the kernel connection open beyond a SIGKILL.
  return { ...Object.fromEntries(found), UV_USE_IO_URING: '0', UV_THREADPOOL_SIZE: '16' }
}

async function mainThreadEnded(pid: number): Promise<boolean> {
  const { state } = await statOf(pid)
  return state === 'Z' || state === 'X' || state === ''
}

/** Of /proc/PID/stat; '' if it is gone. With its start time a pid names a process for ever. */
async function statOf(pid: number): Promise<{ readonly state: string; readonly startedAt: string }> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return { state: fields[0] ?? '', startedAt: fields[19] ?? '' }
}
