import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { exitCodes } from '../exit-codes.ts'
import { Failure } from '../failure.ts'
import { allMounts, mountNamed } from '../lookup.ts'
import { safe, show, table } from '../output.ts'
import { formatSize } from '../sizes.ts'
import type { TransferView } from '../views.ts'
import { transferView } from '../views.ts'
import { conflictText, readConflicts } from './conflicts.ts'
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
  transfers
    .command('confirm')
    .argument('[mount]', 'only of this mount')
    .description('bring everything to the disk, then say whether all of it is safe and uploaded (exit code 0)')
    .action((mount: string | undefined) => confirm(cli, mount))
}

async function list(cli: Cli, name: string | undefined, limit: number): Promise<void> {
  const service = await cli.connect()
  const mounts = name === undefined ? await allMounts(service) : [await mountNamed(service, name)]
  const names = new Map(mounts.map((mount) => [mount.id, mount.name]))
  const nameOf = (id: string): string => names.get(id) ?? id
  const answer = await service.transfers.listTransfers({ mountId: name === undefined ? '' : (mounts[0]?.id ?? ''), limit })
  const views = answer.transfers.map((transfer) => transferView(transfer, nameOf(transfer.mountId)))
  const unavailable = answer.unavailableMountIds.map(nameOf)
  const { conflicts } = await readConflicts(service, name === undefined ? '' : (mounts[0]?.id ?? ''), limit, nameOf)
  show(cli.output, { transfers: views, conflicts, unavailable }, () =>
    [
      views.length === 0 ? 'nothing waits' : transferTable(views),
      ...(conflicts.length === 0 ? [] : ['', conflictText(conflicts)]),
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

async function confirm(cli: Cli, name: string | undefined): Promise<void> {
  const service = await cli.connect()
  const mounts = name === undefined ? await allMounts(service) : [await mountNamed(service, name)]
  const names = new Map(mounts.map((mount) => [mount.id, mount.name]))
  const mountId = name === undefined ? '' : (mounts[0]?.id ?? '')
  const answer = await service.transfers.confirmSafe({ mountId }, { timeoutMs: 300_000 })
  const views = answer.mounts.map((mount) => ({
    mount: names.get(mount.mountId) ?? mount.mountId,
    onDisk: mount.onDisk,
    uploaded: mount.uploaded,
    pendingFiles: Number(mount.pendingFiles),
    pendingBytes: Number(mount.pendingBytes),
    conflicts: Number(mount.conflicts),
    reason: mount.reason,
  }))
  const { onDisk, uploaded } = answer
  show(cli.output, { onDisk, uploaded, mounts: views }, () => [...views.map(safetyText), summary(onDisk, uploaded)].join('\n'))
  if (!uploaded) {
    throw new Failure(onDisk ? 'not everything is uploaded' : 'not everything is safe', {
      exitCode: exitCodes.failed,
      reason: 'NOT_SAFE_YET',
      hint: 'cloudmoor transfers shows what waits, and why',
    })
  }
}

function summary(onDisk: boolean, uploaded: boolean): string {
  if (uploaded && onDisk) return 'everything is on the disk and uploaded'
  return onDisk ? 'everything is on the disk, not all of it is uploaded' : 'not everything is on the disk'
}

function safetyText(view: {
  readonly mount: string
  readonly onDisk: boolean
  readonly pendingFiles: number
  readonly pendingBytes: number
  readonly conflicts: number
  readonly reason: string
}): string {
  const disk = view.onDisk ? 'on the disk' : 'not on the disk'
  const pending = view.pendingFiles === 0 ? '' : `, ${view.pendingFiles} files (${formatSize(view.pendingBytes)}) not uploaded`
  const conflicts = view.conflicts === 0 ? '' : `, ${view.conflicts} conflicts`
  return `${safe(view.mount)}: ${disk}${pending}${conflicts}${view.reason === '' ? '' : ` (${safe(view.reason)})`}`
}
