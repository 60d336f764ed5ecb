/** Rows of users, tokens, sessions and audit as the rest of control/ sees them. Times are milliseconds since 1970. */

export type Role = 'admin' | 'operator' | 'read-only'

/** Which mounts a grant covers. */
export type GrantScope =
  | { readonly kind: 'all' }
  | { readonly kind: 'mounts'; readonly mountIds: readonly string[] }
  | { readonly kind: 'label'; readonly label: string }

export interface UserRecord {
  readonly id: string
  readonly name: string
  readonly revision: number
  readonly role: Role
  readonly scope: GrantScope
  /** Argon2id in PHC form; '' = cannot log in with a password. */
  readonly password: string
  /** Who this is for an outside identity provider; '' = nobody. */
  readonly subject: string
  readonly disabled: boolean
  /** SHA-256 of the code that sets the first or a new password; '' = none is open. */
  readonly invite: string
  readonly inviteExpiresAt: number
  /** 0 = never. */
  readonly lastLoginAt: number
  readonly createdAt: number
  readonly updatedAt: number
}

export interface TokenRecord {
  readonly id: string
  readonly name: string
  readonly role: Role
  readonly scope: GrantScope
  /** SHA-256 of the token. */
  readonly hash: string
  /** 0 = never. */
  readonly expiresAt: number
  /** 0 = never. */
  readonly lastUsedAt: number
  readonly lastUsedFrom: string
  readonly createdBy: string
  readonly createdAt: number
}

export interface SessionRecord {
  readonly id: string
  /** SHA-256 of the cookie. */
  readonly hash: string
  /** Whose it is: `local:1000`, or `user:anna` with its id in `userId`. */
  readonly principal: string
  /** That of `local:1000`; a user has the role that the user has now. */
  readonly role: Role
  /** '' = somebody of the unix socket. */
  readonly userId: string
  readonly address: string
  readonly createdAt: number
  readonly expiresAt: number
  readonly lastUsedAt: number
}

/** Failed logins of one account or from one address. */
export interface LoginFailures {
  /** `account:anna`, `address:10.0.0.7`. */
  readonly key: string
  readonly failures: number
  /** No login before. */
  readonly retryAt: number
  readonly lastAt: number
}

export type NewUser = Omit<UserRecord, 'revision' | 'createdAt' | 'updatedAt' | 'lastLoginAt'>
export type UserChange = Partial<
  Pick<UserRecord, 'name' | 'role' | 'scope' | 'password' | 'subject' | 'disabled' | 'invite' | 'inviteExpiresAt'>
>
export type NewToken = Omit<TokenRecord, 'createdAt' | 'lastUsedAt' | 'lastUsedFrom'>

/** One line of the audit log; `mac` chains it to the line before. */
export interface AuditRecord {
  /** 1, 2, 3 … over all segments. */
  readonly sequence: number
  readonly segment: number
  readonly at: number
  readonly principal: string
  /** Where the call came from: `socket`, an address. */
  readonly origin: string
  /** `cloudmoor.v1.MountService.StartMount`, `login`. */
  readonly action: string
  readonly class: string
  /** `begun`, `ok`, or the reason of the failure. */
  readonly result: string
  readonly mountId: string
  readonly providerId: string
  /** Name or id of what else it is about. */
  readonly target: string
  readonly correlationId: string
  /** How often it happened: more than 1 for repeated refusals. */
  readonly times: number
  /** HMAC-SHA-256, hex. */
  readonly mac: string
}

export interface SegmentRecord {
  readonly number: number
  readonly openedAt: number
  /** `mac` of the last line of the segment before; '' at the very first. */
  readonly opensWith: string
  /** Sequence of its first line. */
  readonly first: number
}

export interface AuditFilter {
  /** Lines after this sequence. */
  readonly after: number
  readonly since: number
  /** 0 = until now. */
  readonly until: number
  readonly principal: string
  readonly mountId: string
  readonly action: string
  readonly correlationId: string
  /** Also the lines that say that a change began. */
  readonly begun: boolean
}
