import Database from 'better-sqlite3'
import { migrations } from '../../src-service/control/store/migrations.ts'

/** What each table is for. */
const purposes: Readonly<Record<string, string>> = {
  providers: 'Saved accounts, without their secrets.',
  mounts: 'Configured mounts. What a mount holds lies in its own folder and database.',
  settings: 'Settings that were set; `instance` names this service among others.',
  secrets: 'Sealed secrets: of an account (`owner` is its id), or by name.',
  vault: 'The vault as a whole; at most one row.',
  vault_slots: 'Ways to open the vault: the root key, sealed to each.',
  request_ids: 'What a creation made, kept for a day, so that a repeated request makes nothing twice.',
  users: 'People, with what they may do.',
  tokens: 'API tokens, as hashes.',
  sessions: 'Who is logged in, as hashes.',
  login_failures: 'How often somebody failed to log in lately.',
  audit_segments: 'Parts of the audit log, each opened by the head of the one before.',
  audit: 'The audit log: a chain of lines, each vouched for by `mac`.',
  alerts: 'What needs, or needed, a person.',
}

/** What points where; the database itself holds only those that it must check. */
const links: readonly (readonly [from: string, column: string, to: string, label: string])[] = [
  ['mounts', 'provider_id', 'providers', 'shows'],
  ['secrets', 'owner', 'providers', 'belong to'],
  ['vault_slots', '', 'vault', 'open'],
  ['secrets', '', 'vault', 'are sealed by'],
  ['sessions', 'user_id', 'users', 'of'],
  ['audit', 'segment', 'audit_segments', 'part of'],
  ['alerts', 'mount_id', 'mounts', 'about'],
]

interface Column {
  readonly name: string
  readonly type: string
  readonly pk: number
  readonly notnull: number
}

/** docs/operations/database.md: the schema as the migrations leave it. Throws for a table that nobody has described. */
export function schemaPage(): string {
  const database = new Database(':memory:')
  try {
    for (const step of migrations) database.exec(step.sql)
    const tables = database
      .prepare<[], { name: string }>("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name")
      .all()
      .map(({ name }) => ({ name, columns: database.pragma(`table_info(${name})`) as Column[] }))
    return [head(migrations.at(-1)?.version ?? 0), diagram(tables), ...tables.map(section)].join('\n')
  } finally {
    database.close()
  }
}

interface Table {
  readonly name: string
  readonly columns: readonly Column[]
}

function head(version: number): string {
  return `# The service's database

Made out of the migrations; do not edit. Schema version ${version} (\`PRAGMA user_version\`), SQLite in WAL mode, opened by the service alone. Times are
milliseconds since 1970, lists and options JSON. What mounts hold is not in it: each has a database of its own beside its blobs. Backups:
[backups.md](backups.md).
`
}

function diagram(tables: readonly Table[]): string {
  for (const [from, column, to] of links) {
    const columns = tables.find(({ name }) => name === from)?.columns ?? []
    const isThere = column === '' || columns.some(({ name }) => name === column)
    if (!isThere || !tables.some(({ name }) => name === to)) throw new Error(`a link from ${from}.${column} to ${to} leads nowhere`)
  }
  const entities = tables.map(({ name, columns }) => {
    const lines = columns.map((column) => `    ${column.type.toLowerCase()} ${column.name}${column.pk > 0 ? ' PK' : ''}`)
    return [`  ${name} {`, ...lines, '  }'].join('\n')
  })
  const arrows = links.map(([from, , to, label]) => `  ${from} }o--|| ${to} : "${label}"`)
  return ['```mermaid', 'erDiagram', ...arrows, ...entities, '```', ''].join('\n')
}

function section({ name, columns }: Table): string {
  const purpose = purposes[name]
  if (purpose === undefined) throw new Error(`nobody has said what the table ${name} is for`)
  const rows = columns.map(
    ({ name: column, type, pk, notnull }) => `| \`${column}\` | ${type} | ${pk > 0 ? 'key' : notnull === 1 ? '' : 'may be null'} |`,
  )
  return [`## ${name}`, '', purpose, '', '| column | type | |', '|---|---|---|', ...rows, ''].join('\n')
}
