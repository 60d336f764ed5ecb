import type { Command } from 'commander'
import type { Provider, ProviderType } from '../../proto/gen/cloudmoor/v1/provider_pb.js'
import type { Cli } from '../cli.ts'
import { usageFailure } from '../failure.ts'
import { allProviders, providerNamed } from '../lookup.ts'
import { nearest } from '../nearest.ts'
import { colour, facts, safe, show, table } from '../output.ts'
import { askMissing, optionNamed, optionsOf, parseSettings, readSecrets, warnOfGuarded } from '../provider-options.ts'
import type { Service } from '../service.ts'
import { providerView } from '../views.ts'
import { checkTable, checkView } from '../capability-sheet.ts'
import { addConfigTextCommands } from './config-text.ts'
import { collect } from './flags.ts'
import { addVaultCommands, offerRecoveryKey, vaultState } from './vault.ts'

interface CreateFlags {
  readonly provider?: string
  readonly set: readonly string[]
  readonly setSecret: readonly string[]
  readonly test: boolean
}

interface SetFlags {
  readonly set: readonly string[]
  readonly unset: readonly string[]
  readonly setSecret: readonly string[]
  readonly name?: string
}

/** `cloudmoor config …`: saved accounts, and the vault of their secrets. */
export function addConfigCommands(program: Command, cli: Cli): void {
  const config = program.command('config').description('saved accounts at providers')
  config
    .command('create')
    .argument('<name>', 'what to call the account')
    .description('save an account; asks for what is missing where it can')
    .option('-p, --provider <type>', 'provider type: see `cloudmoor config types`')
    .option('-s, --set <key=value>', 'an option; repeatable', collect, [])
    .option('--set-secret <key=source>', 'a secret: key=- reads stdin, key=@FILE a file, key alone asks; repeatable', collect, [])
    .option('--test', 'try the account first and save nothing if that fails', false)
    .action((name: string, flags: CreateFlags) => create(cli, name, flags))
  config
    .command('list')
    .description('list the saved accounts')
    .action(() => list(cli))
  config
    .command('show')
    .argument('<name>', 'an account')
    .description('show an account; secrets are named, never shown')
    .action((name: string) => showOne(cli, name))
  config
    .command('test')
    .argument('<name>', 'an account')
    .option('--remote <path>', 'a folder on the account', '')
    .description('sign in and measure what account and server can do')
    .action((name: string, flags: { readonly remote: string }) => test(cli, name, flags.remote))
  config
    .command('set')
    .argument('<name>', 'an account')
    .description('change options and secrets; running mounts take them at once')
    .option('-s, --set <key=value>', 'an option; repeatable', collect, [])
    .option('--unset <key>', 'back to the default; repeatable', collect, [])
    .option('--set-secret <key=source>', 'a secret, as in `config create`; repeatable', collect, [])
    .option('--name <name>', 'rename the account')
    .action((name: string, flags: SetFlags) => set(cli, name, flags))
  config
    .command('remove')
    .argument('<name>', 'an account')
    .description('forget an account and its secrets; nothing changes at the provider')
    .action((name: string) => remove(cli, name))
  config
    .command('types')
    .argument('[type]', 'a provider type')
    .description('list the provider types, or the options of one')
    .action((type: string | undefined) => types(cli, type))
  addConfigTextCommands(config, cli)
  addVaultCommands(config, cli)
}

async function typeNamed(service: Service, id: string): Promise<ProviderType> {
  const known = (await service.providers.listProviderTypes({})).providerTypes
  const found = known.find((type) => type.id === id)
  if (found !== undefined) return found
  const ids = known.map((type) => type.id)
  const like = nearest(id, ids)
  throw usageFailure(`there is no provider type '${id}'`, like === undefined ? `there are: ${ids.join(', ')}` : `did you mean '${like}'?`)
}

async function chooseType(cli: Cli, service: Service): Promise<ProviderType> {
  const known = (await service.providers.listProviderTypes({})).providerTypes
  if (cli.prompts === null) throw usageFailure('--provider is missing', `provider types: ${known.map((type) => type.id).join(', ')}`)
  const id = await cli.prompts.choose(
    'Which provider?',
    known.map((type) => ({ value: type.id, label: `${type.title} (${type.maturity})` })),
  )
  return typeNamed(service, id)
}

async function create(cli: Cli, name: string, flags: CreateFlags): Promise<void> {
  const service = await cli.connectOrStart()
  const type = flags.provider === undefined ? await chooseType(cli, service) : await typeNamed(service, flags.provider)
  const settings = parseSettings(flags.set, type)
  warnOfGuarded(cli, settings, type)
  const secrets = await readSecrets(cli, flags.setSecret, type)
  await askMissing(cli, type, settings, secrets)
  const vault = await vaultState(cli, service)
  const { provider } = await service.providers.createProvider({
    provider: { name, type: type.id, options: settings },
    secrets,
    requestId: crypto.randomUUID(),
    test: flags.test,
  })
  show(cli.output, provider === undefined ? null : providerView(provider), () => `saved account '${name}' (${type.id})`)
  await offerRecoveryKey(cli, service, vault)
}

