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
  /** It is to be mounted. */
  readonly enabled: boolean
}

/** A sealed secret; the store cannot read it. */
export interface SecretRecord {
  /** The reference. */
  readonly id: string
  /** What it belongs to: the id of a provider. */
  readonly owner: string
  /** Option name. */
  readonly name: string
  /** Grows with each value that owner and name get. */
  readonly version: number
  readonly sealed: Uint8Array
  readonly createdAt: number
}

/** That a secret is stored, without it. */
export type SecretMetadata = Omit<SecretRecord, 'sealed'>

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
  Omit<MountRecord, 'id' | 'providerId' | 'remoteRoot' | 'managedBy' | 'revision' | 'createdAt' | 'updatedAt'>
>
