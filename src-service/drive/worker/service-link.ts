import { CloudError } from '../../common/errors.ts'
import { type Adopted, asAdopt, type Hello } from '../../common/frames/adoption.ts'
import type { Frame, Request, WorkerEvent } from '../../common/frames/messages.ts'
import { PieceJoiner, toPieces } from '../../common/frames/pieces.ts'
import { toWireError } from '../../common/frames/wire-error.ts'
import type { Channel, ChannelMessage, ChannelServer, Native } from '../../common/native/native.ts'
import type { Log } from './worker-log.ts'

/** What a worker answers to its service. */
export interface WorkerTasks {
  hello(): Hello
  /** The descriptors stay the worker's; copies ride along. Throws not-found. */
  handOver(mountId: string): { readonly adopted: Adopted; readonly fds: readonly number[] }
  /** Descriptors that came along; those the task does not keep are closed by it. */
  run(request: Request, fds: readonly number[]): Promise<unknown>
  backing(mountId: string, ticket: number, backingId: number): void
  serviceCame(): void
  serviceWent(): void
}

/**
 * The worker's end of the talk. It listens as long as it lives: a service that comes later takes the place of the one
 * before. Only processes of the same user are heard.
 */
export class ServiceLink {
  readonly #native: Native
  readonly #tasks: WorkerTasks
  readonly #log: Log
  readonly #uid = process.getuid?.() ?? -1
  readonly #server: ChannelServer
  #current: Channel | undefined

  constructor(native: Native, path: string, tasks: WorkerTasks, log: Log) {
    this.#native = native
    this.#tasks = tasks
    this.#log = log
    this.#server = native.listenChannel(path, (accept) => this.#welcome(accept))
  }

  get isConnected(): boolean {
    return this.#current !== undefined
  }

  /** Tells the service. False if none is there, or it takes no more. */
  tell(event: WorkerEvent, fds: readonly number[] = []): boolean {
    return this.#current !== undefined && this.#send(this.#current, { kind: 'event', ...event }, fds)
  }

  /** Stops listening; what was sent still goes out. */
  close(): void {
    this.#server.close()
    this.#current?.close()
    this.#current = undefined
  }

  #welcome(accept: Parameters<Parameters<Native['listenChannel']>[1]>[0]): void {
    const joiner = new PieceJoiner()
    const channel: Channel = accept({
      onMessage: (message) => this.#receive(channel, joiner, message),
      onClose: () => this.#closed(channel),
    })
    if (channel.peer.uid !== this.#uid) {
      this.#log('warn', 'a stranger was refused', { uid: channel.peer.uid })
      channel.close()
      return
    }
    this.#current?.close()
    this.#current = channel
    this.#tasks.serviceCame()
    this.#send(channel, this.#tasks.hello(), [])
  }

  #closed(channel: Channel): void {
    if (this.#current !== channel) return
    this.#current = undefined
    this.#tasks.serviceWent()
  }

  #receive(channel: Channel, joiner: PieceJoiner, message: ChannelMessage): void {
    let kept = false
    try {
      const parsed = joiner.take(message.data)
      if (parsed === undefined) return
      const adopt = asAdopt(parsed)
      if (adopt === undefined) kept = this.#take(channel, parsed as Frame, message.fds)
      else this.#handOver(channel, adopt.mountId)
    } catch (caught) {
      this.#log('error', 'a message of the service was not understood', { error: CloudError.from(caught).message })
      channel.close()
    } finally {
      if (!kept) for (const fd of message.fds) this.#native.closeFd(fd)
    }
  }

  #handOver(channel: Channel, mountId: string): void {
    const { adopted, fds } = this.#tasks.handOver(mountId)
    this.#send(channel, adopted, fds)
  }

  /** True if the descriptors were taken. */
  #take(channel: Channel, frame: Frame, fds: readonly number[]): boolean {
    switch (frame.kind) {
      case 'request':
        void this.#answer(channel, frame, fds)
        return true
      case 'backing':
        this.#tasks.backing(frame.mountId, frame.ticket, frame.backingId)
        return false
      default:
        throw new CloudError('garbage', `a '${frame.kind}' is nothing for a worker`)
    }
  }

  async #answer(channel: Channel, request: Request, fds: readonly number[]): Promise<void> {
    try {
      const value = await this.#tasks.run(request, fds)
      this.#send(channel, { kind: 'result', id: request.id, value: value ?? {} }, [])
    } catch (caught) {
      this.#send(channel, { kind: 'error', id: request.id, error: toWireError(caught) }, [])
    }
  }

  #send(channel: Channel, message: unknown, fds: readonly number[]): boolean {
    const pieces = toPieces(message)
    return pieces.every((piece, index) => channel.send(piece, index === pieces.length - 1 ? fds : []))
  }
}
