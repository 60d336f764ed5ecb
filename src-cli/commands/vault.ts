import type { Command } from 'commander'
import { Option } from 'commander'
import type { SecretInfo, Vault, VaultSlot } from '../../proto/gen/cloudmoor/v1/vault_pb.js'
import { VaultSlotKind, VaultState } from '../../proto/gen/cloudmoor/v1/vault_pb.js'
import type { Cli } from '../cli.ts'
import { exitCodes } from '../exit-codes.ts'
import { Failure, usageFailure } from '../failure.ts'
import { failureOf } from '../failure-of.ts'
import { colour, facts, safe, show, table } from '../output.ts'
import { readSecretFrom } from '../secret-source.ts'
import type { Service } from '../service.ts'
import { isoTime } from '../views.ts'
import { word } from '../words.ts'

const kinds = ['keychain', 'passphrase', 'credential', 'key-file'] as const
const wireKinds = {
  keychain: VaultSlotKind.KEYCHAIN,
  passphrase: VaultSlotKind.PASSPHRASE,
  credential: VaultSlotKind.CREDENTIAL,
  'key-file': VaultSlotKind.KEY_FILE,
} as const

const keepApart = 'Write it down and keep it apart from this machine: it opens the vault, and it is not shown again.'

interface UnlockFlags {
  readonly passphrase?: string
  readonly recoveryKey?: string
}

interface AddFlags {
  readonly passphrase?: string
  readonly replace?: string
}

const passphraseSource = '--passphrase <source>'
const sources = '- reads stdin, @FILE a file; without it the terminal is asked'

/** `cloudmoor config vault …`. */
export function addVaultCommands(config: Command, cli: Cli): void {
  const vault = config.command('vault').description('the place of secrets, and what opens it')
  vault
    .command('status')
    .description('show whether it is open, and what opens it')
    .action(() => status(cli))
  vault
    .command('test')
    .description('look at every record and at every key that this machine keeps')
    .action(() => test(cli))
  vault
    .command('unlock')
    .description('open it: with what this machine has, else with a passphrase or the recovery key')
    .option(passphraseSource, `a passphrase: ${sources}`)
    .option('--recovery-key <source>', 'the recovery key: - or @FILE')
    .action((flags: UnlockFlags) => unlock(cli, flags))
  vault
    .command('lock')
    .description('use and change no secret until it is unlocked; running mounts keep what they need')
    .action(() => lock(cli))
  vault
    .command('rotate')
    .description('make new keys and seal everything anew; passphrases and recovery key stay')
    .action(() => rotate(cli))
  vault
    .command('recovery-key')
    .description('make a key to write down, in the place of the one before; it is shown once')
    .action(() => recoveryKey(cli))
  addSecretCommands(vault, cli)
  addSlotCommands(vault, cli)
}

function addSecretCommands(vault: Command, cli: Cli): void {
  vault
    .command('list')
    .description('list the stored secrets; never their values')
    .action(() => list(cli))
  vault
    .command('put')
    .argument('<name>', 'what to call the secret')
    .option('--value <source>', sources)
    .description('store a secret under a name of its own')
    .action((name: string, flags: { readonly value?: string }) => put(cli, name, flags.value))
  vault
    .command('delete')
    .argument('<name>', 'a secret that was stored with put')
    .description('forget a secret')
    .action((name: string) => remove(cli, name))
}

function addSlotCommands(vault: Command, cli: Cli): void {
  const slots = vault.command('slots').description('ways to open the vault')
  slots
    .command('list')
    .description('list them')
    .action(() => listSlots(cli))
  slots
    .command('add')
    .argument('<kind>', kinds.join(', '))
    .addOption(new Option(passphraseSource, `for the kind passphrase: ${sources}`))
    .option('--replace <slot>', 'id of a slot whose place it takes, in one step: this changes a passphrase')
    .description('add a way to open it')
    .action((kind: string, flags: AddFlags) => addSlot(cli, kind, flags))
  slots
    .command('remove')
    .argument('<slot>', 'id of a slot')
    .description('remove a way to open it, and seal everything anew')
    .action((slot: string) => removeSlot(cli, slot))
}

function slotView(slot: VaultSlot) {
  return { id: slot.id, kind: word(VaultSlotKind, slot.kind), detail: slot.detail, created: isoTime(slot.createTime) }
}

function vaultView(vault: Vault | undefined) {
  return {
    state: word(VaultState, vault?.state ?? VaultState.UNSPECIFIED),
    secrets: vault?.secrets ?? 0,
    created: isoTime(vault?.createTime),
    rotated: isoTime(vault?.rotateTime),
    openedBy: vault?.openedBy ?? '',
    slots: (vault?.slots ?? []).map(slotView),
  }
}

