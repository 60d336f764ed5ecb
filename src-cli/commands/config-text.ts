import type { Command } from 'commander'
import type { ConfigChange } from '../../proto/gen/cloudmoor/v1/config_pb.js'
import type { Cli } from '../cli.ts'
import { usageFailure } from '../failure.ts'
import { readText } from '../local-files.ts'
import { safe, show } from '../output.ts'
import { readSecretFrom } from '../secret-source.ts'

interface ExportFlags {
  readonly withSecrets: boolean
  readonly passphraseFile?: string
}

interface ImportFlags {
  readonly dryRun: boolean
  readonly prune: boolean
  readonly passphraseFile?: string
}

/** `cloudmoor config export` and `import`: the configuration as one text. */
export function addConfigTextCommands(config: Command, cli: Cli): void {
  config
    .command('export')
    .description('write accounts, mounts and settings as YAML; without secrets unless told')
    .option('--with-secrets', 'also stored secrets, sealed with a passphrase', false)
    .option('--passphrase-file <file>', 'where the passphrase is; asked for unless given')
    .action((flags: ExportFlags) => exportConfig(cli, flags))
  config
    .command('import')
    .argument('[file]', 'what `config export` wrote; - reads stdin', '-')
    .description('make the configuration what a file says: all of it or nothing')
    .option('--dry-run', 'only show what would change', false)
    .option('--prune', 'remove accounts and mounts that the file does not name', false)
    .option('--passphrase-file <file>', 'opens secrets that were exported')
    .action((file: string, flags: ImportFlags) => importConfig(cli, file, flags))
}

async function exportConfig(cli: Cli, flags: ExportFlags): Promise<void> {
  if (!flags.withSecrets && flags.passphraseFile !== undefined) throw usageFailure('--passphrase-file is of use with --with-secrets only')
  const service = await cli.connectOrStart()
  const passphrase = flags.withSecrets ? await readPassphrase(cli, flags.passphraseFile) : ''
  const { text } = await service.config.exportConfig({ passphrase }, { timeoutMs: 120_000 })
  show(cli.output, { text }, () => text.trimEnd())
}

async function importConfig(cli: Cli, file: string, flags: ImportFlags): Promise<void> {
  const text = file === '-' ? await cli.readStdin() : await readText(file)
  if (text.trim() === '') throw usageFailure('the configuration is empty', 'a file that says nothing still has the line: version: 1')
  const service = await cli.connectOrStart()
  const passphrase = flags.passphraseFile === undefined ? '' : await readPassphrase(cli, flags.passphraseFile)
  const { dryRun, prune } = flags
  const answer = await service.config.importConfig({ text, dryRun, prune, passphrase }, { timeoutMs: 600_000 })
  const changes = answer.changes.map(({ action, kind, name, fields }) => ({
    ...{ action, kind, name },
    fields: fields.map(({ field, from, to }) => ({ field, from, to })),
  }))
  show(cli.output, { applied: !dryRun, changes, warnings: answer.warnings }, () =>
    [
      ...answer.changes.flatMap(changeLines),
      ...answer.warnings.map((warning) => `note: ${safe(warning)}`),
      summary(changes.length, dryRun),
    ].join('\n'),
  )
}

function summary(count: number, dryRun: boolean): string {
  if (count === 0) return dryRun ? 'nothing would change' : 'nothing changed'
  const things = count === 1 ? '1 thing' : `${count} things`
  return dryRun ? `${things} would change` : `${things} changed`
}

function changeLines({ action, kind, name, fields }: ConfigChange): string[] {
  const sign = { create: '+', update: '~', remove: '-' }[action] ?? '?'
  return [
    `${sign} ${kind} ${safe(name)}`,
    ...fields.map(({ field, from, to }) => `    ${field}: ${from === '' ? '' : `${safe(from)} -> `}${to === '' ? '(none)' : safe(to)}`),
  ]
}

function readPassphrase(cli: Cli, file: string | undefined): Promise<string> {
  return readSecretFrom(cli, file === undefined ? undefined : `@${file}`, '--passphrase-file FILE', 'Passphrase of the exported secrets')
}
