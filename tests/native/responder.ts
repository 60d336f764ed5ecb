/**
 * A drive of one file for tests of the addon: speaks just enough FUSE to be mounted, looked up, written and read.
 * Run as a program it serves descriptors 3 (fuse) and 4 (request memory) and tells on stdout what it does.
 */
import { loadNative } from '../../src-service/common/native/load-native.ts'
import type { Door, Native } from '../../src-service/common/native/native.ts'

export const opcode = {
  lookup: 1,
  forget: 2,
  getattr: 3,
  open: 14,
  read: 15,
  write: 16,
  release: 18,
  flush: 25,
  init: 26,
  interrupt: 36,
  batchForget: 42,
}
export const errno = { ENOENT: 2, ENOSYS: 38 }

const fileSize = 1 << 20
const fileNode = 2
const openDirectIo = 1

export interface Responder {
  readonly door: Door
  /** Bytes of all WRITEs, in the order they came. */
  readonly written: Buffer[]
  readonly seen: Map<number, number>
  readonly leftovers: number[]
  readonly closed: Promise<number>
}

export interface ResponderOptions {
  readonly pollMicroseconds?: number
  /** True: the request is left unanswered. */
  readonly hold?: (door: Door, offset: number) => boolean
}

export function serve(native: Native, fuseFd: number, memoryFd: number, options: ResponderOptions = {}): Responder {
  let closed: (code: number) => void = () => undefined
  const door = native.openDoor({
    fuseFd,
    memoryFd,
    onRequests: (count) => {
      for (let i = 0; i < count; i++) take(door.batch[2 * i] ?? 0)
    },
    onClosed: (code) => closed(code),
    ...(options.pollMicroseconds === undefined ? {} : { pollMicroseconds: options.pollMicroseconds }),
  })
  const responder: Responder = {
    door,
    written: [],
    seen: new Map(),
    leftovers: [],
    closed: new Promise((resolve) => {
      closed = resolve
    }),
  }
  const take = (offset: number) => {
    if (options.hold?.(door, offset) !== true) answer(responder, offset)
  }
  const left = door.leftovers()
  for (let i = 0; i < left.length; i += 2) {
    const offset = left[i] ?? 0
    responder.leftovers.push(door.memory.readUInt32LE(offset + 4))
    take(offset)
  }
  door.start()
  return responder
}

/** A name in a LOOKUP. */
export function nameAt(door: Door, offset: number): string {
  const end = offset + door.memory.readUInt32LE(offset)
  return door.memory.toString('latin1', offset + 40, end - 1)
}

function answer(responder: Responder, offset: number): void {
  const { door, seen } = responder
  const code = door.memory.readUInt32LE(offset + 4)
  seen.set(code, (seen.get(code) ?? 0) + 1)
  const out = answerTo(responder, offset, code)
  if (out === undefined) door.release(offset)
  else if (typeof out === 'number') door.reply(offset, out, null, 0, 0)
  else door.reply(offset, 0, out, 0, out.length)
}

/** The payload, an errno, or undefined for a request that has no answer. */
function answerTo({ door, written }: Responder, offset: number, code: number): Buffer | number | undefined {
  const body = offset + 40
  switch (code) {
    case opcode.init:
      return initOut(door.memory, offset)
    case opcode.getattr:
      return Buffer.concat([Buffer.alloc(16), attributes(door.memory.readUInt32LE(offset + 16))])
    case opcode.lookup:
      return nameAt(door, offset) === 'file' ? entryOut(fileNode) : errno.ENOENT
    case opcode.open: {
      const out = Buffer.alloc(16)
      out.writeUInt32LE(openDirectIo, 8)
      return out
    }
    case opcode.read:
      return Buffer.alloc(door.memory.readUInt32LE(body + 16), 'Z')
    case opcode.write: {
      const size = door.memory.readUInt32LE(body + 16)
      written.push(Buffer.from(door.memory.subarray(body + 40, body + 40 + size)))
      const out = Buffer.alloc(8)
      out.writeUInt32LE(size, 0)
      return out
    }
    case opcode.flush:
    case opcode.release:
      return 0
    case opcode.forget:
    case opcode.batchForget:
    case opcode.interrupt:
      return undefined
    default:
      return errno.ENOSYS
  }
}

function initOut(memory: Buffer, offset: number): Buffer {
  const out = Buffer.alloc(64)
  out.writeUInt32LE(7, 0)
  out.writeUInt32LE(Math.min(41, memory.readUInt32LE(offset + 44)), 4)
  out.writeUInt32LE(1 << 17, 8)
  out.writeUInt32LE(0x20 | 0x400000, 12) // BIG_WRITES, MAX_PAGES
  out.writeUInt16LE(16, 16)
  out.writeUInt16LE(12, 18)
  out.writeUInt32LE(1 << 20, 20)
  out.writeUInt32LE(1, 24)
  out.writeUInt16LE(256, 28)
  return out
}

function entryOut(node: number): Buffer {
  const head = Buffer.alloc(40)
  head.writeUInt32LE(node, 0)
  return Buffer.concat([head, attributes(node)])
}

function attributes(node: number): Buffer {
  const out = Buffer.alloc(88)
  out.writeUInt32LE(node, 0)
  out.writeUInt32LE(node === 1 ? 0 : fileSize, 8)
  out.writeUInt32LE(node === 1 ? 0o40755 : 0o100644, 60)
  out.writeUInt32LE(1, 64)
  return out
}

/** `responder.ts hold OPCODE`: leaves requests of that opcode unanswered; `responder.ts serve`: answers everything. */
function main(): void {
  const [mode, held] = process.argv.slice(2)
  const say = (text: string) => process.stdout.write(`${text}\n`)
  const responder = serve(loadNative(), 3, 4, {
    hold: (door, offset) => {
      const code = door.memory.readUInt32LE(offset + 4)
      if (mode !== 'hold' || code !== Number(held)) return false
      say(`held ${code}`)
      return true
    },
  })
  say(`ready ${responder.leftovers.join(' ')} sizes ${responder.written.map((bytes) => bytes.length).join(' ')}`)
  void responder.closed.then(() => responder.door.stop())
}

if (process.argv[1] === import.meta.filename) main()
