import type { Command } from 'commander'
import type { Alert } from '../../proto/gen/cloudmoor/v1/alert_pb.js'
import { AlertSeverity } from '../../proto/gen/cloudmoor/v1/alert_pb.js'
import type { Cli } from '../cli.ts'
import { allMounts, mountNamed } from '../lookup.ts'
import { facts, safe, show } from '../output.ts'
import { isoTime } from '../views.ts'
import { word } from '../words.ts'
import { wholeFlag } from './flags.ts'

interface ListFlags {
  readonly all: boolean
  readonly limit: number
}

/** `cloudmoor alerts …`. */
export function addAlertCommands(program: Command, cli: Cli): void {
  const alerts = program.command('alerts').description('what needs a person')
  alerts
    .command('list')
    .argument('[mount]', 'only of this mount')
    .option('--all', 'also those that are over', false)
    .option('-n, --limit <count>', 'at most so many', wholeFlag, 100)
    .description('show them, newest first')
    .action((mount: string | undefined, flags: ListFlags) => list(cli, mount, flags))
  alerts
    .command('ack')
    .argument('<id>', 'an alert')
    .description('say that you know of it; it stays open until it is over')
    .action((id: string) => acknowledge(cli, id))
  alerts
    .command('resolve')
    .argument('<id>', 'an alert')
    .description('say that it is over')
    .action((id: string) => resolve(cli, id))
}

function alertView(alert: Alert, mount: string | null) {
  const { id, reason, message, lines, correlationId, times, acknowledgedBy, resolvedBy } = alert
  return {
    ...{ id, severity: word(AlertSeverity, alert.severity), mount, reason, message, lines, call: correlationId, times },
    ...{ raised: isoTime(alert.raiseTime), last: isoTime(alert.lastTime) },
    ...{ acknowledged: isoTime(alert.acknowledgeTime), acknowledgedBy, resolved: isoTime(alert.resolveTime), resolvedBy },
  }
}

type AlertView = ReturnType<typeof alertView>

async function list(cli: Cli, name: string | undefined, { all, limit }: ListFlags): Promise<void> {
  const service = await cli.connect()
  const mounts = name === undefined ? await allMounts(service) : [await mountNamed(service, name)]
  const names = new Map(mounts.map((mount) => [mount.id, mount.name]))
  const { alerts } = await service.alerts.listAlerts({ mountId: name === undefined ? '' : (mounts[0]?.id ?? ''), all, limit })
  const views = alerts.map((alert) => alertView(alert, alert.mountId === '' ? null : (names.get(alert.mountId) ?? alert.mountId)))
  show(cli.output, views, () => (views.length === 0 ? 'nothing needs you' : views.map(alertText).join('\n\n')))
}

function alertText(view: AlertView): string {
  const often = view.times > 1 ? `, ${view.times} times, last ${view.last ?? '-'}` : ''
  return facts([
    [view.severity, safe(view.message)],
    ['Alert', `${view.id}, ${view.reason}${view.mount === null ? '' : `, mount ${safe(view.mount)}`}`],
    ['Since', `${view.raised ?? '-'}${often}`],
    ['Known to', view.acknowledged === null ? undefined : safe(view.acknowledgedBy)],
    ['Over', view.resolved === null ? undefined : `${view.resolved}${view.resolvedBy === '' ? '' : `, said ${safe(view.resolvedBy)}`}`],
    ...view.lines.map((line) => ['Log', safe(line)] as const),
  ])
}

async function acknowledge(cli: Cli, id: string): Promise<void> {
  const { alert } = await (await cli.connect()).alerts.acknowledgeAlert({ id })
  show(cli.output, { acknowledged: id }, () => `acknowledged: ${safe(alert?.message ?? id)}`)
}

async function resolve(cli: Cli, id: string): Promise<void> {
  const { alert } = await (await cli.connect()).alerts.resolveAlert({ id })
  show(cli.output, { resolved: id }, () => `over: ${safe(alert?.message ?? id)}`)
}
