import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import type { Descriptor } from '../../drive/connectors/connector.ts'
import { checkMount, draftMountRecord } from '../mounts/mount-spec.ts'
import type { KnownAccount, MountSurroundings } from '../mounts/mount-spec.ts'
import type { AccountRules } from '../providers/account-rules.ts'
import { readReference } from '../providers/references.ts'
import { refuseManaged } from '../store/managed-elsewhere.ts'
import { checkName } from '../store/names.ts'
import type { ConfigChange, KeptIdentity, ManagedBy, MountRecord, NewMount, NewProvider, ProviderRecord } from '../store/records.ts'
import { compareFields } from './compare-fields.ts'
import type { FieldChange } from './compare-fields.ts'
import type { JoinedDocument, MountEntry, OfFile, ProviderEntry, SecretSource } from './document.ts'
import type { ConfigState } from './write-document.ts'

/** One object, or one setting, that an import changes. */
export interface PlannedChange {
  /** `release`: it stays as it is, and belongs to the files no more. */
  readonly action: 'create' | 'update' | 'remove' | 'release'
  readonly noun: 'provider' | 'mount' | 'setting'
  readonly name: string
  readonly fields: readonly FieldChange[]
}

/** What an import would do; nothing has happened yet. */
export interface Plan {
  readonly changes: readonly PlannedChange[]
  readonly warnings: readonly string[]
  readonly providers: readonly PlannedProvider[]
  readonly change: Pick<ConfigChange, 'mounts' | 'settings'> & { readonly removeProviders: readonly ProviderRecord[] }
}

/** An account as it shall be. */
export interface PlannedProvider {
  readonly stored: ProviderRecord | null
  readonly wanted: Omit<NewProvider, 'secretRefs'>
  /** Those that the file names; the others stay. */
  readonly secrets: Readonly<Record<string, SecretSource>>
}

export interface PlanRules {
  readonly descriptors: readonly Descriptor[]
  readonly accounts: AccountRules
  readonly around: Pick<MountSurroundings, 'places' | 'hints'>
  /** Who will keep what the file names. */
  readonly manager: ManagedBy
  /** What the file does not name goes. */
  readonly prune: boolean
}

/** Compares a file with what is configured, and checks all that would be. Throws `invalid`, `exists`, `sign-in`, `read-only`. */
export function planImport(now: ConfigState, document: JoinedDocument, rules: PlanRules): Plan {
  const providers = pair('provider', document.providers, now.providers, rules)
  const mounts = pair('mount', document.mounts, now.mounts, rules)
  const warnings: string[] = []
  const planned = providers.pairs.map(({ entry, stored }) => planProvider(entry, stored, rules, warnings, now.mounts))
  const accounts = accountsOf(planned, providers.kept, rules)
  const drafts = mounts.pairs.map(({ entry, stored }) => planMount(entry, stored, rules, accounts))
  checkTogether([...drafts.map(({ wanted }) => wanted), ...mounts.kept], drafts, accounts, rules)
  const removedProviders = providers.gone
  for (const { name, id } of removedProviders) refuseUsed(name, id, [...drafts.map(({ wanted }) => wanted), ...mounts.kept])
  const changedMounts = drafts.filter(
    ({ stored, wanted }) => stored === null || compareFields(mountFields(stored), mountFields(wanted)).length > 0,
  )
  const changed = planned.filter(isChanged)
  return {
    warnings,
    providers: [...changed, ...providers.freed.map(freeProvider)],
    changes: [
      ...settingChanges(now, document),
      ...changed.map(providerChange),
      ...removedProviders.map(({ name }) => ({ action: 'remove', noun: 'provider', name, fields: [] }) as const),
      ...changedMounts.map(({ stored, wanted }) => mountChangeOf(stored, wanted, accounts)),
      ...mounts.gone.map(({ name }) => ({ action: 'remove', noun: 'mount', name, fields: [] }) as const),
      ...providers.freed.map(({ name }) => ({ action: 'release', noun: 'provider', name, fields: [] }) as const),
      ...mounts.freed.map(({ name }) => ({ action: 'release', noun: 'mount', name, fields: [] }) as const),
    ],
    change: {
      removeProviders: removedProviders,
      settings: document.settings,
      mounts: {
        insert: changedMounts.flatMap(({ stored, wanted }) => (stored === null ? [wanted] : [])),
        update: [
          ...changedMounts.flatMap(({ stored, wanted }) => (stored === null ? [] : [updateOf(stored, wanted)])),
          ...mounts.freed.map((stored) => updateOf(stored, { ...stored, managedBy: 'api', managedFile: '' })),
        ],
        remove: mounts.gone.map(({ id, revision }) => ({ id, revision })),
      },
    },
  }
}

interface Pairs<Entry, Row> {
  readonly pairs: readonly { readonly entry: Entry; readonly stored: Row | null }[]
  /** Not named by the file, and there afterwards. */
  readonly kept: readonly Row[]
  /** Those of the kept ones that the files named before: everybody may change them now. */
  readonly freed: readonly Row[]
  /** Not named by the file, and to be removed. */
  readonly gone: readonly Row[]
}

