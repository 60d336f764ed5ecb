import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Mount } from '../../proto/gen/cloudmoor/v1/mount_pb.js'
import type { Cli } from '../cli.ts'
import { usageFailure } from '../failure.ts'
import { allMounts, mountNamed, providerNamed } from '../lookup.ts'
import { safe, show } from '../output.ts'
import type { Service } from '../service.ts'
import { counted, formatSize } from '../sizes.ts'
import { mountDetails, mountTable } from '../status-text.ts'
import type { MountView } from '../views.ts'
import { mountView } from '../views.ts'
import { collect, durationFlag } from './flags.ts'
import type { MountFlags } from './mount-flags.ts'
import { maskOf, mountFields, mountOption, withMountFlags } from './mount-flags.ts'

interface AddFlags extends MountFlags {
  readonly provider: string
  readonly path: string
  readonly remote: string
  readonly cacheDir?: string
  readonly now: boolean
}

interface SetFlags extends MountFlags {
  readonly name?: string
  readonly unset: readonly string[]
}

interface RemoveFlags {
  readonly wait?: number | true
  readonly park: boolean
}

/** `cloudmoor mount …` and `cloudmoor unmount`. */
export function addMountCommands(program: Command, cli: Cli): void {
  const mount = program
    .command('mount')
    .argument('<name>', 'a mount')
    .description('mount; the service is started if none runs')
    .action((name: string) => start(cli, name))
  withMountFlags(mount.command('add'))
    .argument('<name>', 'what to call the mount')
    .description('save a folder of an account as a folder of this machine')
    .requiredOption('-p, --provider <config>', 'the account: a name of `cloudmoor config list`')
    .requiredOption('--path <dir>', 'the folder to mount on; it must exist and be empty when it is mounted')
    .option('--remote <path>', 'the folder on the account', '')
    .option('--cache-dir <dir>', 'where database and cache of this mount lie; holds the only copy of unsent files')
    .option('--now', 'mount it, too', false)
    .action((name: string, flags: AddFlags) => add(cli, name, flags))
  mount
    .command('list')
    .description('list the mounts')
    .action(() => list(cli))
  mount
    .command('show')
    .argument('<name>', 'a mount')
    .description('show a mount')
    .action((name: string) => showOne(cli, name))
  withMountFlags(mount.command('set'))
    .argument('<name>', 'a mount')
    .description('change a mount; some changes need it unmounted')
    .option('--path <dir>', 'the folder to mount on')
    .option('--name <name>', 'rename the mount')
    .option('--unset <option>', 'an --option back to its default; repeatable', collect, [])
    .action((name: string, flags: SetFlags) => set(cli, name, flags))
  mount
    .command('remove')
    .argument('<name>', 'a mount')
    .description('unmount and forget a mount; refuses while files are unsent')
    .option('--wait [duration]', 'wait for unsent files, at most so long (1h unless told)', durationFlag)
    .option('--park', 'keep what is unsent then as an orphan: see `cloudmoor orphans`', false)
    .action((name: string, flags: RemoveFlags) => remove(cli, name, flags))
  program
    .command('unmount')
    .argument('<name>', 'a mount')
    .description('unmount; what is not uploaded stays queued')
    .option('--force', 'also while processes use it: open files are served for a while, then fail', false)
    .action((name: string, flags: { readonly force: boolean }) => stop(cli, name, flags.force))
}

/** The view of a mount in an answer; the contract promises that it is there. */
function viewOf(mount: Mount | undefined): MountView {
  if (mount === undefined) throw new Error('the service gave an answer without the mount')
  return mountView(mount)
}

async function startMount(cli: Cli, service: Service, id: string): Promise<MountView> {
  const { mount } = await service.mounts.startMount({ id }, { timeoutMs: 150_000, signal: cli.signal })
  return viewOf(mount)
}

