import type { JsonObject, MessageInitShape } from '@bufbuild/protobuf'
import type { ServiceImpl } from '@connectrpc/connect'
import { LogLevel } from '../../../proto/gen/cloudmoor/v1/log_pb.js'
import type { LogEntrySchema, LogService, TailLogsRequest } from '../../../proto/gen/cloudmoor/v1/log_pb.js'
import { pause, systemClock } from '../../common/clock.ts'
import { sightOf } from './call.ts'
import { openLogReader } from './log-reader.ts'
import type { LogLine } from './log-reader.ts'
import { readLimit, writeTime } from './wire-values.ts'

const batch = 200
const pollMs = 250

const levels: Readonly<Record<LogLine['level'], LogLevel>> = {
  debug: LogLevel.DEBUG,
  info: LogLevel.INFO,
  warn: LogLevel.WARN,
  error: LogLevel.ERROR,
}

/** LogService out of the log files of a folder. Nothing is buffered for a slow client: the lines wait in their files. */
export function logHandler(folder: string): ServiceImpl<typeof LogService> {
  return {
    tailLogs: async function* (request, context) {
      const { signal } = context
      const sight = sightOf(context)
      const asked = wantedBy(request)
      // What is about no mount may be about any.
      const wanted = (line: LogLine) => asked(line) && (line.mountId === '' ? sight.whole : sight.mount(line.mountId))
      const count = readLimit('lines', request.lines, 100, 10_000)
      const reader = openLogReader(folder)
      try {
        yield* inBatches(await reader.last(count, wanted))
        while (request.follow && !signal.aborted) {
          const lines = (await reader.next()).filter(wanted)
          yield* inBatches(lines)
          if (lines.length === 0) await pause(systemClock, pollMs, signal)
        }
      } finally {
        await reader.close()
      }
    },
  }
}

function wantedBy(request: TailLogsRequest): (line: LogLine) => boolean {
  const least = request.minLevel === LogLevel.UNSPECIFIED ? LogLevel.INFO : request.minLevel
  return (line) =>
    levels[line.level] >= least &&
    (request.mountId === '' || request.mountId === line.mountId) &&
    (request.correlationId === '' || request.correlationId === line.correlationId)
}

function* inBatches(lines: readonly LogLine[]) {
  for (let start = 0; start < lines.length; start += batch) yield { entries: lines.slice(start, start + batch).map(writeLine) }
}

/** A log line as the wire has it. */
export function writeLine(line: LogLine): MessageInitShape<typeof LogEntrySchema> {
  const { time, level, program, pid, mountId, correlationId, message } = line
  const fields = JSON.parse(JSON.stringify(line.fields)) as JsonObject
  return { time: writeTime(time), level: levels[level], program, pid, mountId, correlationId, message, fields }
}