/** Finds the object of each entry: by its id, otherwise by its name. */
function pair<Entry extends { readonly name: string; readonly id?: string }, Row extends ProviderRecord | MountRecord>(
  noun: 'provider' | 'mount',
  entries: readonly Entry[],
  rows: readonly Row[],
  { manager, prune }: PlanRules,
): Pairs<Entry, Row> {
  const taken = new Set<string>()
  const names = new Set<string>()
  const pairs = entries.map((entry) => {
    checkName(noun, entry.name)
    if (names.has(entry.name)) throw new CloudError('invalid', `the ${noun} '${entry.name}' is in the file twice`)
    names.add(entry.name)
    const stored =
      rows.find(({ id }) => id === entry.id) ?? rows.find(({ name, id }) => name === entry.name && !isNamedById(entries, id)) ?? null
    if (stored !== null && taken.has(stored.id)) throw new CloudError('invalid', `two entries of the file are the ${noun} '${stored.name}'`)
    if (stored !== null) taken.add(stored.id)
    if (stored !== null && manager === 'api') refuseManaged(noun, stored)
    return { entry, stored }
  })
  const rest = rows.filter(({ id }) => !taken.has(id))
  const gone = rest.filter((row) => prune && row.managedBy === manager)
  const kept = rest.filter((row) => !gone.includes(row))
  const clash = kept.find(({ name }) => names.has(name))
  if (clash !== undefined) throw new CloudError('exists', `there is another ${noun} named '${clash.name}'`, { code: 'NAME_TAKEN' })
  const freed = kept.filter(({ managedBy }) => managedBy === 'file' && manager === 'file')
  return { pairs, kept, freed, gone }
}

function isNamedById(entries: readonly { readonly id?: string }[], id: string): boolean {
  return entries.some((entry) => entry.id === id)
}

function planProvider(
  entry: OfFile<ProviderEntry>,
  stored: ProviderRecord | null,
  { accounts, manager }: PlanRules,
  warnings: string[],
  mounts: readonly MountRecord[],
): PlannedProvider {
  if (stored !== null && stored.type !== entry.type) {
    throw new CloudError('invalid', `the provider '${entry.name}' is of type ${stored.type}, and cannot become ${entry.type}`)
  }
  const secrets = Object.keys(entry.secrets)
  const { options, missing, moved } = accounts.checkWhole({ type: entry.type, options: entry.options, secrets }, stored)
  const users = moved ? mounts.filter(({ providerId }) => providerId === stored?.id) : []
  if (users.length > 0) {
    throw new CloudError('busy', `'${entry.name}' would point to another place under the mount '${users[0]?.name ?? ''}'`, {
      code: 'PROVIDER_IN_USE',
      hint: 'Remove the mount first, or make another provider.',
    })
  }
  for (const name of missing) {
    warnings.push(`'${entry.name}' has no ${name} yet: cloudmoor config set ${entry.name} --set-secret ${name}=-`)
  }
  const { name, type, file: managedFile } = entry
  const wanted = { id: stored?.id ?? entry.id ?? newId(), name, type, options, managedBy: manager, managedFile }
  const news = Object.entries(entry.secrets).filter(
    ([name, source]) => typeof source !== 'string' || stored?.secretRefs[name] !== readReference(source),
  )
  return { stored, wanted, secrets: Object.fromEntries(news) }
}

function isChanged({ stored, wanted, secrets }: PlannedProvider): boolean {
  return stored === null || Object.keys(secrets).length > 0 || compareFields(providerFields(stored), providerFields(wanted)).length > 0
}

type Accounts = ReadonlyMap<string, KnownAccount & { readonly id: string; readonly name: string }>

/** Every account that there will be, by name. */
function accountsOf(planned: readonly PlannedProvider[], kept: readonly ProviderRecord[], { descriptors }: PlanRules): Accounts {
  const all = [...planned.map(({ wanted }) => wanted), ...kept]
  return new Map(
    all.map(({ id, name, type, options }) => {
      const descriptor = descriptors.find((known) => known.type === type)
      if (descriptor === undefined) throw new CloudError('unsupported', `this version has no provider type '${type}'`)
      return [name, { id, name, descriptor, options }]
    }),
  )
}

interface MountDraft {
  readonly stored: MountRecord | null
  readonly wanted: NewMount
}

