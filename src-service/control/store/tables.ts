import { blob, integer, primaryKey, sqliteTable, text } from 'drizzle-orm/sqlite-core'
import type { GrantScope, Role } from './access-records.ts'
import type { AlertRecord } from './alert-records.ts'
import type { ManagedBy, MountAccess, Options } from './records.ts'

/** The tables as migrations.ts leaves them; a test compares the two. */

const resource = {
  id: text().primaryKey(),
  name: text().notNull(),
  revision: integer().notNull(),
  managedBy: text('managed_by').$type<ManagedBy>().notNull(),
  managedFile: text('managed_file').notNull(),
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

const grant = {
  role: text().$type<Role>().notNull(),
  scope: text({ mode: 'json' }).$type<GrantScope>().notNull(),
}

export const users = sqliteTable('users', {
  id: text().primaryKey(),
  name: text().notNull(),
  revision: integer().notNull(),
  ...grant,
  password: text().notNull(),
  subject: text().notNull(),
  disabled: integer({ mode: 'boolean' }).notNull(),
  invite: text().notNull(),
  inviteExpiresAt: integer('invite_expires_at').notNull(),
  lastLoginAt: integer('last_login_at').notNull(),
  createdAt: integer('created_at').notNull(),
  updatedAt: integer('updated_at').notNull(),
})

export const tokens = sqliteTable('tokens', {
  id: text().primaryKey(),
  name: text().notNull(),
  ...grant,
  hash: text().notNull(),
  expiresAt: integer('expires_at').notNull(),
  lastUsedAt: integer('last_used_at').notNull(),
  lastUsedFrom: text('last_used_from').notNull(),
  createdBy: text('created_by').notNull(),
  createdAt: integer('created_at').notNull(),
})

export const sessions = sqliteTable('sessions', {
  id: text().primaryKey(),
  hash: text().notNull(),
  principal: text().notNull(),
  role: text().$type<Role>().notNull(),
  userId: text('user_id').notNull(),
  address: text().notNull(),
  createdAt: integer('created_at').notNull(),
  expiresAt: integer('expires_at').notNull(),
  lastUsedAt: integer('last_used_at').notNull(),
})

export const loginFailures = sqliteTable('login_failures', {
  key: text().primaryKey(),
  failures: integer().notNull(),
  retryAt: integer('retry_at').notNull(),
  lastAt: integer('last_at').notNull(),
})

export const auditSegments = sqliteTable('audit_segments', {
  number: integer().primaryKey(),
  openedAt: integer('opened_at').notNull(),
  opensWith: text('opens_with').notNull(),
  first: integer().notNull(),
})

export const audit = sqliteTable('audit', {
  sequence: integer().primaryKey(),
  segment: integer().notNull(),
  at: integer().notNull(),
  principal: text().notNull(),
  origin: text().notNull(),
  action: text().notNull(),
  class: text().notNull(),
  result: text().notNull(),
  mountId: text('mount_id').notNull(),
  providerId: text('provider_id').notNull(),
  target: text().notNull(),
  correlationId: text('correlation_id').notNull(),
  times: integer().notNull(),
  mac: text().notNull(),
})

export const alerts = sqliteTable('alerts', {
  id: text().primaryKey(),
  severity: text().$type<AlertRecord['severity']>().notNull(),
  mountId: text('mount_id').notNull(),
  reason: text().notNull(),
  message: text().notNull(),
  lines: text({ mode: 'json' }).$type<readonly string[]>().notNull(),
  correlationId: text('correlation_id').notNull(),
  times: integer().notNull(),
  raisedAt: integer('raised_at').notNull(),
  lastAt: integer('last_at').notNull(),
  acknowledgedAt: integer('acknowledged_at').notNull(),
  acknowledgedBy: text('acknowledged_by').notNull(),
  resolvedAt: integer('resolved_at').notNull(),
  resolvedBy: text('resolved_by').notNull(),
})
