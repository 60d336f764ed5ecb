import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Orphan } from '../../proto/gen/cloudmoor/v1/orphan_pb.js'
import type { Cli } from '../cli.ts'
import { exitCodes } from '../exit-codes.ts'
import { Failure, notFoundFailure, usageFailure } from '../failure.ts'
import { providerNamed } from '../lookup.ts'
import { safe, show, table } from '../output.ts'
import type { Service } from '../service.ts'
import { formatSize } from '../sizes.ts'
import { queueText } from '../status-text.ts'
import { mountView, queueView } from '../views.ts'
import { wholeFlag } from './flags.ts'

interface AdoptFlags {
  readonly name?: string
  readonly path?: string
  readonly provider?: string
}

/** `cloudmoor orphans …`. */
export function addOrphanCommands(program: Command, cli: Cli): void {
  const orphans = program.command('orphans').description('what waits for upload and has no mount any more')
  orphans
    .command('list')
    .description('list them, with what was not uploaded')
    .action(() => list(cli))
  orphans
    .command('adopt')
    .argument('<orphan>', 'name or id')
    .description('make it a mount again; what waits goes on when it is mounted')
    .option('--name <name>', 'what to call the mount, if not as before')
    .option('--path <dir>', 'the folder to mount on, if not as before')
    .option('-p, --provider <config>', 'the account, if it was saved anew; it must show the same place')
    .action((name: string, flags: AdoptFlags) => adopt(cli, name, flags))
  orphans
    .command('export')
    .argument('<orphan>', 'name or id')
    .argument('<folder>', 'a folder that does not exist yet, or is empty')
    .description('copy the files that were not uploaded; nothing changes in the orphan')
    .action((name: string, folder: string) => exportFiles(cli, name, resolve(folder)))
  orphans
    .command('discard')
    .argument('<orphan>', 'name or id')
    .description('delete it, and the files that were not uploaded')
    .requiredOption('--files <count>', 'how many files that are; must be right', wholeFlag)
    .action((name: string, flags: { readonly files: number }) => discard(cli, name, flags.files))
}

async function orphanNamed(service: Service, name: string): Promise<Orphan> {
  const { orphans } = await service.orphans.listOrphans({}, { timeoutMs: 600_000 })
  const found = orphans.filter((orphan) => orphan.id === name || orphan.name === name)
  if (found.length > 1) throw usageFailure(`more than one orphan is called '${name}'`, 'give its id: cloudmoor orphans list')
  const [orphan] = found
  if (orphan === undefined) throw notFoundFailure(`no orphan is called '${name}'`, 'cloudmoor orphans list shows them')
  return orphan
}

function orphanView(orphan: Orphan) {
  return {
    id: orphan.id,
    name: orphan.name,
    provider: orphan.accountName,
    remote: orphan.remoteRoot,
    path: orphan.path,
    folder: orphan.folder,
    queue: orphan.queue === undefined ? null : queueView(orphan.queue),
    conflicts: Number(orphan.conflicts),
    reason: orphan.reason,
  }
}

type OrphanView = ReturnType<typeof orphanView>

async function list(cli: Cli): Promise<void> {
  const service = await cli.connect()
  const { orphans } = await service.orphans.listOrphans({}, { timeoutMs: 600_000 })
  const views = orphans.map(orphanView)
  show(cli.output, views, () => (views.length === 0 ? 'there are no orphans' : orphanTable(views)))
}

function orphanTable(views: readonly OrphanView[]): string {
  return table<OrphanView>(
    [
      { title: 'NAME', value: ({ name }) => (name === '' ? '-' : safe(name)) },
      { title: 'ID', value: ({ id }) => id },
      { title: 'PROVIDER', value: ({ provider }) => (provider === '' ? '-' : safe(provider)) },
      { title: 'REMOTE', value: ({ remote }) => `/${safe(remote)}` },
      { title: 'QUEUE', value: ({ queue, reason }) => (queue === null ? `unknown: ${safe(reason)}` : queueText(queue)) },
      { title: 'CONFLICTS', value: ({ conflicts }) => String(conflicts), align: 'right' },
    ],
    views,
  )
}

async function adopt(cli: Cli, name: string, flags: AdoptFlags): Promise<void> {
  const service = await cli.connect()
  const { id } = await orphanNamed(service, name)
  const providerId = flags.provider === undefined ? '' : (await providerNamed(service, flags.provider)).id
  const path = flags.path === undefined ? '' : resolve(flags.path)
  const { mount } = await service.orphans.adoptOrphan({ id, name: flags.name ?? '', path, providerId }, { timeoutMs: 600_000 })
  if (mount === undefined) throw new Error('the service gave an answer without the mount')
  show(cli.output, mountView(mount), () => `'${safe(mount.name)}' is a mount again; mount it with: cloudmoor mount ${safe(mount.name)}`)
}

async function exportFiles(cli: Cli, name: string, folder: string): Promise<void> {
  const service = await cli.connect()
  const { id } = await orphanNamed(service, name)
  const answer = await service.orphans.exportOrphan({ id, folder }, { timeoutMs: 3_600_000, signal: cli.signal })
  const { failed } = answer
  const view = { orphan: name, folder, files: Number(answer.files), bytes: Number(answer.bytes), failures: Number(answer.failures) }
  show(cli.output, { ...view, failed: failed.map(({ path, reason }) => ({ path, reason })) }, () =>
    [
      `copied ${view.files} files (${formatSize(view.bytes)}) to ${safe(folder)}`,
      ...failed.map(({ path, reason }) => `${safe(path)}: not copied: ${safe(reason)}`),
    ].join('\n'),
  )
  if (view.failures > 0)
    throw new Failure(`${view.failures} files could not be copied`, { exitCode: exitCodes.failed, reason: 'NOT_WHOLE' })
}

async function discard(cli: Cli, name: string, files: number): Promise<void> {
  const service = await cli.connect()
  const { id } = await orphanNamed(service, name)
  await service.orphans.discardOrphan({ id, files: BigInt(files) }, { timeoutMs: 600_000 })
  show(cli.output, { discarded: name, files }, () => `discarded '${safe(name)}'`)
}
