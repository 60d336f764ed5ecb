import type {
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
