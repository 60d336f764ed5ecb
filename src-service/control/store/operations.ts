import type { Database } from 'better-sqlite3'
import { asc, eq } from 'drizzle-orm'
import type { BetterSQLite3Database } from 'drizzle-orm/better-sqlite3'
import type { Clock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { accessOperations } from './access-operations.ts'
import { alertOperations } from './alert-operations.ts'
import { auditOperations } from './audit-operations.ts'
import { absent, checkRevision, inTransaction, refuseTaken } from './changes.ts'
import type { Synchronous } from './changes.ts'
import { findRequest, rememberRequest } from './request-rows.ts'
import type {
  MountChange,
  MountRecord,
  NewMount,
  NewProvider,
  ProviderChange,
  ProviderRecord,
  RequestKey,
  SecretRecord,
  SlotRecord,
  VaultChange,
} from './records.ts'
import { checkCopy, copyDatabase } from './database-copies.ts'
import { configOperations } from './config-operations.ts'
import type { Store } from './store.ts'
import { mounts, providers, secrets, settings, vault, vaultSlots } from './tables.ts'

export type Operations = { readonly [Table in Exclude<keyof Store, 'close'>]: Synchronous<Store[Table]> }

/** With the connection below it. */
type StoreDatabase = BetterSQLite3Database & { readonly $client: Database }

/** What the store does, as `Store` describes it but without waiting: runs in the store's thread. */
export function createOperations(database: StoreDatabase, clock: Clock): Operations {
  return {
    providers: providerOperations(database, clock),
    mounts: mountOperations(database, clock),
    settings: settingOperations(database),
    vault: vaultOperations(database),
    requests: {
      find: (request: RequestKey): string | null => findRequest(database, request, clock.now()),
    },
    ...accessOperations(database, clock),
    audit: auditOperations(database),
    alerts: alertOperations(database),
    config: configOperations(database, clock),
    copies: {
      make: (path: string) => copyDatabase(database.$client, path),
      check: (path: string) => checkCopy(path),
    },
  }
}

function providerOperations(database: BetterSQLite3Database, clock: Clock) {
  function get(id: string): ProviderRecord {
    return database.select().from(providers).where(eq(providers.id, id)).get() ?? absent('provider')
  }

  function refuseUsed(id: string): void {
    const users = database.select({ name: mounts.name }).from(mounts).where(eq(mounts.providerId, id)).orderBy(asc(mounts.name)).all()
    if (users.length > 0) throw inUse(users.map((user) => user.name))
  }

  return {
    get,
    list: (): ProviderRecord[] => database.select().from(providers).orderBy(asc(providers.name)).all(),
    insert: (provider: NewProvider, request: RequestKey | null): ProviderRecord =>
      inTransaction(database, () => {
        refuseTaken(database, providers, 'provider', provider.name, null)
        const now = clock.now()
        const row = { ...provider, revision: 1, createdAt: now, updatedAt: now }
        database.insert(providers).values(row).run()
        rememberRequest(database, request, provider.id, now)
        return row
      }),
    update: (id: string, revision: number | null, change: ProviderChange, unused: boolean): ProviderRecord =>
      inTransaction(database, () => {
        const found = get(id)
        checkRevision('provider', found, revision)
        if (unused) refuseUsed(id)
        if (change.name !== undefined) refuseTaken(database, providers, 'provider', change.name, id)
        const row = { ...found, ...change, revision: found.revision + 1, updatedAt: clock.now() }
        database.update(providers).set(row).where(eq(providers.id, id)).run()
        return row
      }),
    remove: (id: string, revision: number | null): void =>
      inTransaction(database, () => {
        checkRevision('provider', get(id), revision)
        refuseUsed(id)
        database.delete(providers).where(eq(providers.id, id)).run()
      }),
  }
}

function inUse(names: readonly string[]): CloudError {
  const shown = names.slice(0, 5).join(', ')
  const text = names.length > 5 ? `${shown} and ${names.length - 5} more` : shown
  return new CloudError('busy', `the provider is used by the mount${names.length > 1 ? 's' : ''} ${text}`, {
    code: 'PROVIDER_IN_USE',
    hint: 'Remove these mounts first.',
  })
}

function mountOperations(database: BetterSQLite3Database, clock: Clock) {
  function get(id: string): MountRecord {
    return database.select().from(mounts).where(eq(mounts.id, id)).get() ?? absent('mount')
  }

  return {
    get,
    list: (): MountRecord[] => database.select().from(mounts).orderBy(asc(mounts.name)).all(),
    insert: (mount: NewMount, request: RequestKey | null): MountRecord =>
      inTransaction(database, () => {
        refuseTaken(database, mounts, 'mount', mount.name, null)
        const owner = database.select({ id: providers.id }).from(providers).where(eq(providers.id, mount.providerId)).get()
        if (owner === undefined) absent('provider')
        const now = clock.now()
        const row = { ...mount, revision: 1, createdAt: now, updatedAt: now }
        database.insert(mounts).values(row).run()
        rememberRequest(database, request, mount.id, now)
        return row
      }),
    update: (id: string, revision: number | null, change: MountChange): MountRecord =>
      inTransaction(database, () => {
        const found = get(id)
        checkRevision('mount', found, revision)
        if (change.name !== undefined) refuseTaken(database, mounts, 'mount', change.name, id)
        const configured = Object.keys(change).some((field) => field !== 'enabled')
        const marks = configured ? { revision: found.revision + 1, updatedAt: clock.now() } : {}
        const row = { ...found, ...change, ...marks }
        database.update(mounts).set(row).where(eq(mounts.id, id)).run()
        return row
      }),
    remove: (id: string, revision: number | null): void =>
      inTransaction(database, () => {
        checkRevision('mount', get(id), revision)
        database.delete(mounts).where(eq(mounts.id, id)).run()
      }),
  }
}

function settingOperations(database: BetterSQLite3Database) {
  const get = (name: string): string | null => database.select().from(settings).where(eq(settings.name, name)).get()?.value ?? null
  const set = (name: string, value: string): void => {
    database.insert(settings).values({ name, value }).onConflictDoUpdate({ target: settings.name, set: { value } }).run()
  }
  return {
    get,
    set,
    replace: (name: string, expected: string | null, value: string | null): void =>
      inTransaction(database, () => {
        if (get(name) !== expected) throw new CloudError('conflict', `the setting '${name}' was changed in the meantime`)
        if (value === null) database.delete(settings).where(eq(settings.name, name)).run()
        else set(name, value)
      }),
  }
}

function vaultOperations(database: BetterSQLite3Database) {
  return {
    read: () => {
      const found = database.select().from(vault).get()
      return found === undefined ? null : { vault: found, slots: database.select().from(vaultSlots).orderBy(asc(vaultSlots.id)).all() }
    },
    commit: (change: VaultChange): void =>
      inTransaction(database, () => {
        if ((database.select().from(vault).get()?.counter ?? 0) !== change.expected) {
          throw new CloudError('conflict', 'the vault was changed by something else', { hint: 'Restart the service.' })
        }
        const goingSecrets = [...change.removeSecrets, ...change.secrets.map((secret) => secret.id)]
        for (const id of goingSecrets) database.delete(secrets).where(eq(secrets.id, id)).run()
        const goingSlots = [...change.removeSlots, ...change.slots.map((slot) => slot.id)]
        for (const id of goingSlots) database.delete(vaultSlots).where(eq(vaultSlots.id, id)).run()
        for (const slot of change.slots) database.insert(vaultSlots).values(slotRow(slot)).run()
        for (const secret of change.secrets) database.insert(secrets).values(secretRow(secret)).run()
        database.delete(vault).run()
        database
          .insert(vault)
          .values({ ...change.vault, catalogue: Buffer.from(change.vault.catalogue) })
          .run()
      }),
    secret: (id: string): SecretRecord | null => database.select().from(secrets).where(eq(secrets.id, id)).get() ?? null,
    secrets: () => {
      const { id, owner, name, version, createdAt } = secrets
      return database.select({ id, owner, name, version, createdAt }).from(secrets).orderBy(asc(owner), asc(name), asc(version)).all()
    },
  }
}

/** The table wants Buffers; what came from another thread is a Uint8Array. */
function secretRow(secret: SecretRecord) {
  return { ...secret, dataKey: Buffer.from(secret.dataKey), sealed: Buffer.from(secret.sealed) }
}

function slotRow(slot: SlotRecord) {
  return { ...slot, publicKey: Buffer.from(slot.publicKey), rootKey: Buffer.from(slot.rootKey) }
}