const slotTable = (slots: readonly ReturnType<typeof slotView>[]): string =>
  table(
    [
      { title: 'SLOT', value: (slot) => slot.id },
      { title: 'KIND', value: (slot) => slot.kind },
      { title: 'MADE', value: (slot) => slot.created ?? '-' },
      { title: 'DETAIL', value: (slot) => safe(slot.detail) },
    ],
    slots,
  )

async function status(cli: Cli): Promise<void> {
  const view = vaultView((await (await cli.connect()).vault.getVault({})).vault)
  const opener = view.slots.find((slot) => slot.id === view.openedBy)
  const states: Readonly<Record<string, string>> = { none: 'not made yet; it is made with the first secret' }
  show(cli.output, view, () =>
    [
      facts([
        ['Vault', states[view.state] ?? view.state],
        ['Opened by', opener === undefined ? undefined : `${opener.kind} (${safe(opener.detail)})`],
        ['Secrets', String(view.secrets)],
        ['Made', view.created ?? undefined],
        ['Keys made', view.rotated ?? undefined],
        [
          'Recovery key',
          view.slots.some((slot) => slot.kind === 'recovery-key') ? 'yes' : 'no: cloudmoor config vault recovery-key makes one',
        ],
      ]),
      ...(view.slots.length === 0 ? [] : ['', slotTable(view.slots)]),
    ].join('\n'),
  )
}

async function test(cli: Cli): Promise<void> {
  const { secrets, problems } = await (await cli.connectOrStart()).vault.testVault({}, { timeoutMs: 150_000 })
  const rows = problems.map(({ what, id, name, detail }) => ({ what, id, name, detail }))
  show(cli.output, { ok: rows.length === 0, secrets, problems: rows }, () =>
    rows.length === 0
      ? colour(cli.output, 'green', `all of it opens: ${secrets} secrets`)
      : rows.map((row) => `${row.what} ${safe(row.name)} (${row.id}): ${safe(row.detail)}`).join('\n'),
  )
  if (rows.length > 0) {
    throw new Failure(`${rows.length} of the vault's records and keys are not as they should be`, {
      ...{ exitCode: exitCodes.failed, reason: 'VAULT_TEST' },
      hint: 'give a damaged secret again with `cloudmoor config set`, renew a slot with `cloudmoor config vault slots add KIND --replace ID`',
    })
  }
}

async function unlock(cli: Cli, flags: UnlockFlags): Promise<void> {
  if (flags.passphrase !== undefined && flags.recoveryKey !== undefined)
    throw usageFailure('give a passphrase or the recovery key, not both')
  const { vault } = await cli.connectOrStart()
  const { slot } = await vault.unlockVault(await keyFor(cli, flags)).catch(async (error: unknown) => {
    const asked = flags.passphrase !== undefined || flags.recoveryKey !== undefined
    if (asked || cli.prompts === null || failureOf(error).reason !== 'VAULT_KEY') throw error
    const value = await cli.prompts.secret('Passphrase of the vault')
    return vault.unlockVault({ by: { case: 'passphrase', value } })
  })
  const view = slot === undefined ? null : slotView(slot)
  show(
    cli.output,
    { unlocked: true, slot: view },
    () => `the vault is unlocked${view === null ? '' : ` (${view.kind})`}; mounts that waited for it go on`,
  )
}

async function keyFor(cli: Cli, flags: UnlockFlags) {
  if (flags.passphrase !== undefined) {
    return {
      by: { case: 'passphrase' as const, value: await readSecretFrom(cli, flags.passphrase, passphraseSource, 'Passphrase of the vault') },
    }
  }
  if (flags.recoveryKey === undefined) return {}
  return { by: { case: 'recoveryKey' as const, value: await readSecretFrom(cli, flags.recoveryKey, '--recovery-key', 'Recovery key') } }
}

async function lock(cli: Cli): Promise<void> {
  await (await cli.connectOrStart()).vault.lockVault({})
  show(cli.output, { locked: true }, () => 'the vault is locked; running mounts keep what they need')
}

async function rotate(cli: Cli): Promise<void> {
  await (await cli.connectOrStart()).vault.rotateVault({}, { timeoutMs: 630_000 })
  show(
    cli.output,
    { rotated: true },
    () => 'the vault has new keys, and everything is sealed anew; copies of the old key file or keychain entry open nothing new',
  )
}

async function recoveryKey(cli: Cli): Promise<void> {
  const answer = await (await cli.connectOrStart()).vault.createRecoveryKey({})
  show(cli.output, { recoveryKey: answer.recoveryKey }, () => answer.recoveryKey)
  if (!cli.output.json) cli.output.note(keepApart)
}

