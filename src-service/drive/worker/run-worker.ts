import { CloudError, unreachable } from '../../common/errors.ts'
import { adoptionProtocol, type Hello } from '../../common/frames/adoption.ts'
import type { OpenDrive, Request, WorkerEvent } from '../../common/frames/messages.ts'
import { browseAccount, type OpenConnector, probeAccount } from './account-tasks.ts'
import { type DriveParts, HostedDrive, type HostedDriveHost } from './hosted-drive.ts'
import { ServiceLink, type WorkerTasks } from './service-link.ts'
import type { Log } from './worker-log.ts'

export interface WorkerParts extends DriveParts {
  readonly openConnector: OpenConnector
  /** Opens the log of what this worker is for, once; lines before that go to the standard output. */
  readonly openLog: (file: string, level: OpenDrive['logLevel']) => Promise<WorkerLog>
  /** Called before anything is read from a cloud. @param type of the connector */
  readonly dropRights: (type: string) => void
  /** Ends the process. */
  readonly exit: (code: number) => void
}

export interface WorkerLog {
  readonly write: Log
  forMount(mountId: string): { readonly write: Log }
  setLevel(level: OpenDrive['logLevel']): void
  close(): Promise<void>
}

export interface WorkerIdentity {
  readonly socket: string
  readonly id: string
  readonly version: string
  readonly bootId: string
}

/** An idle worker whose service is away ends: nothing of it would be missed. */
const idleMs = 30_000
/** SIGTERM: what is not persisted by then is persisted already by the rules of the journal. */
const quickCloseMs = 5_000

export interface RunningWorker {
  /** Persists, closes and ends the process. */
  end(): Promise<void>
  readonly log: Log
}

/** A mount worker: hosts drives for the service that connects, and goes on serving them while none is there. */
export function runWorker(parts: WorkerParts, identity: WorkerIdentity): RunningWorker {
  const worker = new MountWorker(parts, identity)
  return { end: () => worker.end(), log: worker.log }
}

class MountWorker implements WorkerTasks {
  readonly #parts: WorkerParts
  readonly #identity: WorkerIdentity
  readonly #drives = new Map<string, HostedDrive>()
  readonly #link: ServiceLink
  #opened = 0
  #log: WorkerLog | undefined
  #ending: Promise<void> | undefined
  #idle: NodeJS.Timeout | undefined

  constructor(parts: WorkerParts, identity: WorkerIdentity) {
    this.#parts = parts
    this.#identity = identity
    this.#link = new ServiceLink(parts.native, identity.socket, this, this.log)
    this.serviceWent()
  }

  readonly log: Log = (level, message, fields) => this.#say(undefined, level, message, fields)

