import { CloudError } from '../../common/errors.ts'
import { Gate } from './gate.ts'
import { startWorker, type WorkerHost, type WorkerProcess } from './worker-process.ts'

/** The next spare is started when the worker that was taken says that it is at work, at the latest after this. */
const refillMs = 1_000
/** Many mounts at a service's start: more processes at a time only make each of them later. */
const parallelStarts = 4

/**
 * Keeps one worker started and idle, so that a mount whose worker died waits for no process to start. A worker serves
 * one purpose and is never given back.
 */
export class WorkerPool {
  readonly #host: WorkerHost
  readonly #starts = new Gate(parallelStarts)
  #spare: Promise<WorkerProcess> | undefined
  #cancelRefill: () => void = () => {}
  #closed = false

  constructor(host: WorkerHost) {
    this.#host = host
  }

  /** Starts a spare if there is none: at the service's start, and as soon as the one before has taken up its work. */
  warm(): void {
    if (this.#closed || this.#spare !== undefined) return
    this.#cancelRefill()
    const spare = this.#start()
    this.#spare = spare
    spare.then(
      (worker) => worker.listen({ onEvent: () => {}, onLost: () => this.#drop(spare) }),
      (error: unknown) => {
        this.#host.log('warn', 'no spare worker', { error: CloudError.from(error).message })
        this.#drop(spare)
      },
    )
  }

  /** A worker that does nothing yet. Throws `unavailable` when none can be started. */
  async take(): Promise<WorkerProcess> {
    if (this.#closed) throw new CloudError('unavailable', 'the service ends', { code: 'SHUTTING_DOWN' })
    const spare = this.#spare
    this.#spare = undefined
    this.#cancelRefill()
    this.#cancelRefill = this.#host.clock.after(refillMs, () => this.warm())
    if (spare !== undefined) {
      const worker = await spare.catch(() => undefined)
      if (worker !== undefined && !worker.isLost) return worker
    }
    return this.#start()
  }

  /** Ends the spare. Workers that were taken are their takers'. */
  async close(): Promise<void> {
    this.#closed = true
    this.#cancelRefill()
    const worker = await this.#spare?.catch(() => undefined)
    await worker?.terminate(1_000)
  }

  #start(): Promise<WorkerProcess> {
    return this.#starts.pass(() => startWorker(this.#host))
  }

  #drop(spare: Promise<WorkerProcess>): void {
    if (this.#spare !== spare) return
    this.#spare = undefined
    this.#cancelRefill = this.#host.clock.after(refillMs, () => this.warm())
  }
}
