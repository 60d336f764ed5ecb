import { header } from '../../common/native/native.ts'
import type { Door } from '../../common/native/native.ts'
import type { RequestLog } from '../cache/request-log.ts'
import type { Dispatcher } from './dispatcher.ts'
import { errno } from './errno.ts'
import { operationOf } from './operations.ts'
import { requestHeader } from './protocol.ts'

interface RecoveryOptions {
  readonly door: Door
  readonly dispatcher: Dispatcher
  readonly requestLog: RequestLog
  /** True once the session was stopped. */
  readonly stopped: () => boolean
  readonly log: (level: 'info' | 'warn', message: string, fields: Readonly<Record<string, unknown>>) => void
}

interface Leftover {
  readonly offset: number
  readonly length: number
  readonly unique: number
  readonly opcode: number
  /** Deaths that it has seen, the last one included. */
  readonly outlived: number
}

/** A request that was named at this many deaths in a row is not tried again. */
const deathsThatConvict = 2
/** From this many deaths in a row without any answer on, finding the culprit is worth a long pause. */
const deathsThatAlarm = 2

/** All leftovers together hold up new requests for no longer than this, milliseconds. */
const longestPauseMs = 10_000

/**
 * Milliseconds for which a leftover that waits is run alone and named. A request that outlived one death was most likely a bystander,
 * and often has to wait for a cloud: it is named only while it is dispatched, so that deaths from outside that come in quick
 * succession do not convict it. The more deaths it outlives, the closer it is looked at.
 */
function aloneMs(outlived: number, alarmed: boolean): number {
  if (alarmed || outlived > 2) return 2000
  return outlived === 2 ? 250 : 0
}

/**
 * Answers what a dead predecessor left: requests that it carried out from the request log, the others by running them,
 * each named in the header page so that one that kills its process is found out.
 *
 * Who writes what in the request memory: `dispatching` is ours (a request's id while it is dispatched or redone alone). At a death
 * the supervisor moves it to `blamedUnique` and counts `blamedDeaths` and `fruitlessDeaths`; we only read those. A death while
 * nothing was named blames nobody. How many deaths a request has outlived we count in its own header, in the two bytes of
 * padding that the kernel leaves zero.
 */
export async function recover(options: RecoveryOptions): Promise<void> {
  const { door, dispatcher } = options
  const settled: Record<Settlement | 'run', number> = { freed: 0, replayed: 0, refused: 0, run: 0 }
  const alarmed = door.memory.readUInt32LE(header.fruitlessDeaths) >= deathsThatAlarm
  const end = performance.now() + longestPauseMs
  for (const leftover of leftoversOf(door)) {
    if (options.stopped()) return
    dispatcher.rest(leftover.unique)
    const settlement = settleWithoutRunning(options, leftover) ?? 'run'
    settled[settlement]++
    if (settlement === 'run') {
      dispatcher.dispatch(leftover.offset, leftover.length)
      const answered = dispatcher.waiting(leftover.unique)
      const wait = Math.min(aloneMs(leftover.outlived, alarmed), end - performance.now())
      if (answered !== null && wait > 0) await Promise.race([answered, after(wait)])
    }
    dispatcher.rest(0)
  }
  if (Object.values(settled).some((count) => count > 0)) options.log('info', 'requests of a dead predecessor', settled)
}

/** Without an answer, from the request log, or as the culprit of two deaths. */
type Settlement = 'freed' | 'replayed' | 'refused'

/** In order of arrival. */
function leftoversOf(door: Door): Leftover[] {
  const pairs = door.leftovers()
  const found: Leftover[] = []
  for (let i = 0; i + 1 < pairs.length; i += 2) {
    const offset = pairs[i] ?? 0
    const outlived = Math.min(door.memory.readUInt16LE(offset + requestHeader.padding) + 1, 0xffff)
    door.memory.writeUInt16LE(outlived, offset + requestHeader.padding)
    found.push({
      offset,
      outlived,
      length: pairs[i + 1] ?? 0,
      unique: readU64(door.memory, offset + requestHeader.unique),
      opcode: door.memory.readUInt32LE(offset + requestHeader.opcode),
    })
  }
  return found.sort((a, b) => a.unique - b.unique)
}

function settleWithoutRunning({ door, requestLog, log }: RecoveryOptions, { offset, unique, opcode }: Leftover): Settlement | null {
  const operation = operationOf(opcode)
  if (!operation.answered) {
    door.release(offset)
    return 'freed'
  }
  const stored = operation.logged ? requestLog.find(unique) : undefined
  if (stored !== undefined) {
    // ENOENT here means that the answer had gone out before the death.
    door.reply(offset, stored.errno, stored.payload, 0, stored.errno === 0 ? stored.payload.length : 0)
    return 'replayed'
  }
  const blamed = readU64(door.memory, header.blamedUnique) === unique && door.memory.readUInt32LE(header.blamedDeaths) >= deathsThatConvict
  if (!blamed) return null
  log('warn', 'a request that ended its process twice is refused', { operation: operation.name })
  door.reply(offset, errno.EIO, null, 0, 0)
  return 'refused'
}

function readU64(memory: Buffer, at: number): number {
  return memory.readUInt32LE(at) + memory.readUInt32LE(at + 4) * 0x1_0000_0000
}

function after(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds))
}
