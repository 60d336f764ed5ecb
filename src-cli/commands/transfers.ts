import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { allMounts, mountNamed } from '../lookup.ts'
import { safe, show, table } from '../output.ts'
import { formatSize } from '../sizes.ts'
import type { TransferView } from '../views.ts'
import { transferView } from '../views.ts'
import { wholeFlag } from './flags.ts'

/** `cloudmoor transfers …`. */
export function addTransferCommands(program: Command, cli: Cli): void {
  const transfers = program
    .command('transfers')
    .argument('[mount]', 'only of this mount')
    .description('show what is on its way to the providers, in the order in which it goes')
    .option('-n, --limit <count>', 'at most so many of each mount', wholeFlag, 100)
    .action((mount: string | undefined, flags: { readonly limit: number }) => list(cli, mount, flags.limit))
  transfers
    .command('retry')
    .argument('<mount>', 'a mount')
    .argument('[id]', 'one transfer; all of them unless told', wholeFlag)
    .description('try waiting and parked transfers now')
    .action((mount: string, id: number | undefined) => retry(cli, mount, id))
}

async function list(cli: Cli, name: string | undefined, limit: number): Promise<void> {
  const service = await cli.connect()
  const mounts = name === undefined ? await allMounts(service) : [await mountNamed(service, name)]
  const names = new Map(mounts.map((mount) => [mount.id, mount.name]))
  const nameOf = (id: string): string => names.get(id) ?? id
  const answer = await service.transfers.listTransfers({ mountId: name === undefined ? '' : (mounts[0]?.id ?? ''), limit })
  const views = answer.transfers.map((transfer) => transferView(transfer, nameOf(transfer.mountId)))
  const unavailable = answer.unavailableMountIds.map(nameOf)
  show(cli.output, { transfers: views, unavailable }, () =>
    [
      views.length === 0 ? 'nothing waits' : transferTable(views),
      ...unavailable.map((mount) => `${safe(mount)}: its worker does not answer; what waits there is kept`),
    ].join('\n'),
  )
}

function transferTable(views: readonly TransferView[]): string {
  return table<TransferView>(
    [
      { title: 'ID', value: (transfer) => String(transfer.id), align: 'right' },
      { title: 'MOUNT', value: (transfer) => safe(transfer.mount) },
      { title: 'WHAT', value: (transfer) => transfer.kind },
      { title: 'STATE', value: (transfer) => transfer.state + (transfer.tries > 1 ? ` (try ${transfer.tries})` : '') },
      { title: 'DONE', value: (transfer) => doneText(transfer), align: 'right' },
      { title: 'PATH', value: (transfer) => safe(transfer.path) },
      { title: 'WHY', value: (transfer) => safe(transfer.reason) },
    ],
    views,
  )
}

function doneText({ kind, size, done }: TransferView): string {
  if (kind !== 'upload') return '-'
  return size === 0 ? '0 B' : `${formatSize(done)} of ${formatSize(size)}`
}

async function retry(cli: Cli, name: string, id: number | undefined): Promise<void> {
  const service = await cli.connect()
  const mount = await mountNamed(service, name)
  await service.transfers.retryTransfers({ mountId: mount.id, transferId: BigInt(id ?? 0) })
  show(cli.output, { retried: id ?? 'all' }, () =>
    id === undefined ? `trying everything of '${name}' again` : `trying transfer ${id} of '${name}' again`,
  )
}
