import { dirname } from 'node:path'
import pino from 'pino'
import { correlationId } from './correlation.ts'
import { openRotatingFile, pruneLogs } from './rotating-file.ts'
import { safeFields, safeText } from './safe-fields.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error'
export type LogFields = Readonly<Record<string, unknown>>
/** Writes a line. Text in `fields` is shown only under names that are known to hold no secrets (safe-fields.ts). */
export type WriteLog = (level: LogLevel, message: string, fields?: LogFields) => void

/**
 * JSON lines `{time, level, program, pid, mountId?, correlationId?, message, fields?}`. Writing never waits and never
 * throws; beyond 4 MiB that the disk has not taken, lines are dropped.
 */
export interface Log {
  readonly write: WriteLog
  /** The same log, with each line said to be about this mount. */
  forMount(mountId: string): Log
  /** Least level that is written, of this log and all that came from it. */
  setLevel(level: LogLevel): void
  /** Writes what is pending. Later lines are lost. */
  close(): Promise<void>
}

export interface LogOptions {
  /** Absolute path; its folder exists. */
  readonly file: string
  readonly program: 'service' | 'worker'
  readonly level: LogLevel
  /** Bytes after which a new file is begun. Default 10 MiB. */
  readonly maxBytes?: number
  /** Older files that are kept, `FILE.1` the newest. Default 4. */
  readonly keep?: number
}

const ranks: Readonly<Record<LogLevel, number>> = { debug: 0, info: 1, warn: 2, error: 3 }

/** Days after which the service removes logs that nobody writes to any more. */
const keptDays = 14

/** Opens a log file, mode 0600; the service also clears its folder of old ones. Rejects with the system's error if that fails. */
export async function openLog(options: LogOptions): Promise<Log> {
  const file = await openRotatingFile(options.file, options.maxBytes ?? 10 * 1024 * 1024, options.keep ?? 4)
  if (options.program === 'service') void pruneLogs(dirname(options.file), keptDays, Date.now())
  const base = { program: options.program, pid: process.pid }
  const settings = {
    level: 'debug',
    base,
    messageKey: 'message',
    timestamp: pino.stdTimeFunctions.isoTime,
    formatters: { level: (label: string) => ({ level: label }) },
  }
  const lines = pino(settings, file.stream)
  const shared = { least: ranks[options.level] }

  function logOf(mountId: string | undefined): Log {
    return {
      write: (level, message, fields) => {
        if (ranks[level] < shared.least) return
        const call = correlationId()
        lines[level](
          {
            ...(mountId === undefined ? {} : { mountId }),
            ...(call === undefined ? {} : { correlationId: call }),
            ...(fields === undefined ? {} : { fields: safeFields(fields) }),
          },
          safeText(message),
        )
      },
      forMount: logOf,
      setLevel: (level) => {
        shared.least = ranks[level]
      },
      close: () => file.close(),
    }
  }
  return logOf(undefined)
}
