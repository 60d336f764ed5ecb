import type { Command } from 'commander'
import { Option } from 'commander'
import type { LogEntry } from '../../proto/gen/cloudmoor/v1/log_pb.js'
import { LogLevel } from '../../proto/gen/cloudmoor/v1/log_pb.js'
import type { Cli } from '../cli.ts'
import { mountNamed } from '../lookup.ts'
import { colour, safe } from '../output.ts'
import { isoTime, logView } from '../views.ts'
import { word } from '../words.ts'
import { wholeFlag } from './flags.ts'

interface LogFlags {
  readonly follow: boolean
  readonly lines: number
  readonly level: keyof typeof levels
  readonly mount?: string
  readonly call?: string
}

const levels = { debug: LogLevel.DEBUG, info: LogLevel.INFO, warn: LogLevel.WARN, error: LogLevel.ERROR } as const

/** `cloudmoor logs`. */
export function addLogsCommand(program: Command, cli: Cli): void {
  program
    .command('logs')
    .description('show log lines of the service and its workers')
    .option('-f, --follow', 'go on with new lines', false)
    .option('-n, --lines <count>', 'how many of the past', wholeFlag, 100)
    .addOption(new Option('--level <level>', 'least level').choices(Object.keys(levels)).default('info'))
    .option('--mount <name>', 'only of this mount')
    .option('--call <id>', 'only of the call with this correlation id')
    .action((flags: LogFlags) => logs(cli, flags))
}

async function logs(cli: Cli, flags: LogFlags): Promise<void> {
  const service = await cli.connect()
  const mountId = flags.mount === undefined ? '' : (await mountNamed(service, flags.mount)).id
  const request = { lines: flags.lines, follow: flags.follow, minLevel: levels[flags.level], mountId, correlationId: flags.call ?? '' }
  try {
    for await (const { entries } of service.logs.tailLogs(request, { signal: cli.signal })) {
      for (const entry of entries) cli.output.print(cli.output.json ? JSON.stringify(logView(entry)) : line(cli, entry))
    }
  } catch (error) {
    if (!cli.signal.aborted) throw error
  }
}

function line(cli: Cli, entry: LogEntry): string {
  const time = isoTime(entry.time) ?? '-'
  const level = word(LogLevel, entry.level).padEnd(5)
  const style = entry.level === LogLevel.ERROR ? 'red' : entry.level === LogLevel.WARN ? 'yellow' : 'dim'
  const fields = Object.entries(entry.fields ?? {}).map(
    ([key, value]) => `${key}=${safe(typeof value === 'string' ? value : JSON.stringify(value))}`,
  )
  const call = entry.correlationId === '' ? [] : [`call=${entry.correlationId}`]
  return [time, colour(cli.output, style, level), `${entry.program}[${entry.pid}]`, safe(entry.message), ...fields, ...call].join(' ')
}