/** What keeps secrets was made by a command: offers a recovery key. @param before how the vault was before it; null = nobody can be asked */
export async function offerRecoveryKey(cli: Cli, service: Service, before: VaultState | null): Promise<void> {
  if (cli.prompts === null || before !== VaultState.NONE || (await vaultState(cli, service)) === VaultState.NONE) return
  const wanted = await cli.prompts.confirm(
    'The vault of your secrets was made. Show a recovery key to write down, in case its key is lost?',
  )
  if (!wanted) {
    cli.output.note('You can have one later: cloudmoor config vault recovery-key')
    return
  }
  cli.output.note(`Recovery key: ${(await service.vault.createRecoveryKey({})).recoveryKey}`)
  cli.output.note(keepApart)
}

/** Null where nobody could be asked anything. */
export async function vaultState(cli: Cli, service: Service): Promise<VaultState | null> {
  return cli.prompts === null ? null : ((await service.vault.getVault({})).vault?.state ?? null)
}

async function listSlots(cli: Cli): Promise<void> {
  const { slots } = vaultView((await (await cli.connect()).vault.getVault({})).vault)
  show(cli.output, slots, () => (slots.length === 0 ? 'no slots yet: the vault is made with the first secret' : slotTable(slots)))
}

async function addSlot(cli: Cli, kind: string, flags: AddFlags): Promise<void> {
  const known = kinds.find((name) => name === kind)
  if (known === undefined) throw usageFailure(`there is no kind of slot '${kind}'`, `there are: ${kinds.join(', ')}`)
  if (known !== 'passphrase' && flags.passphrase !== undefined) throw usageFailure(`a slot of kind ${known} has no passphrase`)
  const passphrase = known === 'passphrase' ? await newPassphrase(cli, flags.passphrase) : ''
  const service = await cli.connectOrStart()
  const before = await vaultState(cli, service)
  const { slot } = await service.vault.addSlot(
    { kind: wireKinds[known], passphrase, replaceSlotId: flags.replace ?? '' },
    { timeoutMs: 150_000 },
  )
  const view = slot === undefined ? null : slotView(slot)
  show(cli.output, view, () => `the vault is opened by ${view?.kind ?? known} (slot ${view?.id ?? ''}) from now on`)
  await offerRecoveryKey(cli, service, before)
}

/** Typed twice, where it is typed. */
async function newPassphrase(cli: Cli, source: string | undefined): Promise<string> {
  const first = await readSecretFrom(cli, source, passphraseSource, 'New passphrase of the vault')
  if (source !== undefined || cli.prompts === null) return first
  if ((await cli.prompts.secret('The same again')) !== first) throw usageFailure('the two are not the same')
  return first
}

async function removeSlot(cli: Cli, id: string): Promise<void> {
  await (await cli.connectOrStart()).vault.removeSlot({ slotId: id }, { timeoutMs: 150_000 })
  show(cli.output, { removed: id }, () => `slot ${id} opens the vault no more`)
}

async function list(cli: Cli): Promise<void> {
  const { vault } = await cli.connect()
  const secrets: SecretInfo[] = []
  let pageToken = ''
  do {
    const page = await vault.listSecrets({ pageSize: 1000, pageToken })
    secrets.push(...page.secrets)
    pageToken = page.nextPageToken
  } while (pageToken !== '')
  const views = secrets.map(({ id, owner, name, version, createTime }) => ({ id, owner, name, version, created: isoTime(createTime) }))
  show(cli.output, views, () =>
    views.length === 0
      ? 'no secrets are stored'
      : table(
          [
            { title: 'NAME', value: (secret) => safe(secret.name) },
            { title: 'ACCOUNT', value: (secret) => (secret.owner === '' ? '-' : secret.owner) },
            { title: 'VERSION', value: (secret) => String(secret.version), align: 'right' },
            { title: 'STORED', value: (secret) => secret.created ?? '-' },
          ],
          views,
        ),
  )
}

async function put(cli: Cli, name: string, source: string | undefined): Promise<void> {
  const value = await readSecretFrom(cli, source, '--value', `Value of '${name}'`)
  const { secret } = await (await cli.connectOrStart()).vault.putSecret({ name, value })
  show(cli.output, { name, version: secret?.version ?? 0 }, () => `stored secret '${name}'`)
}

async function remove(cli: Cli, name: string): Promise<void> {
  await (await cli.connectOrStart()).vault.deleteSecret({ name })
  show(cli.output, { deleted: name }, () => `deleted secret '${name}'`)
}
