import type { Command } from 'commander'
import { Option } from 'commander'
import { Keep } from '../../proto/gen/cloudmoor/v1/conflict_pb.js'
import type { Cli } from '../cli.ts'
import { allMounts, mountNamed } from '../lookup.ts'
import { facts, safe, show } from '../output.ts'
import type { Service } from '../service.ts'
import { formatSize } from '../sizes.ts'
import type { ConflictVersionView, ConflictView } from '../views.ts'
import { conflictView } from '../views.ts'
import { wholeFlag } from './flags.ts'

const keeps = { mine: Keep.MINE, theirs: Keep.THEIRS, both: Keep.BOTH } as const

/** `cloudmoor conflicts …`. */
export function addConflictCommands(program: Command, cli: Cli): void {
  const conflicts = program.command('conflicts').description('files with two versions that wait for a decision')
  conflicts
    .command('list')
    .argument('[mount]', 'only of this mount')
    .description('show both versions of each, and the command that keeps one')
    .option('-n, --limit <count>', 'at most so many of each mount', wholeFlag, 100)
    .action((mount: string | undefined, flags: { readonly limit: number }) => list(cli, mount, flags.limit))
  conflicts
    .command('resolve')
    .argument('<mount>', 'a mount')
    .argument('<id>', 'a conflict of it')
    .description('keep one version, or both')
    .addOption(
      new Option('--keep <version>', 'mine replaces theirs; theirs, and mine is removed; both, mine under its other name')
        .choices(Object.keys(keeps))
        .makeOptionMandatory(),
    )
    .action((mount: string, id: string, flags: { readonly keep: keyof typeof keeps }) => resolve(cli, mount, id, flags.keep))
}

/** Conflicts of a mount, or ('') of all, and the names of mounts that could not be asked. */
export async function readConflicts(
  service: Service,
  mountId: string,
  limit: number,
  nameOf: (id: string) => string,
): Promise<{ readonly conflicts: readonly ConflictView[]; readonly unavailable: readonly string[] }> {
  const answer = await service.conflicts.listConflicts({ mountId, limit })
  return {
    conflicts: answer.conflicts.map((conflict) => conflictView(conflict, nameOf(conflict.mountId))),
    unavailable: answer.unavailableMountIds.map(nameOf),
  }
}

async function list(cli: Cli, name: string | undefined, limit: number): Promise<void> {
  const service = await cli.connect()
  const mounts = name === undefined ? await allMounts(service) : [await mountNamed(service, name)]
  const names = new Map(mounts.map((mount) => [mount.id, mount.name]))
  const found = await readConflicts(service, name === undefined ? '' : (mounts[0]?.id ?? ''), limit, (id) => names.get(id) ?? id)
  show(cli.output, found, () =>
    [
      found.conflicts.length === 0 ? 'there are no conflicts' : conflictText(found.conflicts),
      ...found.unavailable.map((mount) => `${safe(mount)}: its worker does not answer`),
    ].join('\n'),
  )
}

/** Both versions of each, with the command to keep either. */
export function conflictText(conflicts: readonly ConflictView[]): string {
  return conflicts
    .map((conflict) =>
      facts([
        [`Conflict ${conflict.id}`, `${safe(conflict.mount)}: ${safe(conflict.path)}, ${whyOf(conflict)}`],
        ['Mine', versionText(conflict.mine)],
        ['Theirs', conflict.theirs === null ? 'nothing is there, or it is not known now' : versionText(conflict.theirs)],
        ['Keep', `cloudmoor conflicts resolve ${safe(conflict.mount)} ${conflict.id} --keep mine|theirs|both`],
      ]),
    )
    .join('\n\n')
}

function whyOf({ kind }: ConflictView): string {
  return kind === 'unproved' ? 'never synced before a power loss' : 'changed on both sides'
}

function versionText({ path, size, modified }: ConflictVersionView): string {
  return `${safe(path)}, ${formatSize(size)}${modified === null ? '' : `, ${modified}`}`
}

async function resolve(cli: Cli, name: string, id: string, keep: keyof typeof keeps): Promise<void> {
  const service = await cli.connect()
  const mount = await mountNamed(service, name)
  const { path } = await service.conflicts.resolveConflict({ mountId: mount.id, conflictId: id, keep: keeps[keep] }, { timeoutMs: 600_000 })
  show(
    cli.output,
    { mount: name, conflict: id, keep, path },
    () => `${safe(path)}: ${keep === 'both' ? 'both versions are' : `${keep} is`} kept`,
  )
}
