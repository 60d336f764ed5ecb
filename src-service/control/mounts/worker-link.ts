import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { type Adopted, asAdopted, type Hello, parseHello } from '../../common/frames/adoption.ts'
import type { Frame, Method, Methods, WorkerEvent } from '../../common/frames/messages.ts'
import { PieceJoiner, toPieces } from '../../common/frames/pieces.ts'
import { fromWireError } from '../../common/frames/wire-error.ts'
import type { Channel, ChannelMessage, Native } from '../../common/native/native.ts'

export interface CallOptions {
  /** Milliseconds; then the call fails with `timeout`. The worker is not told: it answers into the void. */
  readonly deadlineMs: number
  /** Descriptors that ride along; the caller keeps its own. */
  readonly fds?: readonly number[]
  readonly signal?: AbortSignal
}

/** The service's end of the channel to one worker. */
export interface WorkerLink {
  readonly hello: Hello
  readonly pid: number
  /** False once the worker is gone or the link was closed. */
  readonly isOpen: boolean
  call<M extends Method>(method: M, params: Methods[M]['params'], options: CallOptions): Promise<Methods[M]['result']>
  /** Takes over a mount: its descriptors belong to the caller. */
  adopt(mountId: string, deadlineMs: number): Promise<{ readonly adopted: Adopted; readonly fds: readonly number[] }>
  /** Answers an `openBacking` event. */
  answerBacking(mountId: string, ticket: number, backingId: number): void
  close(): void
}

export interface LinkOptions {
  readonly native: Native
  readonly clock: Clock
  readonly path: string
  /** The worker's uid; a channel to anyone else is closed. */
  readonly uid: number
  /** How long the worker may take to say hello. */
  readonly deadlineMs: number
  /** Who listens there, told before it says anything. */
  readonly onPeer?: (pid: number) => void
  /** Received descriptors belong to the receiver. */
  readonly onEvent: (event: WorkerEvent, fds: readonly number[]) => void
  /** Once, also after `close()`. */
  readonly onClose: () => void
}

interface Waiting<T> {
  readonly resolve: (value: T) => void
  readonly reject: (error: CloudError) => void
}

type AdoptAnswer = { readonly adopted: Adopted; readonly fds: readonly number[] }

/** Connects to a worker and waits for its hello. Throws not-found or offline when nobody listens there, timeout, access. */
export function openWorkerLink(options: LinkOptions): Promise<WorkerLink> {
  return new Promise((resolve, reject) => {
    const link = new Link(options, resolve, reject)
    link.connect()
  })
}

class Link implements WorkerLink {
  readonly #options: LinkOptions
  readonly #onHello: (link: WorkerLink) => void
  readonly #onRefused: (error: CloudError) => void
  readonly #joiner = new PieceJoiner()
  readonly #calls = new Map<number, Waiting<unknown>>()
  readonly #adoptions = new Map<string, Waiting<AdoptAnswer>>()
  #channel: Channel | undefined
  #hello: Hello | undefined
  #nextId = 1
  #closed = false
  #stopWaiting: () => void

  constructor(options: LinkOptions, onHello: (link: WorkerLink) => void, onRefused: (error: CloudError) => void) {
    this.#options = options
    this.#onHello = onHello
    this.#onRefused = onRefused
    this.#stopWaiting = options.clock.after(options.deadlineMs, () => this.#end(new CloudError('timeout', 'the worker did not say hello')))
  }

  get hello(): Hello {
    if (this.#hello === undefined) throw new CloudError('internal', 'the worker has not said hello')
    return this.#hello
  }

  get isOpen(): boolean {
    return !this.#closed
  }

  get pid(): number {
    return this.#channel?.peer.pid ?? 0
  }

  connect(): void {
    try {
      this.#channel = this.#options.native.connectChannel(this.#options.path, {
        onMessage: (message) => this.#receive(message),
        onClose: (code) => this.#end(new CloudError('offline', 'the worker is gone', code === undefined ? {} : { code })),
      })
    } catch (caught) {
      this.#end(CloudError.from(caught))
      return
    }
    const { uid, pid } = this.#channel.peer
    if (uid !== this.#options.uid) this.#end(new CloudError('access', 'a stranger listens on the socket of a worker'))
    else this.#options.onPeer?.(pid)
  }

