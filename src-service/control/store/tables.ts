import { blob, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { ManagedBy, MountAccess, Options } from './records.ts'

/** The tables as migrations.ts leaves them; a test compares the two. */

const resource = {
  id: text().primaryKey(),
  name: text().notNull(),
  revision: integer().notNull(),
  managedBy: text('managed_by').$type<ManagedBy>().notNull(),
  createdAt: integer('created_at').notNull(),
  updatedAt: integer('updated_at').notNull(),
}

export const providers = sqliteTable('providers', {
  ...resource,
  type: text().notNull(),
  options: text({ mode: 'json' }).$type<Options>().notNull(),
  secretRefs: text('secret_refs', { mode: 'json' }).$type<Readonly<Record<string, string>>>().notNull(),
})

export const mounts = sqliteTable('mounts', {
  ...resource,
  providerId: text('provider_id').notNull(),
  remoteRoot: text('remote_root').notNull(),
  path: text().notNull(),
  cacheSize: integer('cache_size').notNull(),
  cacheDir: text('cache_dir').notNull(),
  readOnly: integer('read_only', { mode: 'boolean' }).notNull(),
  access: text().$type<MountAccess>().notNull(),
  uid: integer().notNull(),
  gid: integer().notNull(),
  umask: integer().notNull(),
  shared: integer({ mode: 'boolean' }).notNull(),
  options: text({ mode: 'json' }).$type<Options>().notNull(),
  labels: text({ mode: 'json' }).$type<readonly string[]>().notNull(),
  enabled: integer({ mode: 'boolean' }).notNull(),
})

export const settings = sqliteTable('settings', {
  name: text().primaryKey(),
  value: text().notNull(),
})

export const secrets = sqliteTable('secrets', {
  id: text().primaryKey(),
  owner: text().notNull(),
  name: text().notNull(),
  version: integer().notNull(),
  dataKey: blob('data_key', { mode: 'buffer' }).notNull(),
  sealed: blob({ mode: 'buffer' }).notNull(),
  createdAt: integer('created_at').notNull(),
})

/** At most one row. */
export const vault = sqliteTable('vault', {
  id: text().primaryKey(),
  counter: integer().notNull(),
  catalogue: blob({ mode: 'buffer' }).notNull(),
  createdAt: integer('created_at').notNull(),
  rotatedAt: integer('rotated_at').notNull(),
})

export const vaultSlots = sqliteTable('vault_slots', {
  id: text().primaryKey(),
  kind: text().notNull(),
  params: text().notNull(),
  publicKey: blob('public_key', { mode: 'buffer' }).notNull(),
  rootKey: blob('root_key', { mode: 'buffer' }).notNull(),
  createdAt: integer('created_at').notNull(),
})

export const requestIds = sqliteTable(
  'request_ids',
  {
    method: text().notNull(),
    requestId: text('request_id').notNull(),
    digest: text().notNull(),
    resourceId: text('resource_id').notNull(),
    createdAt: integer('created_at').notNull(),
  },
  (table) => [primaryKey({ columns: [table.method, table.requestId] })],
)