  hello(): Hello {
    return {
      protocol: adoptionProtocol,
      workerVersion: this.#identity.version,
      pid: process.pid,
      bootId: this.#identity.bootId,
      workerId: this.#identity.id,
      mounts: [...this.#drives.values()].map((drive) => drive.held()),
    }
  }

  handOver(mountId: string): ReturnType<HostedDrive['handOver']> {
    return this.#hosted(mountId).handOver()
  }

  backing(mountId: string, ticket: number, backingId: number): void {
    this.#drives.get(mountId)?.answerBacking(ticket, backingId)
  }

  serviceCame(): void {
    clearTimeout(this.#idle)
  }

  serviceWent(): void {
    clearTimeout(this.#idle)
    this.#idle = setTimeout(() => {
      if (this.#drives.size === 0) void this.end()
    }, idleMs)
  }

  async run(request: Request, fds: readonly number[]): Promise<unknown> {
    if (request.method === 'attach') return this.#attach(request, fds)
    for (const fd of fds) this.#parts.native.closeFd(fd)
    return this.#runPlain(request)
  }

  end(): Promise<void> {
    this.#ending ??= this.#end()
    return this.#ending
  }

  async #end(): Promise<void> {
    const closing = Promise.allSettled([...this.#drives.values()].map((drive) => drive.close()))
    const late = new Promise((resolve) => setTimeout(resolve, quickCloseMs))
    await Promise.race([closing, late])
    this.#link.close()
    const log = this.#log
    // What comes after this goes to the standard output.
    this.#log = undefined
    await log?.close()
    this.#parts.exit(0)
  }

  async #attach(request: Request & { readonly method: 'attach' }, fds: readonly number[]): Promise<void> {
    try {
      await this.#hosted(request.params.mountId).attach(request.params, fds)
    } catch (caught) {
      for (const fd of fds) this.#parts.native.closeFd(fd)
      throw caught
    }
  }

  async #runPlain(request: Exclude<Request, { readonly method: 'attach' }>): Promise<unknown> {
    switch (request.method) {
      case 'open':
        return this.#open(request.params)
      case 'detach': {
        this.#hosted(request.params.mountId).detach()
        return
      }
      case 'close':
        return this.#close(request.params.mountId)
      case 'secrets': {
        this.#hosted(request.params.mountId).drive.setSecrets(request.params.secrets)
        return
      }
      case 'status':
        return this.#hosted(request.params.mountId).drive.status()
      case 'check': {
        await this.#hosted(request.params.mountId).drive.check()
        return
      }
      case 'metrics':
        return this.#hosted(request.params.mountId).metrics()
      case 'drain':
        return this.#hosted(request.params.mountId).drain(request.params.timeoutMs)
      case 'fileState':
        return this.#hosted(request.params.mountId).drive.fileState(request.params.path)
      case 'transfers':
        return this.#hosted(request.params.mountId).drive.transfers(request.params.limit)
      case 'drive':
        return this.#hosted(request.params.mountId).drive.answer(request.params.request)
      case 'retry': {
        this.#hosted(request.params.mountId).drive.retry(request.params.transferId)
        return
      }
      case 'probe':
        this.#parts.dropRights(request.params.type)
        return probeAccount(this.#parts.openConnector, request.params, this.log)
      case 'browse':
        this.#parts.dropRights(request.params.type)
        return browseAccount(this.#parts.openConnector, request.params, this.log)
      case 'serve':
        return this.#hosted(request.params.mountId).serve(request.params.port, request.params.token)
      case 'contents':
        return this.#hosted(request.params.mountId).contents()
      case 'rate':
        this.#hosted(request.params.mountId).drive.rate.set(request.params.requestsPerSecond)
        return
      case 'slowDown':
        this.#hosted(request.params.mountId).drive.rate.slowDown(request.params.milliseconds)
        return
      case 'ping':
        return {}
      case 'logLevel':
        return this.#log?.setLevel(request.params.level)
      case 'exit':
        // The answer goes out first.
        setImmediate(() => void this.end())
        return {}
      default:
        return unreachable(request)
    }
  }

  async #open(params: OpenDrive): Promise<void> {
    if (this.#drives.has(params.mountId)) throw new CloudError('exists', 'the drive is open already')
    this.#parts.dropRights(params.connector.type)
    this.#log ??= await this.#parts.openLog(params.logFile, params.logLevel)
    const log: Log = (level, message, fields) => this.#say(params.mountId, level, message, fields)
    const contentsSocket = `${this.#identity.socket.replace(/\.sock$/, '')}.h${this.#opened++}`
    const host: HostedDriveHost = { tell: (event: WorkerEvent, fds) => this.#link.tell(event, fds), log, contentsSocket }
    const drive = new HostedDrive(this.#parts, host, params)
    this.#drives.set(params.mountId, drive)
    try {
      await drive.open()
    } catch (caught) {
      this.#drives.delete(params.mountId)
      throw caught
    }
  }

  #say(mountId: string | undefined, level: Parameters<Log>[0], message: string, fields: Parameters<Log>[2]): void {
    const log = mountId === undefined ? this.#log : this.#log?.forMount(mountId)
    if (log !== undefined) log.write(level, message, fields)
    else if (level !== 'debug') console.error(`${level}: ${message}`)
  }

  async #close(mountId: string): Promise<void> {
    const drive = this.#hosted(mountId)
    await drive.close()
    this.#drives.delete(mountId)
    if (!this.#link.isConnected) this.serviceWent()
  }

  #hosted(mountId: string): HostedDrive {
    const drive = this.#drives.get(mountId)
    if (drive === undefined) throw new CloudError('not-found', 'this worker does not host the mount')
    return drive
  }
}
