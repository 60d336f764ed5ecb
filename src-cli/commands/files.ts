import { relative, resolve } from 'node:path'
import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { exitCodes } from '../exit-codes.ts'
import { Failure } from '../failure.ts'
import { mountAround } from '../lookup.ts'
import { safe, show, table } from '../output.ts'
import type { Service } from '../service.ts'
import { formatSize } from '../sizes.ts'
import type { FileView } from '../views.ts'
import { fileView } from '../views.ts'
import { wholeFlag } from './flags.ts'
import { fileStatus } from './status.ts'

const longWork = { timeoutMs: 600_000 }

/** `cloudmoor files …`: nothing is asked of the mounted folder, so it works on mounts that are not mounted too. */
export function addFileCommands(program: Command, cli: Cli): void {
  const files = program.command('files').description('files of a mount, mounted or not, by their path')
  files
    .command('ls')
    .argument('<path>', 'a folder in a mount')
    .description('list a folder, with where the contents are')
    .option('-n, --limit <count>', 'at most so many', wholeFlag, 1000)
    .action((path: string, flags: { readonly limit: number }) => list(cli, path, '', flags.limit))
  files
    .command('stat')
    .argument('<path>', 'a file or folder in a mount')
    .description('say how it is, as status PATH does')
    .action(async (path: string) => fileStatus(cli, await cli.connect(), resolve(path)))
  files
    .command('search')
    .argument('<path>', 'a folder in a mount')
    .argument('<text>', 'part of a name')
    .description('find names below it among those that this machine has seen')
    .option('-n, --limit <count>', 'at most so many', wholeFlag, 1000)
    .action((path: string, text: string, flags: { readonly limit: number }) => list(cli, path, text, flags.limit))
  files
    .command('pin')
    .argument('<path>', 'a file or folder in a mount')
    .description('keep the contents on this machine, and fetch them')
    .option('--off', 'no longer', false)
    .action((path: string, flags: { readonly off: boolean }) => pin(cli, path, flags.off))
  files
    .command('free')
    .argument('<path>', 'a file or folder in a mount')
    .description('drop contents that the provider has; what is changed or open stays')
    .action((path: string) => free(cli, path))
  files
    .command('mv')
    .argument('<path>', 'a file or folder in a mount')
    .argument('<new>', 'its new path in the same mount')
    .description('rename or move it')
    .option('-f, --force', 'replace what is there', false)
    .action((path: string, to: string, flags: { readonly force: boolean }) => rename(cli, path, to, flags.force))
  files
    .command('rm')
    .argument('<path>', 'a file or folder in a mount')
    .description('remove it')
    .option('-r, --recursive', 'a folder with all that is in it', false)
    .action((path: string, flags: { readonly recursive: boolean }) => remove(cli, path, flags.recursive))
}

/** The mount that a path lies in, and the path below it. */
async function placeOf(
  service: Service,
  path: string,
): Promise<{ readonly mountId: string; readonly path: string; readonly root: string }> {
  const whole = resolve(path)
  const mount = await mountAround(service, whole)
  return { mountId: mount.id, path: relative(mount.path, whole), root: mount.path }
}

async function list(cli: Cli, folder: string, text: string, limit: number): Promise<void> {
  const service = await cli.connect()
  const { root, ...place } = await placeOf(service, folder)
  const views: FileView[] = []
  let pageToken = ''
  do {
    const request = { ...place, pageToken, pageSize: Math.min(1000, limit - views.length) }
    const page = text === '' ? await service.files.listFiles(request) : await service.files.searchFiles({ ...request, text })
    views.push(...page.files.map((file) => fileView(file, root)))
    pageToken = page.nextPageToken
  } while (pageToken !== '' && views.length < limit)
  views.sort((a, b) => (a.path < b.path ? -1 : 1))
  show(cli.output, { files: views, more: pageToken !== '' }, () =>
    [views.length === 0 ? 'nothing' : fileTable(views, text !== ''), ...(pageToken === '' ? [] : ['there is more: --limit'])].join('\n'),
  )
}

function fileTable(views: readonly FileView[], whole: boolean): string {
  return table<FileView>(
    [
      { title: 'STATE', value: (file) => file.state },
      { title: 'SIZE', value: (file) => (file.type === 'folder' ? '-' : formatSize(file.size)), align: 'right' },
      { title: 'HERE', value: (file) => (file.type === 'folder' ? '-' : formatSize(file.localBytes)), align: 'right' },
      { title: 'CHANGED', value: (file) => file.modified ?? '' },
      { title: 'NAME', value: (file) => safe((whole ? file.path : file.name) + (file.type === 'folder' ? '/' : '')) },
    ],
    views,
  )
}

async function pin(cli: Cli, path: string, off: boolean): Promise<void> {
  const service = await cli.connect()
  const { mountId, path: below } = await placeOf(service, path)
  const files = Number((await service.files.pinFile({ mountId, path: below, unpin: off }, longWork)).files)
  show(cli.output, { path, pinned: !off, files }, () => `${safe(path)}: ${countText(files)} ${off ? 'no longer pinned' : 'pinned'}`)
}

async function free(cli: Cli, path: string): Promise<void> {
  const service = await cli.connect()
  const { mountId, path: below } = await placeOf(service, path)
  const answer = await service.files.freeFile({ mountId, path: below }, longWork)
  show(cli.output, { path, freedBytes: Number(answer.freedBytes), keptFiles: Number(answer.keptFiles) }, () => freedText(answer))
}

export function freedText({ freedBytes, keptFiles }: { readonly freedBytes: bigint; readonly keptFiles: bigint }): string {
  const kept = keptFiles === 0n ? '' : `; ${countText(Number(keptFiles))} stay: changed, open or pinned`
  return `${formatSize(Number(freedBytes))} freed${kept}`
}

async function rename(cli: Cli, path: string, to: string, replace: boolean): Promise<void> {
  const service = await cli.connect()
  const from = await placeOf(service, path)
  const target = await placeOf(service, to)
  if (from.mountId !== target.mountId) {
    throw new Failure('both paths must lie in one mount', {
      exitCode: exitCodes.usage,
      reason: 'CROSS_DEVICE',
      hint: 'copy it, then remove it',
    })
  }
  await service.files.renameFile({ mountId: from.mountId, path: from.path, newPath: target.path, replace })
  show(cli.output, { path, newPath: to }, () => `${safe(path)} is now ${safe(to)}`)
}

async function remove(cli: Cli, path: string, recursive: boolean): Promise<void> {
  const service = await cli.connect()
  const { mountId, path: below } = await placeOf(service, path)
  const removed = Number((await service.files.removeFile({ mountId, path: below, recursive }, longWork)).removed)
  show(cli.output, { path, removed }, () => `${safe(path)} is removed${removed > 1 ? `, ${removed} entries in all` : ''}`)
}

function countText(files: number): string {
  return files === 1 ? '1 file' : `${files} files`
}
