import type { Command } from 'commander'
import { Option } from 'commander'
import type { AuditEntry } from '../../proto/gen/cloudmoor/v1/audit_pb.js'
import type { Cli } from '../cli.ts'
import { exitCodes } from '../exit-codes.ts'
import { Failure } from '../failure.ts'
import { mountNamed } from '../lookup.ts'
import { facts, safe, show } from '../output.ts'
import { isoTime } from '../views.ts'
import { wholeFlag } from './flags.ts'

interface TailFlags {
  readonly lines?: number
  readonly follow: boolean
  readonly all: boolean
  readonly begun: boolean
  readonly mount?: string
  readonly principal?: string
  readonly action?: string
  readonly call?: string
  readonly format?: 'jsonl' | 'csv'
}

/** `cloudmoor audit …`. */
export function addAuditCommands(program: Command, cli: Cli): void {
  const audit = program.command('audit').description('who did what, when and from where')
  withFilter(audit.command('list'))
    .option('-n, --lines <count>', 'how many of the last lines', wholeFlag)
    .option('-f, --follow', 'go on with new lines', false)
    .description('show the last lines')
    .action((flags: Omit<TailFlags, 'all'>) => tail(cli, { ...flags, all: false }))
  withFilter(audit.command('export'))
    .addOption(new Option('--format <format>', 'JSON lines, or CSV').choices(['jsonl', 'csv']).default('jsonl'))
    .description('print every line that is kept')
    .action((flags: Omit<TailFlags, 'all' | 'follow'>) => tail(cli, { ...flags, all: true, follow: false }))
  audit
    .command('verify')
    .description('check that nobody changed the log, and since when')
    .action(() => verify(cli))
}

function withFilter(command: Command): Command {
  return command
    .option('--mount <name>', 'only about this mount')
    .option('--principal <who>', 'only of this one, such as user:anna')
    .option('--action <action>', 'only this action, such as cloudmoor.v1.MountService.StartMount')
    .option('--call <id>', 'only of this call')
    .option('--begun', 'also the lines that say that a change began', false)
}

const columns = [
  'sequence',
  'time',
  'principal',
  'origin',
  'action',
  'class',
  'result',
  'mountId',
  'providerId',
  'target',
  'correlationId',
  'times',
  'mac',
] as const

function entryView(entry: AuditEntry): Readonly<Record<(typeof columns)[number], string | number>> {
  const { principal, origin, action, result, mountId, providerId, target, correlationId, times, mac } = entry
  const about = { principal, origin, action, class: entry.class, result, mountId, providerId, target, correlationId, times, mac }
  return { sequence: Number(entry.sequence), time: isoTime(entry.time) ?? '', ...about }
}

async function tail(cli: Cli, flags: TailFlags): Promise<void> {
  const service = await cli.connect()
  const { begun, all, follow } = flags
  const mountId = flags.mount === undefined ? '' : (await mountNamed(service, flags.mount)).id
  const filter = {
    begun,
    all,
    follow,
    mountId,
    principal: flags.principal ?? '',
    action: flags.action ?? '',
    correlationId: flags.call ?? '',
  }
  if (flags.format === 'csv') cli.output.print(columns.join(','))
  for await (const { entries } of service.audit.tailAudit({ ...filter, lines: flags.lines ?? 0 }, { signal: cli.signal })) {
    for (const entry of entries) cli.output.print(lineOf(cli, entryView(entry), flags.format))
  }
}

function lineOf(cli: Cli, view: ReturnType<typeof entryView>, format: TailFlags['format']): string {
  if (format === 'csv') return columns.map((column) => csvField(String(view[column]))).join(',')
  if (format === 'jsonl' || cli.output.json) return JSON.stringify(view)
  const about = view.target === '' ? view.mountId : view.target
  const parts = [
    view.time,
    view.result,
    view.principal,
    view.origin,
    view.action,
    about,
    Number(view.times) > 1 ? `(${view.times} times)` : '',
  ]
  return parts
    .map(String)
    .filter((part) => part !== '')
    .map(safe)
    .join('  ')
}

/** Quoted where it must be; what a spreadsheet would take for a formula is text. */
function csvField(text: string): string {
  const plain = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text
  return /[",\r\n]/.test(plain) ? `"${plain.replaceAll('"', '""')}"` : plain
}

async function verify(cli: Cli): Promise<void> {
  const { lines, wholeSince, brokenAt, head } = await (await cli.connect()).audit.verifyAudit({}, { timeoutMs: 600_000 })
  const view = { lines: Number(lines), wholeSince: isoTime(wholeSince), brokenAt: Number(brokenAt), head }
  show(cli.output, view, () =>
    facts([
      ['Lines', String(view.lines)],
      ['Whole since', view.wholeSince ?? undefined],
      ['Head', view.head === '' ? undefined : view.head],
      ['Broken at line', view.brokenAt === 0 ? undefined : String(view.brokenAt)],
    ]),
  )
  if (view.brokenAt !== 0) {
    throw new Failure(`the audit log was changed: line ${view.brokenAt} does not fit the one before`, {
      ...{ exitCode: exitCodes.failed, reason: 'AUDIT_BROKEN', hint: 'compare with the heads in the service’s log, and with a backup' },
    })
  }
}
