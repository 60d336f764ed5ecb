/** One step of the database's schema. Forward only: a step that was released is never changed, the next one corrects it. */
export interface Migration {
  /** PRAGMA user_version after it. */
  readonly version: number
  readonly sql: string
}

export const migrations: readonly Migration[] = [
  {
    version: 1,
    sql: `
      CREATE TABLE providers (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        type TEXT NOT NULL,
        options TEXT NOT NULL,
        secret_refs TEXT NOT NULL,
        revision INTEGER NOT NULL,
        managed_by TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
      ) STRICT;

      CREATE TABLE mounts (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        provider_id TEXT NOT NULL REFERENCES providers (id),
        remote_root TEXT NOT NULL,
        path TEXT NOT NULL,
        cache_size INTEGER NOT NULL,
        cache_dir TEXT NOT NULL,
        read_only INTEGER NOT NULL,
        access TEXT NOT NULL,
        uid INTEGER NOT NULL,
        gid INTEGER NOT NULL,
        umask INTEGER NOT NULL,
        shared INTEGER NOT NULL,
        options TEXT NOT NULL,
        enabled INTEGER NOT NULL,
        revision INTEGER NOT NULL,
        managed_by TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
      ) STRICT;
      CREATE INDEX mounts_by_provider ON mounts (provider_id);

      CREATE TABLE settings (
        name TEXT PRIMARY KEY,
        value TEXT NOT NULL
      ) STRICT;

      CREATE TABLE secrets (
        id TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        name TEXT NOT NULL,
        version INTEGER NOT NULL,
        sealed BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        UNIQUE (owner, name, version)
      ) STRICT;

      CREATE TABLE request_ids (
        method TEXT NOT NULL,
        request_id TEXT NOT NULL,
        digest TEXT NOT NULL,
        resource_id TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        PRIMARY KEY (method, request_id)
      ) STRICT, WITHOUT ROWID;
    `,
  },
  {
    // Rows of version 1 are sealed in another way and have no data key; the vault seals them anew when it first opens.
    version: 2,
    sql: `
      ALTER TABLE secrets ADD COLUMN data_key BLOB NOT NULL DEFAULT x'';

      CREATE TABLE vault (
        id TEXT PRIMARY KEY,
        counter INTEGER NOT NULL,
        catalogue BLOB NOT NULL,
        created_at INTEGER NOT NULL,
        rotated_at INTEGER NOT NULL
      ) STRICT;

      CREATE TABLE vault_slots (
        id TEXT PRIMARY KEY,
        kind TEXT NOT NULL,
        params TEXT NOT NULL,
        public_key BLOB NOT NULL,
        root_key BLOB NOT NULL,
        created_at INTEGER NOT NULL
      ) STRICT;
    `,
  },
  {
    version: 3,
    sql: `
      ALTER TABLE mounts ADD COLUMN labels TEXT NOT NULL DEFAULT '[]';
    `,
  },
  {
    version: 4,
    sql: `
      CREATE TABLE users (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        revision INTEGER NOT NULL,
        role TEXT NOT NULL,
        scope TEXT NOT NULL,
        password TEXT NOT NULL,
        subject TEXT NOT NULL,
        disabled INTEGER NOT NULL,
        invite TEXT NOT NULL,
        invite_expires_at INTEGER NOT NULL,
        last_login_at INTEGER NOT NULL,
        created_at INTEGER NOT NULL,
        updated_at INTEGER NOT NULL
      ) STRICT;
      CREATE UNIQUE INDEX users_by_subject ON users (subject) WHERE subject <> '';

      CREATE TABLE tokens (
        id TEXT PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        role TEXT NOT NULL,
        scope TEXT NOT NULL,
        hash TEXT NOT NULL UNIQUE,
        expires_at INTEGER NOT NULL,
        last_used_at INTEGER NOT NULL,
        last_used_from TEXT NOT NULL,
        created_by TEXT NOT NULL,
        created_at INTEGER NOT NULL
      ) STRICT;

      CREATE TABLE sessions (
        id TEXT PRIMARY KEY,
        hash TEXT NOT NULL UNIQUE,
        principal TEXT NOT NULL,
        role TEXT NOT NULL,
        user_id TEXT NOT NULL,
        address TEXT NOT NULL,
        created_at INTEGER NOT NULL,
        expires_at INTEGER NOT NULL,
        last_used_at INTEGER NOT NULL
      ) STRICT;

      CREATE TABLE login_failures (
        key TEXT PRIMARY KEY,
        failures INTEGER NOT NULL,
        retry_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL
      ) STRICT, WITHOUT ROWID;

      CREATE TABLE audit_segments (
        number INTEGER PRIMARY KEY,
        opened_at INTEGER NOT NULL,
        opens_with TEXT NOT NULL,
        first INTEGER NOT NULL
      ) STRICT;

      CREATE TABLE audit (
        sequence INTEGER PRIMARY KEY,
        segment INTEGER NOT NULL REFERENCES audit_segments (number),
        at INTEGER NOT NULL,
        principal TEXT NOT NULL,
        origin TEXT NOT NULL,
        action TEXT NOT NULL,
        class TEXT NOT NULL,
        result TEXT NOT NULL,
        mount_id TEXT NOT NULL,
        provider_id TEXT NOT NULL,
        target TEXT NOT NULL,
        correlation_id TEXT NOT NULL,
        times INTEGER NOT NULL,
        mac TEXT NOT NULL
      ) STRICT;
      CREATE INDEX audit_by_segment ON audit (segment);
    `,
  },
  {
    version: 5,
    sql: `
      CREATE TABLE alerts (
        id TEXT PRIMARY KEY,
        severity TEXT NOT NULL,
        mount_id TEXT NOT NULL,
        reason TEXT NOT NULL,
        message TEXT NOT NULL,
        lines TEXT NOT NULL,
        correlation_id TEXT NOT NULL,
        times INTEGER NOT NULL,
        raised_at INTEGER NOT NULL,
        last_at INTEGER NOT NULL,
        acknowledged_at INTEGER NOT NULL,
        acknowledged_by TEXT NOT NULL,
        resolved_at INTEGER NOT NULL,
        resolved_by TEXT NOT NULL
      ) STRICT;
      CREATE UNIQUE INDEX alerts_open ON alerts (mount_id, reason) WHERE resolved_at = 0;
    `,
  },
  {
    // Which file keeps each object. The names of settings stood with spaces between; now each has its file, here not known yet.
    version: 6,
    sql: `
      ALTER TABLE providers ADD COLUMN managed_file TEXT NOT NULL DEFAULT '';
      ALTER TABLE mounts ADD COLUMN managed_file TEXT NOT NULL DEFAULT '';
      UPDATE settings SET value = CASE value WHEN '' THEN '{}' ELSE '{"' || replace(value, ' ', '":"","') || '":""}' END
        WHERE name = 'settingsOfFiles';
    `,
  },
]
