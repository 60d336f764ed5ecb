import { CloudError } from '../../common/errors.ts'
import type { Door } from '../../common/native/native.ts'
import { header } from '../../common/native/native.ts'
import type { Commit, Filesystem, Maybe } from '../vfs/filesystem.ts'
import type { RequestLog } from '../cache/request-log.ts'
import { BufferPool } from './buffer-pool.ts'
import { OperationCounters } from './counters.ts'
import { DirectoryWriter } from './directory-writer.ts'
import { errno, errnoOf } from './errno.ts'
import { allowedLifeMs, askAgain, hasPassthrough, negotiate, setxattrSize, storeNegotiated, writeInitReply } from './init.ts'
import type { InitLimits, Negotiated } from './init.ts'
import type { Encode, Patience, Responder } from './operation.ts'
import { operationOf } from './operations.ts'
import { PendingRequests } from './pending-requests.ts'
import type { Pending } from './pending-requests.ts'
import { ReplyWriter, lifetimeOf } from './replies.ts'
import { RequestReader } from './requests.ts'

export interface Deadlines {
  /** Milliseconds. */
  readonly metadataMs: number
  readonly readMs: number
}

interface DispatcherOptions {
  readonly door: Door
  readonly filesystem: Filesystem
  readonly requestLog: RequestLog
  readonly limits: InitLimits
  readonly deadlines: Deadlines
  readonly log: (level: 'debug' | 'warn', message: string, fields?: Readonly<Record<string, unknown>>) => void
}

const waitingReads = 16
const listingSize = 128 * 1024
const waitingListings = 16
const twoTo32 = 0x1_0000_0000

/**
 * Takes requests from the door to the file system and answers back. While a request is being dispatched its unique id
 * stands in the header page: a process that finds us dead knows which request it was.
 */
export class Dispatcher implements Responder {
  readonly counters = new OperationCounters()
  readonly #door: Door
  readonly #filesystem: Filesystem
  readonly #requestLog: RequestLog
  readonly #limits: InitLimits
  readonly #waits: Readonly<Record<Patience, number>>
  readonly #log: DispatcherOptions['log']
  readonly #header: DataView
  readonly #request: RequestReader
  readonly #reply: ReplyWriter
  readonly #pending: PendingRequests
  readonly #readBuffers: BufferPool
  readonly #listings = new BufferPool(listingSize, waitingListings)
  /** Named while nothing is being dispatched: 0, or the leftover that is being redone. */
  #resting = 0
  #begun = 0
  #over = false
  /** What was agreed with the kernel; null before INIT. */
  agreed: Negotiated | null = null
  setxattrSize = 16

  constructor(options: DispatcherOptions) {
    const { door, deadlines, limits } = options
    this.#door = door
    this.#filesystem = options.filesystem
    this.#requestLog = options.requestLog
    this.#limits = limits
    this.#waits = { metadata: deadlines.metadataMs, data: deadlines.readMs, none: Infinity }
    this.#log = options.log
    this.#header = new DataView(door.memory.buffer, door.memory.byteOffset, 4096)
    this.#request = new RequestReader(door.memory)
    this.#reply = new ReplyWriter(limits.maxWrite, lifetimeOf(0))
    this.#readBuffers = new BufferPool(limits.maxWrite, waitingReads)
    const tickMs = Math.min(1000, Math.max(10, Math.min(deadlines.metadataMs, deadlines.readMs) / 10))
    this.#pending = new PendingRequests(tickMs, (pending, error) => this.#fail(pending, error))
  }

  /** From now on answers follow this agreement. */
  agree(agreed: Negotiated): void {
    this.agreed = agreed
    this.setxattrSize = setxattrSize(agreed)
    this.#reply.life = lifetimeOf(allowedLifeMs(agreed, this.#filesystem.entryTtlMs))
    this.#reply.passthrough = hasPassthrough(agreed)
  }

  /** Serves the request at `offset`. Never throws. */
  dispatch(offset: number, length: number): void {
    const request = this.#request
    if (!request.open(offset, length)) {
      this.#door.release(offset)
      return
    }
    this.#begun = performance.now()
    this.#name(request.unique)
    const operation = operationOf(request.opcode)
    try {
      if (operation.answered && request.bodyLength < operation.least) this.answer(errno.EINVAL)
      else operation.serve(this, request)
    } catch (caught) {
      this.#refuse(request, this.#begun, caught)
    }
    this.#name(this.#resting)
  }