  call<M extends Method>(method: M, params: Methods[M]['params'], options: CallOptions): Promise<Methods[M]['result']> {
    const id = this.#nextId++
    return this.#wait(this.#calls, id, `the worker did not answer '${method}' in time`, options, () =>
      this.#send({ kind: 'request', id, method, params }, options.fds ?? []),
    ) as Promise<Methods[M]['result']>
  }

  adopt(mountId: string, deadlineMs: number): Promise<AdoptAnswer> {
    return this.#wait(this.#adoptions, mountId, 'the worker did not hand over its mount in time', { deadlineMs }, () =>
      this.#send({ mountId }, []),
    )
  }

  answerBacking(mountId: string, ticket: number, backingId: number): void {
    const frame: Frame = { kind: 'backing', mountId, ticket, backingId }
    if (!this.#closed) this.#send(frame, [])
  }

  close(): void {
    this.#end(new CloudError('cancelled', 'the link to the worker was closed'))
  }

  #wait<K, T>(table: Map<K, Waiting<T>>, key: K, late: string, options: CallOptions, send: () => void): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      if (this.#closed) {
        reject(new CloudError('offline', 'the worker is gone'))
        return
      }
      if (options.signal?.aborted === true) {
        reject(new CloudError('cancelled', 'cancelled'))
        return
      }
      const settle = () => {
        stopTimer()
        options.signal?.removeEventListener('abort', onAbort)
        table.delete(key)
      }
      const fail = (error: CloudError) => {
        settle()
        reject(error)
      }
      const onAbort = () => fail(new CloudError('cancelled', 'cancelled'))
      const stopTimer = this.#options.clock.after(options.deadlineMs, () => fail(new CloudError('timeout', late)))
      options.signal?.addEventListener('abort', onAbort)
      const succeed = (value: T) => {
        settle()
        resolve(value)
      }
      table.set(key, { resolve: succeed, reject: fail })
      try {
        send()
      } catch (caught) {
        fail(CloudError.from(caught))
      }
    })
  }

  #send(message: unknown, fds: readonly number[]): void {
    const pieces = toPieces(message)
    for (const [index, piece] of pieces.entries()) {
      const sent = this.#channel?.send(piece, index === pieces.length - 1 ? fds : []) === true
      // A worker that reads nothing is hung: the pings find out and end it.
      if (!sent) throw new CloudError('busy', 'the worker takes no more messages')
    }
  }

  #receive(message: ChannelMessage): void {
    let kept = false
    try {
      const parsed = this.#joiner.take(message.data)
      if (parsed === undefined || this.#closed) return
      if (this.#hello === undefined) {
        this.#welcome(parseHello(parsed))
        return
      }
      const adopted = asAdopted(parsed)
      kept = adopted === undefined ? this.#take(parsed as Frame, message.fds) : this.#takeAdopted(adopted, message.fds)
    } catch (caught) {
      this.#end(CloudError.from(caught))
    } finally {
      if (!kept) for (const fd of message.fds) this.#options.native.closeFd(fd)
    }
  }

  #welcome(hello: Hello): void {
    this.#hello = hello
    this.#stopWaiting()
    this.#onHello(this)
  }

  /** True if someone took the descriptors. */
  #takeAdopted(adopted: Adopted, fds: readonly number[]): boolean {
    const waiting = this.#adoptions.get(adopted.mountId)
    waiting?.resolve({ adopted, fds })
    return waiting !== undefined
  }

  #take(frame: Frame, fds: readonly number[]): boolean {
    switch (frame.kind) {
      case 'result':
        this.#calls.get(frame.id)?.resolve(frame.value)
        return false
      case 'error':
        this.#calls.get(frame.id)?.reject(fromWireError(frame.error))
        return false
      case 'event':
        this.#options.onEvent(frame, fds)
        return true
      default:
        throw new CloudError('garbage', 'a message from a worker that is not for the service')
    }
  }

  #end(error: CloudError): void {
    if (this.#closed) return
    this.#closed = true
    this.#stopWaiting()
    this.#channel?.close()
    for (const waiting of [...this.#calls.values(), ...this.#adoptions.values()]) waiting.reject(error)
    if (this.#hello === undefined) this.#onRefused(error)
    else this.#options.onClose()
  }
}
