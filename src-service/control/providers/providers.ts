import type { CapabilityCheck } from '../../common/drive-state.ts'
import { CloudError } from '../../common/errors.ts'
import { newId } from '../../common/ids.ts'
import { Secret } from '../../common/secret.ts'
import { serialise } from '../../common/serialise.ts'
import type { Descriptor } from '../../drive/connectors/connector.ts'
import { refuseManaged } from '../store/managed-elsewhere.ts'
import { checkName } from '../store/names.ts'
import type { ConfigChange, NewProvider, Options, OptionValue, ProviderRecord, RequestKey } from '../store/records.ts'
import type { ProviderTable } from '../store/store.ts'
import { namedOwner } from '../vault/secret-store.ts'
import type { Account, AccountProber } from './account.ts'
import { createAccountRules } from './account-rules.ts'
import { isReference, resolveReference } from './references.ts'

/** Saved accounts. Secrets go in and are never given out, except to workers through `account`. */
export interface Providers {
  readonly types: readonly Descriptor[]
  /** By name. */
  list(): Promise<readonly Provider[]>
  get(id: string): Promise<Provider>
  /** @param test tries the account first, and saves nothing if that fails. */
  create(draft: ProviderDraft, request: RequestKey | null, test: boolean, signal: AbortSignal): Promise<Provider>
  /** @param revision must match; null = whatever it is. */
  update(id: string, revision: number | null, change: ProviderUpdate): Promise<Provider>
  remove(id: string, revision: number | null): Promise<void>
  /** Changes many accounts by `save`, all or none: stores their new secrets before and forgets the old ones after. */
  replace(wanted: readonly WantedAccount[], removed: readonly ProviderRecord[], save: SaveAccounts): Promise<void>
  /** Tries a saved account. */
  test(id: string, remoteRoot: string, signal: AbortSignal): Promise<readonly CapabilityCheck[]>
  /** The account with its secrets, for a worker. `damaged` if a secret does not open, `sign-in` (VAULT_LOCKED). */
  account(id: string): Promise<Account>
  /** Calls the listener with the id of an account whose options or secrets changed; the result ends that. */
  onChange(listener: (id: string) => void): () => void
  /** Calls the listener when an account was made or changed, or is gone (null); the result ends that. */
  watch(listener: (id: string, provider: Provider | null) => void): () => void
  /** Forgets secrets that belong to no account: what a crash between two steps left. Called at start. */
  sweep(): Promise<void>
}

export interface Provider {
  readonly record: ProviderRecord
  readonly secrets: readonly { readonly name: string; readonly storedAt: number }[]
}

export interface ProviderDraft {
  readonly name: string
  readonly type: string
  readonly options: Options
  /** By option name; empty ones count as not given. */
  readonly secrets: Readonly<Record<string, Secret>>
}

export interface ProviderUpdate {
  readonly name?: string
  /** Null = back to the default; those not named stay. */
  readonly options: Readonly<Record<string, OptionValue | null>>
  /** An empty one is forgotten; those not named stay. */
  readonly secrets: Readonly<Record<string, Secret>>
}

/** An account as a configuration file wants it. */
export interface WantedAccount {
  readonly stored: ProviderRecord | null
  readonly wanted: Omit<NewProvider, 'secretRefs'>
  /** New values, or references to where they are; the others stay. */
  readonly secrets: Readonly<Record<string, Secret | string>>
}

export type SaveAccounts = (changes: ConfigChange['providers']) => Promise<void>

/** What `Providers` needs of the vault. */
export interface AccountSecrets {
  ready(): Promise<void>
  put(owner: string, name: string, value: Secret): Promise<string>
  get(reference: string): Promise<Secret>
  remove(references: readonly string[]): Promise<void>
  list(): Promise<readonly { readonly id: string; readonly owner: string; readonly createdAt: number }[]>
}

export interface ProviderParts {
  readonly table: ProviderTable
  readonly secrets: AccountSecrets
  /** The same secrets for mounts that run: some of them also while the vault is locked. */
  readonly serving: Pick<AccountSecrets, 'get'>
  readonly prober: AccountProber
  readonly descriptors: readonly Descriptor[]
}

