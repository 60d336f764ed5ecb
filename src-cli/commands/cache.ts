import type { Command } from 'commander'
import type { Cli } from '../cli.ts'
import { mountNamed } from '../lookup.ts'
import { facts, show } from '../output.ts'
import { formatSize } from '../sizes.ts'
import { freedText } from './files.ts'

/** `cloudmoor cache …`. */
export function addCacheCommands(program: Command, cli: Cli): void {
  const cache = program.command('cache').description('what a mount keeps on this machine; its bound is set with mount set --cache-size')
  cache
    .command('show')
    .argument('<mount>', 'a mount')
    .description('show how much is here, and of what kind')
    .action((mount: string) => usage(cli, mount))
  cache
    .command('clear')
    .argument('<mount>', 'a mount')
    .description('drop what the provider has; what is changed, open or pinned stays')
    .action((mount: string) => clear(cli, mount))
}

async function usage(cli: Cli, name: string): Promise<void> {
  const service = await cli.connect()
  const { id: mountId } = await mountNamed(service, name)
  const answer = await service.cache.getCacheUsage({ mountId })
  const view = {
    mount: name,
    bytes: Number(answer.bytes),
    limit: Number(answer.limit),
    dirtyBytes: Number(answer.dirtyBytes),
    pinnedBytes: Number(answer.pinnedBytes),
  }
  show(cli.output, view, () =>
    facts([
      ['Here', `${formatSize(view.bytes)} of ${formatSize(view.limit)}`],
      ['Not uploaded', formatSize(view.dirtyBytes)],
      ['Pinned', formatSize(view.pinnedBytes)],
    ]),
  )
}

async function clear(cli: Cli, name: string): Promise<void> {
  const service = await cli.connect()
  const { id: mountId } = await mountNamed(service, name)
  const answer = await service.cache.clearCache({ mountId }, { timeoutMs: 600_000 })
  show(cli.output, { mount: name, freedBytes: Number(answer.freedBytes), keptFiles: Number(answer.keptFiles) }, () => freedText(answer))
}
