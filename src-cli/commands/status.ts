import { relative, resolve } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Command } from 'commander'
import { FileState, FileType } from '../../proto/gen/cloudmoor/v1/file_pb.js'
import { checkTable, checkView } from '../capability-sheet.ts'
import type { Cli } from '../cli.ts'
import { exitCodes } from '../exit-codes.ts'
import { Failure } from '../failure.ts'
import { leftMounts } from '../left-mounts.ts'
import { allMounts, mountAround } from '../lookup.ts'
import { facts, safe, show } from '../output.ts'
import type { Service } from '../service.ts'
import { counted, formatDuration, formatSize } from '../sizes.ts'
import { mountTable, queueText } from '../status-text.ts'
import type { MountView, QueueView } from '../views.ts'
import { isoTime, mountView, queueView } from '../views.ts'
import { word } from '../words.ts'

export interface ServiceView {
  readonly address: string
  /** `user` or `system`. */
  readonly kind: string
  readonly version: string
  readonly pid: number
  readonly since: string | null
  readonly stateDir: string
  readonly queue: QueueView
  readonly queueComplete: boolean
  /** Journals without a mount. */
  readonly orphans: number
}

interface StatusView {
  readonly service: ServiceView
  readonly mounts: readonly MountView[]
}

/** `cloudmoor status [PATH]`. */
export function addStatusCommand(program: Command, cli: Cli): void {
  program
    .command('status')
    .argument('[path]', 'a file or folder in a mount: say how it is')
    .description('show the service and its mounts')
    .option('-w, --watch', 'go on, and show changes as they come', false)
    .action((path: string | undefined, flags: { readonly watch: boolean }) => status(cli, path, flags.watch))
}

async function status(cli: Cli, path: string | undefined, watch: boolean): Promise<void> {
  if (path !== undefined) return fileStatus(cli, await cli.connect(), resolve(path))
  if (watch) return watchStatus(cli)
  let service: Service
  try {
    service = await cli.connect()
  } catch (error) {
    if (error instanceof Failure && error.exitCode === exitCodes.noService) await explainNoService(cli, error)
    throw error
  }
  const view = await readStatus(service)
  show(cli.output, view, () => statusText(cli, view))
}

async function explainNoService(cli: Cli, failure: Failure): Promise<void> {
  const left = await leftMounts()
  if (cli.output.json) {
    const looked = cli.places().map((place) => place.path)
    cli.output.print(
      JSON.stringify({ service: null, looked, mounts: [], leftMounts: left.map((mount) => mount.path), message: failure.message }),
    )
  } else if (left.length > 0) {
    cli.output.note(`Mounts in the kernel that no service answers for (the next start takes them over or cleans them up):`)
    for (const mount of left) cli.output.note(`  ${safe(mount.path)}`)
  }
}

export async function serviceView(service: Service): Promise<ServiceView> {
  const answer = await service.system.getStatus({})
  return {
    address: service.place.path,
    kind: answer.kind,
    version: answer.version,
    pid: answer.pid,
    since: isoTime(answer.startTime),
    stateDir: answer.stateDir,
    queue: queueView(answer.queue),
    queueComplete: answer.queueComplete,
    orphans: answer.orphans,
  }
}

async function readStatus(service: Service): Promise<StatusView> {
  const [view, mounts] = await Promise.all([serviceView(service), allMounts(service)])
  return { service: view, mounts: mounts.map(mountView) }
}

export function serviceLine(service: ServiceView): string {
  const seconds = service.since === null ? 0 : Math.max(0, (Date.now() - Date.parse(service.since)) / 1000)
  return `CloudMoor ${service.version}, ${service.kind} service, process ${service.pid}, up ${formatDuration(seconds)}, at ${safe(service.address)}`
}

function statusText(cli: Cli, { service, mounts }: StatusView): string {
  const orphans = service.orphans === 0 ? [] : ['', `${counted(service.orphans, 'orphan')} without a mount: cloudmoor orphans list`]
  return [serviceLine(service), '', mountTable(cli.output, mounts), ...orphans].join('\n')
}

const watchPauseMs = 1000

/** On a terminal the picture is redrawn; otherwise, and as JSON, each change is a new block. Ends at Ctrl-C. */
async function watchStatus(cli: Cli): Promise<void> {
  let before = ''
  while (!cli.signal.aborted) {
    const next = await pictureNow(cli)
    if (next !== before) {
      cli.output.print(cli.output.interactive && !cli.output.json ? `\u001b[H\u001b[2J${next}` : next)
      before = next
    }
    await sleep(watchPauseMs, undefined, { signal: cli.signal }).catch(() => undefined)
  }
}

async function pictureNow(cli: Cli): Promise<string> {
  try {
    const service = await cli.connect()
    const view = await readStatus(service).finally(() => {
      service.close()
    })
    return cli.output.json ? JSON.stringify(view) : statusText(cli, view)
  } catch (error) {
    if (!(error instanceof Failure) || error.exitCode !== exitCodes.noService) throw error
    return cli.output.json ? JSON.stringify({ service: null, mounts: [] }) : error.message
  }
}

/** How one file or folder is. @param path absolute */
export async function fileStatus(cli: Cli, service: Service, path: string): Promise<void> {
  const mount = await mountAround(service, path)
  const file = await service.files.getFileState({ mountId: mount.id, path: relative(mount.path, path) })
  const view = {
    path,
    mount: mount.name,
    state: word(FileState, file.state),
    type: word(FileType, file.type),
    size: Number(file.size),
    localBytes: Number(file.localBytes),
    reason: file.reason,
    localOnly: file.localOnly,
    sheet: file.sheet.map(checkView),
  }
  const text = () =>
    facts([
      ['Path', safe(path)],
      ['Mount', safe(view.mount)],
      ['State', view.state + (view.reason === '' ? '' : ` (${safe(view.reason)})`)],
      ['Type', view.type],
      ['Size', view.type === 'folder' ? undefined : `${formatSize(view.size)}, ${formatSize(view.localBytes)} of it here`],
      ['Only here', view.localOnly.length === 0 ? undefined : `${view.localOnly.join(', ')} (the provider has no place for it)`],
      ['Mount queue', mount.queue.files === 0 ? undefined : queueText(mount.queue)],
    ])
  show(cli.output, view, () => [text(), ...checkTable(view.sheet)].join('\n'))
}