  /** Names a request also while nothing is being dispatched; 0 ends that. */
  rest(unique: number): void {
    this.#resting = unique
    this.#name(unique)
  }

  /** Resolves when the request has been answered; null if it does not wait. */
  waiting(unique: number): Promise<void> | null {
    const pending = this.#pending.find(unique)
    if (pending === undefined) return null
    return new Promise((resolve) => (pending.answered = resolve))
  }

  /** Ends all waits without answers. */
  abandon(): void {
    this.#over = true
    this.#pending.abandon()
  }

  ask<T>(
    call: (filesystem: Filesystem, request: RequestReader) => Maybe<T>,
    encode: Encode<T>,
    patience: Patience = 'metadata',
    undo?: (filesystem: Filesystem, value: T) => Maybe<void>,
  ): void {
    const value = call(this.#filesystem, this.#request)
    if (value instanceof Promise) {
      const pending = this.#pending.add(this.#request, this.#waits[patience])
      this.#settle(pending, value, (done) => this.#finish(pending, encode(this.#reply, done)), undo)
    } else {
      this.#send(this.#request, this.#begun, encode(this.#reply, value))
    }
  }

  change<T>(
    call: (filesystem: Filesystem, request: RequestReader) => Maybe<Commit<T>>,
    encode: Encode<T>,
    patience: Patience = 'metadata',
  ): void {
    const commit = call(this.#filesystem, this.#request)
    if (commit instanceof Promise) {
      const pending = this.#pending.add(this.#request, this.#waits[patience])
      this.#settle(pending, commit, (ready) => {
        if (this.#pending.close(pending)) this.#commit(pending, pending.begun, () => encode(this.#reply, ready()))
      })
    } else {
      this.#commit(this.#request, this.#begun, () => encode(this.#reply, commit()))
    }
  }

  sync(call: (filesystem: Filesystem, request: RequestReader, signal: AbortSignal) => Promise<void>): void {
    const pending = this.#pending.add(this.#request, this.#waits.none)
    try {
      this.#settle(pending, call(this.#filesystem, this.#request, pending.abort.signal), () => this.#finish(pending, 0))
    } catch (caught) {
      this.#fail(pending, caught)
    }
  }

  read(): void {
    const request = this.#request
    const fh = request.handle(0)
    const position = request.position(8)
    const length = request.u32(16)
    // A shorter answer would tell the kernel that the file ends there.
    if (length > this.#limits.maxWrite) {
      this.answer(errno.EINVAL)
      return
    }
    const got = this.#filesystem.readNow(fh, position, length, this.#reply.bytes, 0)
    if (got >= 0) {
      this.#send(request, this.#begun, got)
      return
    }
    const pending = this.#pending.add(request, this.#waits.data)
    this.#readBuffers.take((buffer) => void this.#readInto(buffer, pending, fh, position, length))
  }

  readdir(plus: boolean): void {
    const request = this.#request
    const { node } = request
    const offset = request.u64(8)
    const room = request.u32(16)
    const pending = this.#pending.add(request, this.#waits.metadata)
    this.#listings.take((buffer) => {
      void this.#list(new DirectoryWriter(buffer, room, plus, this.#reply.life, pending), pending, node, offset)
    })
  }

  init(): void {
    const agreed = negotiate(this.#request, this.#limits)
    if (agreed === null) {
      this.answer(errno.EPROTO)
      return
    }
    if (agreed !== askAgain) {
      // Before the answer: a successor that finds requests must also find what was agreed.
      storeNegotiated(this.#door.memory, agreed)
      this.agree(agreed)
    }
    this.#send(this.#request, this.#begun, writeInitReply(this.#reply.bytes, agreed))
  }

  answer(number: number): void {
    this.#send(this.#request, this.#begun, -number)
  }

  drop(): void {
    this.#door.release(this.#request.offset)
    this.counters.count(this.#request.opcode, false, 0)
  }

  async #readInto(buffer: Buffer, pending: Pending, fh: number, position: number, length: number): Promise<void> {
    try {
      if (!pending.open) return
      pending.since = performance.now()
      const got = await this.#filesystem.read(fh, position, length, buffer, 0, pending.abort.signal)
      this.#finish(pending, got, buffer)
    } catch (caught) {
      this.#fail(pending, caught)
    } finally {
      this.#readBuffers.give(buffer)
    }
  }

  async #list(writer: DirectoryWriter, pending: Pending, node: number, offset: number): Promise<void> {
    try {
      if (!pending.open) return
      const listed = this.#filesystem.readdir(node, offset, writer.emit)
      if (listed instanceof Promise) await listed
      this.#finish(pending, writer.length, writer.buffer)
    } catch (caught) {
      this.#fail(pending, caught)
    } finally {
      this.#listings.give(writer.buffer)
    }
  }

  #settle<T>(
    pending: Pending,
    value: Promise<T>,
    done: (value: T) => void,
    undo?: (filesystem: Filesystem, value: T) => Maybe<void>,
  ): void {
    value.then(
      (result) => {
        if (!pending.open) {
          // After the end of the session a successor asks again, and the success is its own.
          if (!this.#over) this.#undo(() => undo?.(this.#filesystem, result))
          return
        }
        this.#name(pending.unique)
        try {
          done(result)
        } catch (caught) {
          this.#fail(pending, caught)
        }
        this.#name(this.#resting)
      },
      (caught: unknown) => this.#fail(pending, caught),
    )
  }

  #undo(undo: () => Maybe<void>): void {
    const failed = (caught: unknown): void => this.#log('debug', 'a late success could not be taken back', { error: String(caught) })
    try {
      const undone = undo()
      if (undone instanceof Promise) undone.catch(failed)
    } catch (caught) {
      failed(caught)
    }
  }

  #finish(pending: Pending, length: number, payload?: Buffer): void {
    if (this.#pending.close(pending)) this.#send(pending, pending.begun, length, payload)
  }

  #fail(pending: Pending, caught: unknown): void {
    if (this.#pending.close(pending)) this.#refuse(pending, pending.begun, caught)
  }

  #refuse(request: Addressed, begun: number, caught: unknown): void {
    const { answered, logged, unsupported, name } = operationOf(request.opcode)
    const error = CloudError.from(caught)
    if (error.kind === 'internal')
      this.#log('warn', 'internal error in a request', { operation: name, error: error.stack ?? error.message })
    if (!answered) this.#door.release(request.offset)
    // A refusal of a change is logged too: redone later, it might succeed behind the caller's back.
    else if (logged) this.#commit(request, begun, () => raise(error))
    else this.#send(request, begun, -errnoOf(error, unsupported))
  }

  #commit(request: Addressed, begun: number, work: () => number): void {
    const { unsupported } = operationOf(request.opcode)
    let outcome: { readonly errno: number; readonly length: number }
    try {
      outcome = this.#requestLog.run(request.unique, this.#reply.bytes, work, (caught) => errnoOf(caught, unsupported))
    } catch (caught) {
      this.#log('warn', 'the request log failed', { error: String(caught) })
      outcome = { errno: errnoOf(caught), length: 0 }
    }
    this.#send(request, begun, outcome.errno > 0 ? -outcome.errno : outcome.length)
    this.#requestLog.finished(request.unique)
  }

  /** @param length of the payload, or -errno. */
  #send(request: Addressed, begun: number, length: number, payload: Buffer = this.#reply.bytes): void {
    const failed = length < 0
    const { offset, opcode } = request
    const result = this.#door.reply(offset, failed ? -length : 0, length > 0 ? payload : null, 0, failed ? 0 : length)
    this.counters.count(opcode, failed, performance.now() - begun)
    // ENOENT: a predecessor gave the answer and died before it freed the place.
    if (result < 0 && result !== -errno.ENOENT) this.#log('warn', 'the kernel refused an answer', { opcode, errno: -result, length })
  }

  /** The upper half changes once in 2^31 requests; between the two stores the word names nobody who waits. */
  #name(unique: number): void {
    this.#header.setUint32(header.dispatching + 4, Math.floor(unique / twoTo32), true)
    this.#header.setUint32(header.dispatching, unique >>> 0, true)
  }
}

/** Where a request lies and what it is. */
interface Addressed {
  readonly offset: number
  readonly opcode: number
  readonly unique: number
}

function raise(error: CloudError): never {
  throw error
}
