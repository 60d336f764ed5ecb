/** Rows of the service's database as the rest of control/ sees them. Times are milliseconds since 1970. */

export type OptionValue = string | number | boolean
export type Options = Readonly<Record<string, OptionValue>>

export type ManagedBy = 'api' | 'file'

/** What every resource has. `id` never changes; `revision` grows by one with every change. */
export interface ResourceRecord {
  readonly id: string
  /** Unique within its kind. */
  readonly name: string
  readonly revision: number
  readonly managedBy: ManagedBy
  /** Path of the file that keeps it; '' = none, or one that an older version read. */
  readonly managedFile: string
  readonly createdAt: number
  readonly updatedAt: number
}

/** A saved account. */
export interface ProviderRecord extends ResourceRecord {
  readonly type: string
  /** Without secrets. */
  readonly options: Options
  /** Where its secrets are kept: option name to reference in the `SecretStore`. */
  readonly secretRefs: Readonly<Record<string, string>>
}

export type MountAccess = 'owner' | 'all'

/** A configured mount. */
export interface MountRecord extends ResourceRecord {
  readonly providerId: string
  /** Folder on the account, '' = its root. */
  readonly remoteRoot: string
  /** Absolute path of the mount point. */
  readonly path: string
  /** Bytes. */
  readonly cacheSize: number
  /** Absolute path, or '' = in the service's state. */
  readonly cacheDir: string
  readonly readOnly: boolean
  readonly access: MountAccess
  readonly uid: number
  readonly gid: number
  readonly umask: number
  readonly shared: boolean
  /** fsync, attributes, freshness, xattrs, writeBackSeconds: as they were given. */
  readonly options: Options
  /** Words by which grants name it, sorted. */
  readonly labels: readonly string[]
  /** It is to be mounted. */
  readonly enabled: boolean
}

/** A sealed secret; the store cannot read it. */
export interface SecretRecord {
  /** The reference. */
  readonly id: string
  /** What it belongs to: the id of a provider, or `named`. */
  readonly owner: string
  /** Option name. */
  readonly name: string
  /** Grows with each value that owner and name get. */
  readonly version: number
  /** The key of this value, itself sealed; empty in rows that are older than the vault. */
  readonly dataKey: Uint8Array
  readonly sealed: Uint8Array
  readonly createdAt: number
}

/** That a secret is stored, without it. */
export type SecretMetadata = Omit<SecretRecord, 'dataKey' | 'sealed'>

/** The vault as a whole. */
export interface VaultRecord {
  readonly id: string
  /** Grows by one with every change of the vault. */
  readonly counter: number
  /** What belongs to the vault, sealed. */
  readonly catalogue: Uint8Array
  readonly createdAt: number
  /** When its root key was made. */
  readonly rotatedAt: number
}

/** One way to open the vault. */
export interface SlotRecord {
  readonly id: string
  readonly kind: string
  /** JSON. */
  readonly params: string
  /** X25519 key to which the root key is sealed. */
  readonly publicKey: Uint8Array
  readonly rootKey: Uint8Array
  readonly createdAt: number
}

/** Everything that changes in one step. Rows take the place of those with the same id. */
export interface VaultChange {
  /** The counter as it must be now; 0 = there must be no vault. */
  readonly expected: number
  readonly vault: VaultRecord
  readonly removeSlots: readonly string[]
  readonly slots: readonly SlotRecord[]
  readonly removeSecrets: readonly string[]
  readonly secrets: readonly SecretRecord[]
}

/** Many changes that are made in one step. Each row that changes or goes must still have the revision it is named with. */
export interface ConfigChange {
  readonly providers: ResourceChanges<NewProvider, ProviderChange & KeptIdentity>
  readonly mounts: ResourceChanges<NewMount, MountChange & KeptIdentity>
  readonly settings: Readonly<Record<string, string>>
}

export interface ResourceChanges<New, Change> {
  readonly insert: readonly New[]
  readonly update: readonly (Revised & { readonly change: Change })[]
  readonly remove: readonly Revised[]
}

/** What every changed row is given anew: names may be swapped among rows. */
export type KeptIdentity = Pick<ResourceRecord, 'name' | 'managedBy' | 'managedFile'>

export interface Revised {
  readonly id: string
  readonly revision: number
}

/** Makes a creation happen once: saved in the same transaction as what it made, and kept for 24 hours. */
export interface RequestKey {
  readonly method: string
  readonly requestId: string
  /** SHA-256 of the request without its secrets. */
  readonly digest: string
}

export type NewProvider = Omit<ProviderRecord, 'revision' | 'createdAt' | 'updatedAt'>
export type ProviderChange = Partial<Pick<ProviderRecord, 'name' | 'options' | 'secretRefs'>>
export type NewMount = Omit<MountRecord, 'revision' | 'createdAt' | 'updatedAt'>
export type MountChange = Partial<
  Omit<MountRecord, 'id' | 'providerId' | 'remoteRoot' | 'managedBy' | 'managedFile' | 'revision' | 'createdAt' | 'updatedAt'>
>
