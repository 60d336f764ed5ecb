import { join } from 'node:path'
import type { Command } from 'commander'
import { Option } from 'commander'
import { LogLevel } from '../../proto/gen/cloudmoor/v1/log_pb.js'
import type { Cli } from '../cli.ts'
import { exitCodes } from '../exit-codes.ts'
import { Failure } from '../failure.ts'
import { readLogFile } from '../log-file.ts'
import { mountNamed } from '../lookup.ts'
import { colour, safe } from '../output.ts'
import { stateFolder } from '../places.ts'
import type { LogView } from '../views.ts'
import { logView } from '../views.ts'
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
    .description('show log lines of the service and its workers; without a service, the last ones it wrote')
    .option('-f, --follow', 'go on with new lines', false)
    .option('-n, --lines <count>', 'how many of the past', wholeFlag, 100)
    .addOption(new Option('--level <level>', 'least level').choices(Object.keys(levels)).default('info'))
    .option('--mount <name>', 'only of this mount')
    .option('--call <id>', 'only of the call with this correlation id')
    .action((flags: LogFlags) => logs(cli, flags))
}

async function logs(cli: Cli, flags: LogFlags): Promise<void> {
  try {
    await tail(cli, flags)
  } catch (error) {
    if (cli.signal.aborted) return
    if (error instanceof Failure && error.exitCode === exitCodes.noService) await lastWords(cli, flags)
    throw error
  }
}

async function tail(cli: Cli, flags: LogFlags): Promise<void> {
  const service = await cli.connect()
  const mountId = flags.mount === undefined ? '' : (await mountNamed(service, flags.mount)).id
  const request = { lines: flags.lines, follow: flags.follow, minLevel: levels[flags.level], mountId, correlationId: flags.call ?? '' }
  for await (const { entries } of service.logs.tailLogs(request, { signal: cli.signal })) {
    for (const entry of entries) print(cli, logView(entry))
  }
}

/** What the service wrote before it went. */
async function lastWords(cli: Cli, flags: LogFlags): Promise<void> {
  const file = join(stateFolder(process.env), 'logs', 'service.log')
  const entries = (await readLogFile(file)).filter((entry) => {
    const level = Object.hasOwn(levels, entry.level) ? levels[entry.level as keyof typeof levels] : LogLevel.INFO
    return level >= levels[flags.level] && (flags.call === undefined || entry.correlationId === flags.call)
  })
  for (const entry of entries.slice(-flags.lines)) print(cli, entry)
}

function print(cli: Cli, entry: LogView): void {
  cli.output.print(cli.output.json ? JSON.stringify(entry) : line(cli, entry))
}

function line(cli: Cli, entry: LogView): string {
  const style = entry.level === 'error' ? 'red' : entry.level === 'warn' ? 'yellow' : 'dim'
  const fields = Object.entries(entry.fields).map(
    ([key, value]) => `${key}=${safe(typeof value === 'string' ? value : JSON.stringify(value))}`,
  )
  const call = entry.correlationId === '' ? [] : [`call=${safe(entry.correlationId)}`]
  const program = `${safe(entry.program)}[${entry.pid}]`
  return [entry.time ?? '-', colour(cli.output, style, entry.level.padEnd(5)), program, safe(entry.message), ...fields, ...call].join(' ')
}
