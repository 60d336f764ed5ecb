import type { Secret } from '../../common/secret.ts'
import { CloudError } from '../../common/errors.ts'
import type { Descriptor } from '../../drive/connectors/connector.ts'
import type { MountSurroundings } from '../mounts/mount-spec.ts'
import { createAccountRules } from '../providers/account-rules.ts'
import type { Providers } from '../providers/providers.ts'
import { isReference, readReference } from '../providers/references.ts'
import type { ConfigChange, ManagedBy } from '../store/records.ts'
import { settingNamed, settings } from '../store/settings.ts'
import type { Store } from '../store/store.ts'
import { parseDocument } from './document.ts'
import type { ConfigDocument, SecretSource } from './document.ts'
import { documentVersion } from './document-schema.ts'
import { planImport } from './plan.ts'
import type { Plan, PlannedChange } from './plan.ts'
import { newSealer, sealerOf } from './sealing.ts'
import type { Sealer } from './sealing.ts'
import { versionWarning } from './version-warning.ts'
import { writeDocument } from './write-document.ts'
import type { ConfigState, SealedSecrets } from './write-document.ts'

/** The configuration as one text. */
export interface Configuration {
  /** YAML. @param passphrase with it, stored secrets go along sealed; null = only references do */
  write(passphrase: Secret | null): Promise<string>
  /**
   * Makes the configuration what the texts say together, all of it or nothing. What files kept and no file names any more is
   * everybody's again (no text at all: everything), or goes when that is wished.
   */
  read(texts: readonly ConfigText[], wish: ImportWish, signal: AbortSignal): Promise<ImportResult>
  /** Names of the settings that the configuration files last applied set. */
  settingsOfFiles(): Promise<ReadonlySet<string>>
}

/** A text of a configuration, and what to call it where it is wrong ('' = nothing). */
export interface ConfigText {
  readonly name: string
  readonly text: string
}

export interface ImportWish {
  /** Only tells what would change. */
  readonly dryRun: boolean
  /** What the text does not name goes. */
  readonly prune: boolean
  /** Opens sealed secrets. */
  readonly passphrase: Secret | null
  /** Who keeps what the text names from now on. */
  readonly manager: ManagedBy
}

export interface ImportResult {
  readonly changes: readonly PlannedChange[]
  readonly warnings: readonly string[]
}

export interface ConfigurationParts {
  readonly store: Pick<Store, 'providers' | 'mounts' | 'settings' | 'config'>
  readonly providers: Pick<Providers, 'replace'>
  readonly secrets: { get(reference: string): Promise<Secret> }
  readonly mounts: { reconfigure(change: ConfigChange['mounts'], save: () => Promise<void>, signal: AbortSignal): Promise<void> }
  readonly descriptors: readonly Descriptor[]
  readonly around: Pick<MountSurroundings, 'places' | 'hints'>
}

/**
 * Kept among the settings, though it is none that anybody sets: after a start with a file that is wrong what was applied last still
 * belongs to it.
 */
const settingsOfFilesKey = 'settingsOfFiles'

export function createConfiguration({ store, providers, secrets, mounts, descriptors, around }: ConfigurationParts): Configuration {
  const accounts = createAccountRules(descriptors)

  async function settingsOfFiles(): Promise<ReadonlySet<string>> {
    return new Set((await store.settings.get(settingsOfFilesKey))?.split(' ').filter((name) => name !== ''))
  }

  async function state(): Promise<ConfigState> {
    const set: Record<string, string> = {}
    for (const { name } of settings) {
      const value = await store.settings.get(name)
      if (value !== null) set[name] = value
    }
    return { settings: set, providers: await store.providers.list(), mounts: await store.mounts.list() }
  }

  async function sealAll(now: ConfigState, sealer: Sealer): Promise<SealedSecrets> {
    const values = new Map<string, Record<string, string>>()
    for (const { id, name: provider, secretRefs } of now.providers) {
      const sealed: Record<string, string> = {}
      for (const [name, reference] of Object.entries(secretRefs)) {
        if (!isReference(reference)) sealed[name] = sealer.seal(provider, name, await secrets.get(reference))
      }
      values.set(id, sealed)
    }
    return { sealing: sealer.sealing, values }
  }

  async function apply(plan: Plan, changed: Readonly<Record<string, string>>, sealer: Sealer | null, signal: AbortSignal): Promise<void> {
    const wanted = plan.providers.map((provider) => ({ ...provider, secrets: valuesOf(provider.wanted.name, provider.secrets, sealer) }))
    const { removeProviders, mounts: mountChanges } = plan.change
    await providers.replace(wanted, removeProviders, (providerChanges) =>
      mounts.reconfigure(
        mountChanges,
        () => store.config.apply({ providers: providerChanges, mounts: mountChanges, settings: changed }),
        signal,
      ),
    )
  }

  return {
    write: async (passphrase) => {
      const now = await state()
      return writeDocument(now, passphrase === null ? null : await sealAll(now, await newSealer(passphrase)))
    },

    read: async (texts, { dryRun, prune, passphrase, manager }, signal) => {
      const parsed = texts.map((each) => ({ name: each.name, document: parseNamed(each, descriptors) }))
      const document = joinDocuments(parsed.map((each) => each.document))
      for (const [name, value] of Object.entries(document.settings)) settingNamed(name).check(value)
      const sealer = await sealerFor(document, passphrase)
      const plan = planImport(await state(), document, { descriptors, accounts, around, manager, prune })
      // A wrong passphrase is found before anything changes.
      for (const { wanted, secrets: given } of plan.providers) valuesOf(wanted.name, given, sealer)
      const managed = await settingsOfFiles()
      if (manager === 'api') refuseManaged(plan, managed)
      const settings = { ...plan.change.settings }
      const names = Object.keys(document.settings).sort().join(' ')
      const managesOthers = manager === 'file' && names !== [...managed].sort().join(' ')
      if (managesOthers) settings[settingsOfFilesKey] = names
      const changes = [...plan.changes, ...(manager === 'file' ? freedSettings(document, managed) : [])]
      if (!dryRun && (managesOthers || plan.changes.length > 0)) await apply(plan, settings, sealer, signal)
      const ofVersions = parsed.flatMap((each) => nameWarning(each.name, versionWarning(each.document.writtenBy)))
      return { changes, warnings: [...ofVersions, ...plan.warnings] }
    },

    settingsOfFiles,
  }
}

