import { header } from '../../common/native/native.ts'
import type { Native } from '../../common/native/native.ts'
import type { Filesystem } from '../vfs/filesystem.ts'
import type { Notifier } from '../cache/notifier.ts'
import type { RequestLog } from '../cache/request-log.ts'
import type { OperationCount } from './counters.ts'
import { Dispatcher } from './dispatcher.ts'
import type { Deadlines } from './dispatcher.ts'
import { loadNegotiated } from './init.ts'
import type { Negotiated } from './init.ts'
import { createNotifier } from './notifier.ts'
import { operationOf } from './operations.ts'
import { recover } from './recovery.ts'

export interface SessionOptions {
  readonly native: Pick<Native, 'openDoor'>
  /** /dev/fuse of the mount, and its request memory. Both stay the caller's to close. */
  readonly fuseFd: number
  readonly memoryFd: number
  readonly filesystem: Filesystem
  readonly requestLog: RequestLog
  /** The connection was served by another process before. */
  readonly takenOver: boolean
  /** Read-only mount whose supervisor may register backing files. */
  readonly allowPassthrough: boolean
  readonly deadlines: Deadlines
  /** Longest time to poll after a reply, microseconds; the addon's own default if absent. */
  readonly pollMicroseconds?: number
  /** The kernel ended the connection (unmount or abort). Called at most once, never after `stop()`. */
  readonly onClosed: (errno: number) => void
  readonly log: (level: 'debug' | 'info' | 'warn' | 'error', message: string, fields?: Readonly<Record<string, unknown>>) => void
}

export interface SessionCounters {
  readonly operations: readonly OperationCount[]
  readonly door: {
    readonly wakeups: number
    readonly requests: number
    readonly pollHits: number
    readonly pollMicroseconds: number
    readonly noSlab: number
  }
}

export interface Session {
  /** Resolves when a predecessor's requests are answered and new ones are read. Rejects if the request log fails. */
  readonly ready: Promise<void>
  readonly notifier: Notifier
  /** Null until the kernel has sent INIT. */
  negotiated(): Negotiated | null
  counters(): SessionCounters
  /** Stops serving. What is unanswered stays in the request memory for a successor; nothing of it is committed here any more. */
  stop(): void
}

/** Serves one kernel connection: first what a predecessor left, then what comes. */
export function openSession(options: SessionOptions): Session {
  const { filesystem, requestLog, log } = options
  let over = false
  let dispatcher: Dispatcher | null = null

  const door = options.native.openDoor({
    fuseFd: options.fuseFd,
    memoryFd: options.memoryFd,
    ...(options.pollMicroseconds !== undefined && { pollMicroseconds: options.pollMicroseconds }),
    onRequests: (count) => {
      for (let i = 0; i < count; i++) dispatcher?.dispatch(door.batch[2 * i] ?? 0, door.batch[2 * i + 1] ?? 0)
    },
    onClosed: (errno) => {
      if (end()) options.onClosed(errno)
    },
  })
  const maxWrite = door.memory.readUInt32LE(header.slabSize) - 4096
  const serving = new Dispatcher({
    door,
    filesystem,
    requestLog,
    limits: { maxWrite, passthrough: options.allowPassthrough },
    deadlines: options.deadlines,
    log,
  })
  dispatcher = serving

  /** @returns false if it was over already. */
  const end = (): boolean => {
    if (over) return false
    over = true
    serving.abandon()
    return true
  }

  const begin = async (): Promise<void> => {
    const agreed = loadNegotiated(door.memory)
    if (agreed !== null) serving.agree(agreed)
    // Rows of an earlier connection must not answer requests of this one, which counts from the beginning again.
    if (!options.takenOver) requestLog.clear()
    await recover({ door, dispatcher: serving, requestLog, stopped: () => over, log })
    if (over) return
    requestLog.clear()
    door.start()
  }

  return {
    ready: begin(),
    notifier: createNotifier(door, () => (over ? null : serving.agreed)),
    negotiated: () => serving.agreed,
    counters: () => ({ operations: serving.counters.list((opcode) => operationOf(opcode).name), door: door.counters() }),
    stop: () => {
      if (end()) door.stop()
    },
  }
}
