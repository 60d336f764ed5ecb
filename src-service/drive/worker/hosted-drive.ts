import type { DriveMetrics, QueueCounts } from '../../common/drive-state.ts'
import { CloudError } from '../../common/errors.ts'
import type { Adopted, HeldMount } from '../../common/frames/adoption.ts'
import type { AttachDrive, OpenDrive, WorkerEvent } from '../../common/frames/messages.ts'
import { layoutVersion, type Native } from '../../common/native/native.ts'
import { type ContentsDoor, openContentsDoor } from '../dav/contents-door.ts'
import { type DavDoor, openDavDoor } from '../dav/dav-door.ts'
import { DavFiles, temporary } from '../dav/dav-files.ts'
import type { Drive, DriveOptions } from '../drive-contract.ts'
import type { Session, SessionOptions } from '../fuse/session.ts'
import { reportDemand } from './report-demand.ts'
import type { Log } from './worker-log.ts'

/** What a worker is made of; worker.ts puts in the real ones. */
export interface DriveParts {
  readonly native: Native
  readonly openDrive: (options: DriveOptions) => Promise<Drive>
  readonly openSession: (options: SessionOptions) => Session
}

export interface HostedDriveHost {
  readonly tell: (event: WorkerEvent, fds?: readonly number[]) => boolean
  readonly log: Log
  /** Where this drive may serve contents of files. */
  readonly contentsSocket: string
}

interface Attachment {
  readonly session: Session
  readonly fds: readonly [fuse: number, memory: number]
  readonly mountPoint: string
  readonly revision: number
}

/** How long the service may take to register a backing file; without it the file is served by requests. */
const backingMs = 2_000
/** While draining: how often it is looked whether anything can still leave. */
const drainLookMs = 500
const leftoversLooked = 10_000

/** One mount in this worker: its drive, and the kernel connection it serves. */
export class HostedDrive {
  readonly #parts: DriveParts
  readonly #host: HostedDriveHost
  readonly #options: OpenDrive
  readonly #backing = new Map<number, number>()
  readonly #tickets = new Map<number, (backingId: number) => void>()
  #nextTicket = 1
  readonly #underWay = new Set<string>()
  #door: DavDoor | undefined
  #contents: Promise<ContentsDoor> | undefined
  #stopReporting: () => void = () => undefined
  #drive: Drive | undefined
  #attachment: Attachment | undefined

  constructor(parts: DriveParts, host: HostedDriveHost, options: OpenDrive) {
    this.#parts = parts
    this.#host = host
    this.#options = options
  }

  get drive(): Drive {
    if (this.#drive === undefined) throw new CloudError('unavailable', 'the drive is not open')
    return this.#drive
  }

  async open(): Promise<void> {
    const { mountId, name, folder, connector, secrets, cacheSize, readOnly, held, uid, gid, umask, requestsPerSecond } = this.#options
    const { fsync, attributes, freshness, xattrs, writeBackSeconds, deadlines } = this.#options
    const drive = await this.#parts.openDrive({
      ...{ mountId, name, folder, connector, secrets, cacheSize, readOnly, held, uid, gid, umask },
      requestsPerSecond,
      ...{ fsync, attributes, freshness, xattrs, writeBackSeconds, deadlines },
      openBacking: readOnly ? (node, fd) => this.#openBacking(node, fd) : null,
      closeBacking: readOnly ? (node, id) => this.#closeBacking(node, id) : null,
      log: this.#log,
    })
    drive.onChange(() => this.#host.tell({ event: 'changed', mountId }))
    this.#drive = drive
    void this.#removeLeftovers(drive)
    this.#stopReporting = reportDemand(drive.rate, (event) => this.#host.tell({ ...event, mountId }))
  }

  /** Serves a kernel connection; resolves when what a predecessor left is answered. The descriptors are kept. */
  async attach(params: AttachDrive, fds: readonly number[]): Promise<void> {
    const [fuseFd, memoryFd] = fds
    if (fuseFd === undefined || memoryFd === undefined) throw new CloudError('invalid', 'descriptors are missing')
    if (this.#attachment !== undefined) throw new CloudError('exists', 'the drive serves a connection already')
    const { drive } = this
    for (const [node, backingId] of params.backing) this.#backing.set(node, backingId)
    if (params.takenOver) drive.tookOver(this.#backing)
    const session = this.#parts.openSession({
      native: this.#parts.native,
      fuseFd,
      memoryFd,
      filesystem: drive.filesystem,
      requestLog: drive.requestLog,
      takenOver: params.takenOver,
      allowPassthrough: params.allowPassthrough,
      deadlines: this.#options.deadlines,
      onClosed: () => this.#connectionEnded(),
      log: this.#log,
    })
    this.#attachment = { session, fds: [fuseFd, memoryFd], mountPoint: params.mountPoint, revision: params.revision }
    drive.setNotifier(session.notifier)
    try {
      await session.ready
      this.#log('info', params.takenOver ? 'serves the connection of its predecessor' : 'serves a new connection')
    } catch (caught) {
      this.detach()
      throw caught
    }
  }

