import type { Secret } from '../../common/secret.ts'
import { CloudError } from '../../common/errors.ts'
import type { Descriptor } from '../../drive/connectors/connector.ts'
import type { MountSurroundings } from '../mounts/mount-spec.ts'
import { createAccountRules } from '../providers/account-rules.ts'
import type { Providers } from '../providers/providers.ts'
import { isReference, readReference } from '../providers/references.ts'
import type { ConfigChange, ManagedBy } from '../store/records.ts'
import { managedElsewhere } from '../store/managed-elsewhere.ts'
import { settingNamed, settings } from '../store/settings.ts'
import type { Store } from '../store/store.ts'
import { compareFields } from './compare-fields.ts'
import { parseDocument } from './document.ts'
import type { ConfigDocument, JoinedDocument, OfFile, SecretSource } from './document.ts'
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
  /** The settings that the configuration files last applied set: name to path of the file, '' if an older version read it. */
  settingsOfFiles(): Promise<ReadonlyMap<string, string>>
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
 * belongs to it. A JSON object, setting to path.
 */
const settingsOfFilesKey = 'settingsOfFiles'

export function createConfiguration({ store, providers, secrets, mounts, descriptors, around }: ConfigurationParts): Configuration {
  const accounts = createAccountRules(descriptors)

  async function settingsOfFiles(): Promise<ReadonlyMap<string, string>> {
    const stored = (await store.settings.get(settingsOfFilesKey)) ?? '{}'
    return new Map(Object.entries(JSON.parse(stored) as Readonly<Record<string, string>>))
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
      const document = joinDocuments(parsed.map((each) => ({ ...each, file: manager === 'file' ? each.name : '' })))
      for (const [name, value] of Object.entries(document.settings)) settingNamed(name).check(value)
      const sealer = await sealerFor(document, passphrase)
      const plan = planImport(await state(), document, { descriptors, accounts, around, manager, prune })
      // A wrong passphrase is found before anything changes.
      for (const { wanted, secrets: given } of plan.providers) valuesOf(wanted.name, given, sealer)
      const managed = await settingsOfFiles()
      if (manager === 'api') refuseSettings(plan, managed)
      const settings = { ...plan.change.settings }
      const managesOthers = manager === 'file' && compareFields(Object.fromEntries(managed), document.settingFiles).length > 0
      if (managesOthers) settings[settingsOfFilesKey] = JSON.stringify(document.settingFiles)
      const changes = [...plan.changes, ...(manager === 'file' ? freedSettings(document, managed) : [])]
      if (!dryRun && (managesOthers || plan.changes.length > 0)) await apply(plan, settings, sealer, signal)
      const ofVersions = parsed.flatMap((each) => nameWarning(each.name, versionWarning(each.document.writtenBy)))
      return { changes, warnings: [...ofVersions, ...plan.warnings] }
    },

    settingsOfFiles,
  }
}

function freedSettings({ settings: named }: ConfigDocument, managed: ReadonlyMap<string, string>): PlannedChange[] {
  const freed = [...managed.keys()].filter((name) => !Object.hasOwn(named, name))
  return freed.map((name) => ({ action: 'release', noun: 'setting', name, fields: [] }))
}

function refuseSettings({ changes }: Plan, managed: ReadonlyMap<string, string>): void {
  for (const { noun, name } of changes) {
    const file = managed.get(name)
    if (noun === 'setting' && file !== undefined) throw managedElsewhere(noun, name, file)
  }
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
function joinDocuments(files: readonly OfFile<{ readonly document: ConfigDocument }>[]): JoinedDocument {
  const sealings = files.flatMap(({ document }) => document.sealing ?? [])
  if (sealings.length > 1) throw new CloudError('invalid', 'more than one file has sealed secrets')
  return {
    version: documentVersion,
    ...(sealings[0] === undefined ? {} : { sealing: sealings[0] }),
    settings: Object.fromEntries(files.flatMap(({ document }) => Object.entries(document.settings))),
    settingFiles: Object.fromEntries(files.flatMap(({ document, file }) => Object.keys(document.settings).map((name) => [name, file]))),
    providers: files.flatMap(({ document, file }) => document.providers.map((entry) => ({ ...entry, file }))),
    mounts: files.flatMap(({ document, file }) => document.mounts.map((entry) => ({ ...entry, file }))),
  }
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