export function createProviders({ table, secrets, serving, prober, descriptors }: ProviderParts): Providers {
  const rules = createAccountRules(descriptors)
  const listeners = new Set<(id: string) => void>()
  const watchers = new Set<(id: string, provider: Provider | null) => void>()
  const tell = (id: string, provider: Provider | null) => {
    for (const watcher of watchers) watcher(id, provider)
  }
  /** Changes come one after the other: reading, deciding and writing belong together. */
  const inTurn = serialise()

  async function view(records: readonly ProviderRecord[]): Promise<Provider[]> {
    const times = new Map((await secrets.list()).map((secret) => [secret.id, secret.createdAt]))
    return records.map((record) => ({
      record,
      secrets: Object.entries(record.secretRefs).map(([name, reference]) => ({ name, storedAt: times.get(reference) ?? record.updatedAt })),
    }))
  }

  async function viewOne(record: ProviderRecord): Promise<Provider> {
    const [provider] = await view([record])
    if (provider === undefined) throw new CloudError('internal', 'a view without its record')
    return provider
  }

  async function accountOf(record: ProviderRecord, from: Pick<AccountSecrets, 'get'>): Promise<Account> {
    const values: Record<string, Secret> = {}
    for (const [name, reference] of Object.entries(record.secretRefs))
      values[name] = await (isReference(reference) ? resolveReference(reference, process.env) : from.get(reference))
    return accountWith(record.type, record.options, values)
  }

  /** With its defaults, and with what its options make use of in the service's environment. */
  function accountWith(type: string, given: Options, values: Readonly<Record<string, Secret>>): Account {
    const options = rules.withDefaults(type, given)
    const surroundings: Record<string, Secret> = {}
    for (const name of rules.environmentOf(type, options)) {
      const value = process.env[name] ?? ''
      if (value !== '') surroundings[`env:${name}`] = new Secret(value)
    }
    return { type, options, secrets: { ...values, ...surroundings } }
  }

  /** Stores new values, then calls `save` with their references; if that fails they are forgotten again. */
  async function withSecrets<T>(
    owner: string,
    values: Readonly<Record<string, Secret>>,
    save: (references: Record<string, string>) => Promise<T>,
  ) {
    const references: Record<string, string> = {}
    try {
      for (const [name, value] of Object.entries(values)) references[name] = await secrets.put(owner, name, value)
      return await save(references)
    } catch (caught) {
      await secrets.remove(Object.values(references)).catch(() => {})
      throw caught
    }
  }

  return {
    types: descriptors,
    list: async () => view(await table.list()),
    get: async (id) => viewOne(await table.get(id)),

    create: async (draft, request, test, signal) => {
      checkName('provider', draft.name)
      const { options, secrets: given } = rules.checkNew(draft)
      if (test) await prober.probe(accountWith(draft.type, options, given), '', signal)
      return inTurn(async () => {
        const id = newId()
        const made = await withSecrets(id, given, async (secretRefs) =>
          viewOne(
            await table.insert({ id, name: draft.name, type: draft.type, options, secretRefs, managedBy: 'api', managedFile: '' }, request),
          ),
        )
        tell(id, made)
        return made
      })
    },

    update: (id, revision, change) =>
      inTurn(async () => {
        const stored = await table.get(id)
        refuseManaged('provider', stored)
        if (change.name !== undefined) checkName('provider', change.name)
        const { options, replaced, forgotten, moved } = rules.checkChange(stored, change)
        if (forgotten.length > 0) await secrets.ready()
        const updated = await withSecrets(id, replaced, (references) => {
          const kept = Object.fromEntries(Object.entries(stored.secretRefs).filter(([name]) => !forgotten.includes(name)))
          const name = change.name === undefined ? {} : { name: change.name }
          return table.update(id, revision, { ...name, options, secretRefs: { ...kept, ...references } }, moved)
        })
        const current = new Set(Object.values(updated.secretRefs))
        await secrets.remove(Object.values(stored.secretRefs).filter((reference) => !isReference(reference) && !current.has(reference)))
        for (const listener of listeners) listener(id)
        const changed = await viewOne(updated)
        tell(id, changed)
        return changed
      }),

    remove: (id, revision) =>
      inTurn(async () => {
        const stored = await table.get(id)
        refuseManaged('provider', stored)
        if (Object.keys(stored.secretRefs).length > 0) await secrets.ready()
        await table.remove(id, revision)
        await secrets.remove(Object.values(stored.secretRefs).filter((reference) => !isReference(reference)))
        tell(id, null)
      }),

    replace: (wanted, removed, save) =>
      inTurn(async () => {
        const made: string[] = []
        const changes: { insert: NewProvider[]; update: ConfigChange['providers']['update'][number][] } = { insert: [], update: [] }
        try {
          for (const { stored, wanted: account, secrets: given } of wanted) {
            const secretRefs: Record<string, string> = { ...stored?.secretRefs }
            for (const [name, value] of Object.entries(given)) {
              const reference = typeof value === 'string' ? value : await secrets.put(account.id, name, value)
              if (typeof value !== 'string') made.push(reference)
              secretRefs[name] = reference
            }
            const { name, options, managedBy, managedFile } = account
            if (stored === null) changes.insert.push({ ...account, secretRefs })
            else
              changes.update.push({
                id: stored.id,
                revision: stored.revision,
                change: { name, options, managedBy, managedFile, secretRefs },
              })
          }
          await save({ ...changes, remove: removed.map(({ id, revision }) => ({ id, revision })) })
        } catch (caught) {
          await secrets.remove(made).catch(() => {})
          throw caught
        }
        const current = new Set((await table.list()).flatMap((record) => Object.values(record.secretRefs)))
        const before = [...removed, ...wanted.flatMap(({ stored }) => stored ?? [])].flatMap(({ secretRefs }) => Object.values(secretRefs))
        await secrets.remove(before.filter((reference) => !isReference(reference) && !current.has(reference)))
        for (const { id } of removed) tell(id, null)
        for (const { stored, wanted: account } of wanted) {
          if (stored !== null) for (const listener of listeners) listener(account.id)
          tell(account.id, await viewOne(await table.get(account.id)))
        }
      }),

    test: async (id, remoteRoot, signal) => prober.probe(await accountOf(await table.get(id), secrets), remoteRoot, signal),
    account: async (id) => accountOf(await table.get(id), serving),

    onChange: (listener) => {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },

    watch: (listener) => {
      watchers.add(listener)
      return () => watchers.delete(listener)
    },

    sweep: () =>
      inTurn(async () => {
        const used = new Set((await table.list()).flatMap((record) => Object.values(record.secretRefs)))
        const orphans = (await secrets.list()).filter((secret) => secret.owner !== namedOwner && !used.has(secret.id))
        await secrets.remove(orphans.map((secret) => secret.id))
      }),
  }
}