function planMount(entry: OfFile<MountEntry>, stored: MountRecord | null, rules: PlanRules, accounts: Accounts): MountDraft {
  const account = accounts.get(entry.provider)
  if (account === undefined)
    throw new CloudError('invalid', `the mount '${entry.name}' names the provider '${entry.provider}', which is not there`)
  const { id, name, path, cacheDir, readOnly, access, shared, labels, options, remote, umask, enabled, cacheSize, uid, gid } = entry
  const spec = {
    ...{ name, path, cacheDir, readOnly, access, shared, labels, options },
    ...{ providerId: account.id, remoteRoot: remote, umask: Number.parseInt(umask, 8) },
    ...{ cacheSize: cacheSize ?? null, uid: uid ?? null, gid: gid ?? null },
  }
  const draft = draftMountRecord(spec, account.descriptor, rules.around.hints)
  const wanted = { ...draft, id: stored?.id ?? id ?? draft.id, enabled, managedBy: rules.manager, managedFile: entry.file }
  for (const field of ['providerId', 'remoteRoot', 'cacheDir'] as const) {
    if (stored === null || stored[field] === wanted[field]) continue
    throw new CloudError('invalid', `the mount '${stored.name}' shows one folder of one account for good: ${field} cannot change`, {
      hint: 'Give the entry another name and leave out its id: that makes another mount.',
    })
  }
  return { stored, wanted }
}

function checkTogether(all: readonly NewMount[], drafts: readonly MountDraft[], accounts: Accounts, { around }: PlanRules): void {
  const byId = new Map([...accounts.values()].map((account) => [account.id, account]))
  const known = (record: NewMount): KnownAccount => {
    const account = byId.get(record.providerId)
    if (account === undefined)
      throw new CloudError('busy', `the mount '${record.name}' uses a provider that would go`, { code: 'PROVIDER_IN_USE' })
    return account
  }
  const others = all.map((record) => ({ record, account: known(record) }))
  for (const { wanted } of drafts) checkMount(wanted, { ...around, account: known(wanted), others })
}

function refuseUsed(name: string, id: string, mounts: readonly NewMount[]): void {
  const user = mounts.find(({ providerId }) => providerId === id)
  if (user === undefined) return
  throw new CloudError('busy', `the provider '${name}' is used by the mount '${user.name}'`, { code: 'PROVIDER_IN_USE' })
}

function settingChanges(now: ConfigState, document: JoinedDocument): PlannedChange[] {
  return Object.keys(document.settings).flatMap((name) => {
    const fields = compareFields({ value: now.settings[name] }, { value: document.settings[name] })
    return fields.length === 0 ? [] : [{ action: 'update', noun: 'setting', name, fields }]
  })
}

function providerFields({ name, options, ...managed }: KeptIdentity & Pick<NewProvider, 'options'>) {
  return { name, ...managerFields(managed), ...prefixed(options) }
}

function providerChange({ stored, wanted, secrets }: PlannedProvider): PlannedChange {
  const given = Object.entries(secrets).map(([name, source]) => ({
    field: `secrets.${name}`,
    from: stored?.secretRefs[name] === undefined ? '' : '(stored)',
    to: typeof source === 'string' ? source : '(sealed)',
  }))
  const fields = compareFields(stored === null ? {} : providerFields(stored), providerFields(wanted))
  return { action: stored === null ? 'create' : 'update', noun: 'provider', name: wanted.name, fields: [...fields, ...given] }
}

function mountFields(mount: NewMount) {
  const { name, path, cacheSize, readOnly, access, uid, gid, umask, shared, labels, options, enabled } = mount
  return {
    name,
    ...managerFields(mount),
    path,
    cacheSize,
    readOnly,
    access,
    uid,
    gid,
    umask: umask.toString(8),
    shared,
    labels: labels.join(' '),
    enabled,
    ...prefixed(options),
  }
}

function mountChangeOf(stored: MountRecord | null, wanted: NewMount, accounts: Accounts): PlannedChange {
  if (stored !== null) {
    return { action: 'update', noun: 'mount', name: wanted.name, fields: compareFields(mountFields(stored), mountFields(wanted)) }
  }
  const provider = [...accounts.values()].find(({ id }) => id === wanted.providerId)?.name
  return {
    action: 'create',
    noun: 'mount',
    name: wanted.name,
    fields: compareFields({}, { provider, remote: wanted.remoteRoot, ...mountFields(wanted) }),
  }
}

/** Nothing of it changes but whose it is. */
function freeProvider(stored: ProviderRecord): PlannedProvider {
  const { id, name, type, options } = stored
  return { stored, wanted: { id, name, type, options, managedBy: 'api', managedFile: '' }, secrets: {} }
}

function updateOf({ id, revision }: MountRecord, wanted: NewMount): ConfigChange['mounts']['update'][number] {
  return { id, revision, change: changeOf(wanted) }
}

function changeOf(wanted: NewMount): KeptIdentity & ConfigChange['mounts']['update'][number]['change'] {
  const { name, managedBy, managedFile, path, cacheSize, readOnly, access, uid, gid, umask, shared, labels, options, enabled } = wanted
  return { name, managedBy, managedFile, path, cacheSize, readOnly, access, uid, gid, umask, shared, labels, options, enabled }
}

function managerFields({ managedBy, managedFile }: Pick<KeptIdentity, 'managedBy' | 'managedFile'>) {
  return { managedBy, ...(managedFile === '' ? {} : { managedFile }) }
}

function prefixed(options: NewProvider['options']) {
  return Object.fromEntries(Object.entries(options).map(([name, value]) => [`options.${name}`, value]))
}