async function start(cli: Cli, name: string): Promise<void> {
  const service = await cli.connectOrStart()
  const view = await startMount(cli, service, (await mountNamed(service, name)).id)
  show(cli.output, view, () => `'${name}' is mounted on ${safe(view.path)}`)
}

async function add(cli: Cli, name: string, flags: AddFlags): Promise<void> {
  const fields = mountFields(flags)
  const service = await cli.connectOrStart()
  const provider = await providerNamed(service, flags.provider)
  const created = await service.mounts.createMount({
    mount: {
      ...fields,
      name,
      providerId: provider.id,
      remoteRoot: flags.remote.replace(/^\/+|\/+$/g, ''),
      cacheDir: flags.cacheDir === undefined ? '' : resolve(flags.cacheDir),
    },
    requestId: crypto.randomUUID(),
  })
  const saved = viewOf(created.mount)
  if (!flags.now) {
    show(cli.output, saved, () => `saved mount '${name}'; mount it with: cloudmoor mount ${shellWord(name)}`)
    return
  }
  const view = await startMount(cli, service, saved.id)
  show(cli.output, view, () => `'${name}' is mounted on ${safe(view.path)}`)
}

const shellWord = (text: string): string => (/^[\w.-]+$/.test(text) ? text : `'${text}'`)

async function list(cli: Cli): Promise<void> {
  const views = (await allMounts(await cli.connect())).map(mountView)
  show(cli.output, views, () => mountTable(cli.output, views))
}

async function showOne(cli: Cli, name: string): Promise<void> {
  const service = await cli.connect()
  const mount = await mountNamed(service, name)
  const { provider } = await service.providers.getProvider({ id: mount.providerId })
  const view = mountView(mount)
  show(cli.output, { ...view, provider: provider?.name ?? '' }, () => mountDetails(cli.output, view, provider?.name ?? ''))
}

async function set(cli: Cli, name: string, flags: SetFlags): Promise<void> {
  const fields = { ...mountFields(flags), ...(flags.name === undefined ? {} : { name: flags.name }) }
  const paths = [...maskOf(fields), ...flags.unset.map((option) => `options.${mountOption(option)}`)]
  if (paths.length === 0) throw usageFailure('nothing to change')
  const service = await cli.connectOrStart()
  const mount = await mountNamed(service, name)
  const changed = await service.mounts.updateMount({ mount: { ...fields, id: mount.id, etag: mount.etag }, updateMask: { paths } })
  show(cli.output, viewOf(changed.mount), () => `changed mount '${flags.name ?? name}'`)
}

const waitUnlessTold = 3600

async function remove(cli: Cli, name: string, { wait, park }: RemoveFlags): Promise<void> {
  const service = await cli.connectOrStart()
  const mount = await mountNamed(service, name)
  const seconds = wait === true ? waitUnlessTold : (wait ?? 0)
  const { queue } = mountView(mount)
  if (seconds > 0 && queue.files > 0) cli.output.note(`waiting for ${counted(queue.files, 'unsent file')} (${formatSize(queue.bytes)}) …`)
  await service.mounts.removeMount(
    { id: mount.id, etag: mount.etag, waitTimeout: { seconds: BigInt(seconds) }, park },
    { timeoutMs: (seconds + 120) * 1000, signal: cli.signal },
  )
  show(cli.output, { removed: name }, () => `removed mount '${name}'; nothing changed at the provider`)
}

async function stop(cli: Cli, name: string, force: boolean): Promise<void> {
  const service = await cli.connect()
  const mount = await mountNamed(service, name)
  const stopped = await service.mounts.stopMount({ id: mount.id, force }, { timeoutMs: 660_000, signal: cli.signal })
  const view = viewOf(stopped.mount)
  show(cli.output, view, () => {
    const queued =
      view.queue.files === 0
        ? ''
        : `; kept until it is mounted again: ${counted(view.queue.files, 'file')}, ${formatSize(view.queue.bytes)}`
    return `'${name}' is not mounted any more${queued}`
  })
}
