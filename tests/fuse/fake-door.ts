import { header, layoutMagic, layoutVersion } from '../../src-service/common/native/native.ts'
import type { Door, DoorOptions, Native } from '../../src-service/common/native/native.ts'

export interface Answer {
  readonly unique: number
  readonly errno: number
  readonly payload: Buffer
}

const slabSize = 64 * 1024
const slotSize = 4096
const slabCount = 4
const slotCount = 64

/** The request memory of a fake connection; outlives the doors on it, as the memfd does. */
export function fakeMemory(): Buffer {
  const memory = Buffer.alloc(4096 + slabCount * slabSize + slotCount * slotSize)
  const words = [layoutMagic, layoutVersion, slabCount, slabSize, slotCount, slotSize, 4096, 4096 + slabCount * slabSize]
  words.forEach((word, i) => memory.writeUInt32LE(word, i * 4))
  return memory
}

/** A door without a kernel: requests are put in by hand, answers are kept. */
export class FakeDoor implements Door {
  readonly memory: Buffer
  readonly batch = new Uint32Array(128)
  readonly answers: Answer[] = []
  readonly released: number[] = []
  readonly notifications: Buffer[] = []
  readonly later: Buffer[] = []
  /** Answers and releases for places that hold no request. */
  misuses = 0
  started = false
  stopped = false
  laterFull = false
  /** Returned by the next replies. */
  replyResult = 0
  options: DoorOptions | null = null
  readonly #held = new Set<number>()

  constructor(memory: Buffer = fakeMemory()) {
    this.memory = memory
  }

  /** What `openSession` wants of the addon. */
  get native(): Pick<Native, 'openDoor'> {
    return {
      openDoor: (options) => {
        this.options = options
        return this
      },
    }
  }

  /** Lays a request into a free place without handing it over: what a dead predecessor leaves. */
  leave(frame: Buffer): number {
    const small = frame.length <= slotSize
    const count = small ? slotCount : slabCount
    for (let i = 0; i < count; i++) {
      const offset = small ? 4096 + slabCount * slabSize + i * slotSize : 4096 + i * slabSize
      if (this.#held.has(offset)) continue
      frame.copy(this.memory, offset)
      this.#held.add(offset)
      return offset
    }
    throw new Error('no free place')
  }

  /** Hands requests over in one batch, as a wake-up does. */
  deliver(...frames: Buffer[]): void {
    frames.forEach((frame, i) => {
      this.batch[2 * i] = this.leave(frame)
      this.batch[2 * i + 1] = frame.length
    })
    this.options?.onRequests(frames.length)
  }

  start(): void {
    this.started = true
  }

  stop(): void {
    this.stopped = true
  }

  leftovers(): Uint32Array {
    const pairs: number[] = []
    for (let i = 0; i < slotCount; i++) this.#collect(4096 + slabCount * slabSize + i * slotSize, pairs)
    for (let i = 0; i < slabCount; i++) this.#collect(4096 + i * slabSize, pairs)
    return Uint32Array.from(pairs)
  }

  reply(offset: number, errno: number, payload: Buffer | null, payloadOffset: number, payloadLength: number): number {
    const unique = this.#unique(offset)
    if (!this.#held.has(offset)) return this.#misused(-22)
    const bytes = payload === null || errno !== 0 ? Buffer.alloc(0) : payload.subarray(payloadOffset, payloadOffset + payloadLength)
    this.answers.push({ unique, errno, payload: Buffer.from(bytes) })
    this.#free(offset)
    this.memory.writeUInt32LE(this.memory.readUInt32LE(header.answered) + 1, header.answered)
    return this.replyResult
  }

  release(offset: number): void {
    if (!this.#held.has(offset)) throw new Error(`release of a free place, ${this.#misused(-22)}`)
    this.released.push(this.#unique(offset))
    this.#free(offset)
  }

  notify(message: Buffer): number {
    this.notifications.push(Buffer.from(message))
    return 0
  }

  notifyLater(message: Buffer): boolean {
    if (!this.laterFull) this.later.push(Buffer.from(message))
    return !this.laterFull
  }

  counters(): ReturnType<Door['counters']> {
    return { wakeups: 0, requests: 0, pollHits: 0, pollMicroseconds: 0, noSlab: 0 }
  }

  /** Answers to one request. */
  answersTo(unique: number): Answer[] {
    return this.answers.filter((answer) => answer.unique === unique)
  }

  #unique(offset: number): number {
    return Number(this.memory.readBigUInt64LE(offset + 8))
  }

  #free(offset: number): void {
    this.memory.fill(0, offset + 8, offset + 16)
    this.#held.delete(offset)
  }

  #misused(result: number): number {
    this.misuses++
    return result
  }

  #collect(offset: number, pairs: number[]): void {
    if (this.#unique(offset) === 0) return
    this.#held.add(offset)
    pairs.push(offset, this.memory.readUInt32LE(offset))
  }
}
