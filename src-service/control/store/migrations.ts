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
]