  /** Serves a program of this machine that mounts by WebDAV. */
  async serve(port: number, token: string): Promise<{ readonly port: number }> {
    if (this.#door !== undefined) throw new CloudError('exists', 'the drive is served already')
    const { uid, gid, deadlines } = this.#options
    const { filesystem, requestLog } = this.drive
    const [readMs, underWay] = [deadlines.readMs, this.#underWay]
    const door = await openDavDoor({ filesystem, requestLog, uid, gid, token, port, readMs, underWay, log: this.#log })
    this.#door = door
    this.#log('info', 'serves on the loopback interface', { port: door.port })
    return { port: door.port }
  }

  /** Serves contents of files to the service, from the first time on that it asks for it. */
  async contents(): Promise<{ readonly socket: string }> {
    this.#contents ??= this.#openContents()
    return { socket: (await this.#contents).socket }
  }

  #openContents(): Promise<ContentsDoor> {
    const { uid, gid, deadlines } = this.#options
    const { filesystem, change } = this.drive
    const caller = { uid, gid, pid: process.pid }
    const files = new DavFiles({ filesystem, changes: { run: change }, caller, readMs: deadlines.readMs, underWay: this.#underWay })
    return openContentsDoor({ native: this.#parts.native, filesystem, files, socket: this.#host.contentsSocket })
  }

  /** Uploads by HTTP that a worker before this one did not finish: nobody will. */
  async #removeLeftovers(drive: Drive): Promise<void> {
    for (const { path } of drive.transfers(leftoversLooked)) {
      if (!path.slice(path.lastIndexOf('/') + 1).startsWith(temporary) || this.#underWay.has(path.slice(path.lastIndexOf('/') + 1)))
        continue
      await drive.answer({ call: 'remove', path, recursive: false }).catch((caught: unknown) => {
        this.#log('warn', `an unfinished upload stays: ${CloudError.from(caught).message}`)
      })
    }
  }

  /** Stops serving; unanswered requests stay in the request memory. */
  detach(): void {
    const attachment = this.#attachment
    if (attachment === undefined) return
    this.#attachment = undefined
    this.#drive?.setNotifier(null)
    attachment.session.stop()
    for (const fd of attachment.fds) this.#parts.native.closeFd(fd)
  }

  async close(): Promise<void> {
    this.detach()
    await this.#door?.close()
    await this.#contents?.then((door) => door.close())
    this.#stopReporting()
    const drive = this.#drive
    this.#drive = undefined
    await drive?.close()
  }

  /** Uploads until the queue is empty, nothing can leave any more, or the time is over. */
  async drain(timeoutMs: number): Promise<QueueCounts> {
    const { drive } = this
    const ended = new AbortController()
    const look = setInterval(() => {
      if (cannotUpload(drive)) ended.abort()
    }, drainLookMs)
    try {
      if (!cannotUpload(drive)) await drive.drain(AbortSignal.any([ended.signal, AbortSignal.timeout(Math.ceil(timeoutMs))]))
    } catch (caught) {
      const error = CloudError.from(caught)
      if (error.kind !== 'cancelled' && error.kind !== 'timeout') throw error
    } finally {
      clearInterval(look)
    }
    return drive.status().queue
  }

  metrics(): DriveMetrics {
    return { ...this.drive.metrics(), fuse: this.#attachment?.session.counters().operations ?? [] }
  }

  held(): HeldMount {
    const { mountId, folder } = this.#options
    const attachment = this.#attachment
    return {
      mountId,
      folder,
      state: attachment === undefined ? 'HELD_STATE_OPEN' : 'HELD_STATE_ATTACHED',
      mountPoint: attachment?.mountPoint ?? '',
      revision: String(attachment?.revision ?? 0),
      descriptors: attachment?.fds.length ?? 0,
    }
  }

  handOver(): { readonly adopted: Adopted; readonly fds: readonly number[] } {
    return {
      adopted: {
        mountId: this.#options.mountId,
        memoryLayout: layoutVersion,
        descriptors: this.#attachment === undefined ? [] : ['DESCRIPTOR_FUSE', 'DESCRIPTOR_REQUEST_MEMORY'],
        backingIds: [...this.#backing].map(([node, backingId]) => ({ node: String(node), backingId })),
      },
      fds: this.#attachment?.fds ?? [],
    }
  }

  answerBacking(ticket: number, backingId: number): void {
    this.#tickets.get(ticket)?.(backingId)
  }

  #connectionEnded(): void {
    const attachment = this.#attachment
    this.#attachment = undefined
    for (const fd of attachment?.fds ?? []) this.#parts.native.closeFd(fd)
    this.#backing.clear()
    this.#drive?.unmounted()
    this.#host.tell({ event: 'disconnected', mountId: this.#options.mountId })
  }

  #openBacking(node: number, fileFd: number): Promise<number> {
    const ticket = this.#nextTicket++
    return new Promise((resolve) => {
      const settle = (backingId: number) => {
        clearTimeout(timer)
        this.#tickets.delete(ticket)
        if (backingId > 0) this.#backing.set(node, backingId)
        resolve(backingId)
      }
      const timer = setTimeout(() => settle(0), backingMs)
      this.#tickets.set(ticket, settle)
      if (!this.#host.tell({ event: 'openBacking', mountId: this.#options.mountId, node, ticket }, [fileFd])) settle(0)
    })
  }

  #closeBacking(node: number, backingId: number): void {
    this.#backing.delete(node)
    this.#host.tell({ event: 'closeBacking', mountId: this.#options.mountId, node, backingId })
  }

  readonly #log: Log = (level, message, fields) => {
    const reason = fields?.['alert']
    if (typeof reason === 'string') {
      const severity = level === 'error' ? 'error' : 'warning'
      this.#host.tell({ event: 'alert', mountId: this.#options.mountId, severity, reason, message })
    }
    this.#host.log(level, message, fields)
  }
}

/** Nothing waits that could go: the rest needs the network, a person, or another try later. */
function cannotUpload(drive: Drive): boolean {
  const { conditions, queue } = drive.status()
  if (queue.files <= queue.parked) return queue.files > 0
  return conditions.some(({ kind }) => kind === 'offline' || kind === 'paused' || kind === 'needs-sign-in' || kind === 'waiting-for-vault')
}