async function list(cli: Cli): Promise<void> {
  const providers = await allProviders(await cli.connect())
  show(cli.output, providers.map(providerView), () =>
    providers.length === 0
      ? 'no accounts yet: cloudmoor config create NAME --provider TYPE'
      : table<Provider>(
          [
            { title: 'NAME', value: (provider) => safe(provider.name) },
            { title: 'TYPE', value: (provider) => provider.type },
            { title: 'SECRETS', value: (provider) => provider.secrets.map((secret) => secret.name).join(', ') || '-' },
            { title: 'OPTIONS', value: (provider) => optionsLine(provider) },
          ],
          providers,
        ),
  )
}

function optionsLine(provider: Provider): string {
  const entries = Object.entries(provider.options ?? {})
  return entries.length === 0 ? '-' : entries.map(([key, value]) => `${key}=${safe(optionText(value))}`).join(' ')
}

const optionText = (value: unknown): string => (typeof value === 'string' ? value : JSON.stringify(value))

async function showOne(cli: Cli, name: string): Promise<void> {
  const view = providerView(await providerNamed(await cli.connect(), name))
  show(cli.output, view, () =>
    facts([
      ['Name', safe(view.name)],
      ['Type', view.type],
      ['Id', view.id],
      ...Object.entries(view.options).map(([key, value]) => [`  ${key}`, safe(optionText(value))] as const),
      ...view.secrets.map((secret) => [`  ${secret}`, '(stored)'] as const),
      ['Kept in', view.managedFile === '' ? undefined : safe(view.managedFile)],
      ['Created', view.created ?? undefined],
      ['Updated', view.updated ?? undefined],
    ]),
  )
}

async function test(cli: Cli, name: string, remote: string): Promise<void> {
  const service = await cli.connectOrStart()
  const provider = await providerNamed(service, name)
  const { checks } = await service.providers.testProvider({ id: provider.id, remoteRoot: remote }, { timeoutMs: 150_000 })
  const rows = checks.map(checkView)
  show(cli.output, { name, ok: true, checks: rows }, () =>
    [colour(cli.output, 'green', `account '${name}' works`), ...checkTable(rows)].join('\n'),
  )
}

async function set(cli: Cli, name: string, flags: SetFlags): Promise<void> {
  const service = await cli.connectOrStart()
  const provider = await providerNamed(service, name)
  const type = await typeNamed(service, provider.type)
  const settings = parseSettings(flags.set, type)
  warnOfGuarded(cli, settings, type)
  const secrets = await readSecrets(cli, flags.setSecret, type)
  const unset = flags.unset.map((key) => optionNamed(optionsOf(type), key, type.id))
  for (const option of unset) if (option.secret) secrets[option.name] = ''
  const paths = [...Object.keys(settings), ...unset.filter((option) => !option.secret).map((option) => option.name)].map(
    (key) => `options.${key}`,
  )
  if (flags.name !== undefined) paths.push('name')
  if (paths.length === 0 && Object.keys(secrets).length === 0)
    throw usageFailure('nothing to change', 'use --set, --unset, --set-secret or --name')
  const changed = await service.providers.updateProvider({
    provider: { id: provider.id, etag: provider.etag, name: flags.name ?? provider.name, options: settings },
    updateMask: { paths },
    secrets,
  })
  show(cli.output, changed.provider === undefined ? null : providerView(changed.provider), () => `changed account '${flags.name ?? name}'`)
}

async function remove(cli: Cli, name: string): Promise<void> {
  const service = await cli.connectOrStart()
  const provider = await providerNamed(service, name)
  await service.providers.removeProvider({ id: provider.id, etag: provider.etag })
  show(cli.output, { removed: name }, () => `removed account '${name}'; nothing changed at the provider`)
}

async function types(cli: Cli, id: string | undefined): Promise<void> {
  const service = await cli.connectOrStart()
  if (id !== undefined) {
    showType(cli, await typeNamed(service, id))
    return
  }
  const known = (await service.providers.listProviderTypes({})).providerTypes
  show(
    cli.output,
    known.map((type) => ({ id: type.id, title: type.title, summary: type.summary, maturity: type.maturity, docs: type.docs })),
    () =>
      table<ProviderType>(
        [
          { title: 'TYPE', value: (type) => type.id },
          { title: 'MATURITY', value: (type) => type.maturity },
          { title: 'WHAT IT IS', value: (type) => `${type.title}: ${type.summary}` },
        ],
        known,
      ),
  )
}

function showType(cli: Cli, type: ProviderType): void {
  const options = optionsOf(type)
  const presets = type.presets.map((preset) => ({ name: preset.name, title: preset.title, values: preset.values ?? {} }))
  show(
    cli.output,
    { id: type.id, title: type.title, summary: type.summary, maturity: type.maturity, docs: type.docs, options, presets },
    () =>
      [
        `${type.title}: ${type.summary}`,
        '',
        table(
          [
            { title: 'OPTION', value: (option) => option.name },
            { title: 'TYPE', value: (option) => (option.secret ? 'secret' : option.values.join('|') || option.type) },
            { title: 'NEEDED', value: (option) => (option.required ? 'yes' : '') },
            { title: 'DEFAULT', value: (option) => option.initial },
            { title: 'WHAT IT IS', value: (option) => option.description },
          ],
          options,
        ),
        ...(presets.length === 0 ? [] : ['', `Presets: ${presets.map((preset) => preset.name).join(', ')}`]),
        '',
        `More: ${type.docs}`,
      ].join('\n'),
  )
}
