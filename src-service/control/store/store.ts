import type {
  AuditFilter,
  AuditRecord,
  LoginFailures,
  NewToken,
  NewUser,
  SegmentRecord,
  SessionRecord,
  TokenRecord,
  UserChange,
  UserRecord,
} from './access-records.ts'
import type { AlertRecord, RaisedAlert } from './alert-records.ts'
import type {
  ConfigChange,
  MountChange,
  MountRecord,
  NewMount,
  NewProvider,
  ProviderChange,
  ProviderRecord,
  RequestKey,
  SecretMetadata,
  SecretRecord,
  SlotRecord,
  VaultChange,
  VaultRecord,
} from './records.ts'

/**
 * The service's database. It lives in a thread of its own, so that no disk is waited for on the service's event loop.
 * Calls are done in the order in which they were made. A change and the reading of its result are one transaction.
 * Errors: `not-found`, `exists` (code NAME_TAKEN), `conflict` (the revision does not match), `busy` (code PROVIDER_IN_USE),
 * `no-space`, `damaged`, `io`.
 */
export interface Store {
  readonly providers: ProviderTable
  readonly mounts: MountTable
  readonly settings: SettingTable
  readonly vault: VaultTable
  readonly requests: RequestTable
  readonly users: UserTable
  readonly tokens: TokenTable
  readonly sessions: SessionTable
  readonly loginFailures: LoginFailureTable
  readonly audit: AuditTable
  readonly alerts: AlertTable
  readonly config: ConfigTable
  readonly copies: DatabaseCopies
  /** Writes what is pending and releases the home. Later calls fail. */
  close(): Promise<void>
}

export interface ProviderTable {
  /** By name. */
  list(): Promise<readonly ProviderRecord[]>
  get(id: string): Promise<ProviderRecord>
  insert(provider: NewProvider, request: RequestKey | null): Promise<ProviderRecord>
  /** @param revision must match; null = whatever it is. @param unused refuses while a mount uses it. */
  update(id: string, revision: number | null, change: ProviderChange, unused: boolean): Promise<ProviderRecord>
  /** Refuses while a mount uses it; the message names them. */
  remove(id: string, revision: number | null): Promise<void>
}

export interface MountTable {
  /** By name. */
  list(): Promise<readonly MountRecord[]>
  get(id: string): Promise<MountRecord>
  /** `not-found` if the provider is absent. */
  insert(mount: NewMount, request: RequestKey | null): Promise<MountRecord>
  /** @param revision must match; null = whatever it is. A change of `enabled` alone leaves the revision as it is: it is no configuration. */
  update(id: string, revision: number | null, change: MountChange): Promise<MountRecord>
  remove(id: string, revision: number | null): Promise<void>
}

export interface SettingTable {
  get(name: string): Promise<string | null>
  set(name: string, value: string): Promise<void>
  /** Null = not set. `conflict` if it is not as expected now. */
  replace(name: string, expected: string | null, value: string | null): Promise<void>
}

/** Sealed secrets and what they are sealed with; the store can read none of it. */
export interface VaultTable {
  /** Null before the first secret. */
  read(): Promise<{ readonly vault: VaultRecord; readonly slots: readonly SlotRecord[] } | null>
  /** One transaction. `conflict` if the counter is not the expected one. */
  commit(change: VaultChange): Promise<void>
  secret(id: string): Promise<SecretRecord | null>
  secrets(): Promise<readonly SecretMetadata[]>
}

export interface RequestTable {
  /** Id of what the request made in the last 24 hours; null if it is new; `invalid` (REQUEST_ID_REUSED) if it was another request. */
  find(request: RequestKey): Promise<string | null>
}

export interface UserTable {
  /** By name. */
  list(): Promise<readonly UserRecord[]>
  get(id: string): Promise<UserRecord>
  find(name: string): Promise<UserRecord | null>
  insert(user: NewUser, request: RequestKey | null): Promise<UserRecord>
  /** @param revision must match; null = whatever it is. */
  update(id: string, revision: number | null, change: UserChange): Promise<UserRecord>
  /** Sessions go with it. */
  remove(id: string, revision: number | null): Promise<UserRecord>
  /** Uses up an open code and sets the password, in one step; null if there is no such code at `now`. */
  acceptInvite(codeHash: string, password: string, now: number): Promise<UserRecord | null>
  loggedIn(id: string, at: number): Promise<void>
}

export interface TokenTable {
  /** By name. */
  list(): Promise<readonly TokenRecord[]>
  get(id: string): Promise<TokenRecord>
  findByHash(hash: string): Promise<TokenRecord | null>
  insert(token: NewToken, request: RequestKey | null): Promise<TokenRecord>
  /** Gives it another secret; resolves with the token as it was. */
  replaceHash(id: string, hash: string): Promise<TokenRecord>
  remove(id: string): Promise<TokenRecord>
  used(id: string, at: number, from: string): Promise<void>
}

export interface SessionTable {
  /** Newest first. */
  list(): Promise<readonly SessionRecord[]>
  findByHash(hash: string): Promise<SessionRecord | null>
  /** Forgets those that are over. */
  insert(session: SessionRecord): Promise<void>
  remove(id: string): Promise<SessionRecord>
  /** Resolves with those that were the user's. */
  removeOfUser(userId: string): Promise<readonly SessionRecord[]>
  used(id: string, at: number): Promise<void>
}

export interface LoginFailureTable {
  find(keys: readonly string[]): Promise<readonly LoginFailures[]>
  put(failures: LoginFailures): Promise<void>
  remove(keys: readonly string[]): Promise<void>
}

export interface AuditTable {
  segments(): Promise<readonly SegmentRecord[]>
  last(): Promise<AuditRecord | null>
  /** One transaction. @param segment is new, and holds the line. */
  append(line: AuditRecord, segment: SegmentRecord | null): Promise<void>
  /** At most `limit`, oldest first. */
  read(filter: AuditFilter, limit: number): Promise<readonly AuditRecord[]>
  /** The last `count` that match, oldest first. */
  tail(filter: AuditFilter, count: number): Promise<readonly AuditRecord[]>
  /** Drops whole segments up to and with this one. */
  dropUpTo(segment: number): Promise<void>
}

/** At most 1,000 are kept. */
export interface AlertTable {
  /** Newest first. @param all also those that are over */
  list(all: boolean): Promise<readonly AlertRecord[]>
  get(id: string): Promise<AlertRecord>
  /** Makes it, or counts it to the one of its mount and reason that is open. */
  raise(alert: RaisedAlert, at: number): Promise<{ readonly alert: AlertRecord; readonly isNew: boolean }>
  acknowledge(id: string, by: string, at: number): Promise<AlertRecord>
  /** @param by '' = it ended by itself */
  resolve(id: string, by: string, at: number): Promise<AlertRecord>
}

/** Configuration as a whole. */
export interface ConfigTable {
  /** All of it or nothing. `conflict` if a row changed meanwhile, `exists`, PROVIDER_IN_USE. */
  apply(change: ConfigChange): Promise<void>
}

/** Files that are databases of their own. Paths are absolute. */
export interface DatabaseCopies {
  /** Copies this database, as it is at one moment, to a new file. */
  make(path: string): Promise<{ readonly schema: number }>
  /** Checks a copy that is to be restored, and logs everybody out in it. Throws `damaged`, `unsupported` (DATABASE_NEWER), `invalid`. */
  check(path: string): Promise<{ readonly schema: number }>
}