function freedSettings({ settings: named }: ConfigDocument, managed: ReadonlySet<string>): PlannedChange[] {
  const freed = [...managed].filter((name) => !Object.hasOwn(named, name))
  return freed.map((name) => ({ action: 'release', noun: 'setting', name, fields: [] }))
}

function refuseManaged({ changes }: Plan, managed: ReadonlySet<string>): void {
  const found = changes.find(({ noun, name }) => noun === 'setting' && managed.has(name))
  if (found === undefined) return
  throw new CloudError('read-only', `the setting '${found.name}' is kept in a configuration file`, {
    code: 'MANAGED_ELSEWHERE',
    hint: 'Change it there.',
  })
}

function parseNamed({ name, text }: ConfigText, descriptors: readonly Descriptor[]): ConfigDocument {
  try {
    return parseDocument(text, descriptors)
  } catch (caught) {
    if (name === '' || !(caught instanceof CloudError)) throw caught
    const { kind, message, hint } = caught
    throw new CloudError(kind, `${name}: ${message}`, { cause: caught, ...(hint === undefined ? {} : { hint }) })
  }
}

function nameWarning(name: string, warning: string | null): string[] {
  if (warning === null) return []
  return [name === '' ? warning : `${name}: ${warning}`]
}

/** Several files are one configuration; only one of them may have sealed secrets. */
function joinDocuments(documents: readonly ConfigDocument[]): ConfigDocument {
  const sealings = documents.flatMap(({ sealing }) => sealing ?? [])
  if (sealings.length > 1) throw new CloudError('invalid', 'more than one file has sealed secrets')
  return {
    version: documentVersion,
    ...(sealings[0] === undefined ? {} : { sealing: sealings[0] }),
    settings: mergeSettings(documents),
    providers: documents.flatMap(({ providers }) => providers),
    mounts: documents.flatMap(({ mounts }) => mounts),
  }
}

function mergeSettings(documents: readonly ConfigDocument[]): Record<string, string> {
  const merged: Record<string, string> = {}
  for (const document of documents) Object.assign(merged, document.settings)
  return merged
}

async function sealerFor({ sealing, providers }: ConfigDocument, passphrase: Secret | null): Promise<Sealer | null> {
  const isSealed = providers.some(({ secrets }) => Object.values(secrets).some((source) => typeof source !== 'string'))
  if (!isSealed) return null
  if (sealing === undefined) throw new CloudError('invalid', 'the file has sealed secrets, but not the key "sealing"')
  if (passphrase === null) {
    throw new CloudError('sign-in', 'the file has sealed secrets', { hint: 'Give its passphrase: --passphrase-file FILE' })
  }
  return sealerOf(passphrase, sealing)
}

function valuesOf(provider: string, given: Readonly<Record<string, SecretSource>>, sealer: Sealer | null): Record<string, Secret | string> {
  const values: Record<string, Secret | string> = {}
  for (const [name, source] of Object.entries(given)) {
    if (typeof source === 'string') values[name] = readReference(source)
    else if (sealer === null) throw new CloudError('internal', 'sealed secrets without a sealer')
    else values[name] = sealer.open(provider, name, source.sealed)
  }
  return values
}
