import { wordsForDatabase, wordsForFile } from './disk-errors.ts'

/**
 * The one error type of the service. Whatever is caught is normalised once, where it is caught, by `CloudError.from`;
 * each door (drive/fuse, control/api) translates a kind through one exhaustive table.
 */
export type ErrorKind =
  // about names and the tree
  | 'not-found' // surely absent: a complete answer said so
  | 'exists'
  | 'not-empty'
  | 'not-a-folder'
  | 'is-a-folder'
  | 'name-invalid' // the provider cannot carry this name
  | 'name-too-long'
  | 'too-many-links'
  | 'stale' // superseded version; the kernel looks the name up again
  | 'busy'
  | 'cross-device'
  // about rights
  | 'permission' // the caller may not (EPERM)
  | 'access' // the provider or a mode refuses (EACCES)
  | 'read-only'
  | 'sign-in' // credentials missing, wrong or expired
  // about the way to the cloud; these mean Unknown, never NotFound
  | 'offline' // not reachable, or no network
  | 'timeout' // a deadline passed
  | 'throttled' // asked to slow down; `retryAfterMs` may be set
  | 'unavailable' // reached, but answers 5xx
  | 'garbage' // an answer that does not parse or contradicts itself
  // about contents
  | 'conflict' // a condition (If-Match and the like) failed
  | 'too-large'
  | 'quota' // the provider is full
  | 'no-space' // the cache bound or the local disk is full
  | 'damaged' // local data failed a check
  // about the call
  | 'invalid'
  | 'unsupported'
  | 'bad-handle'
  | 'no-attribute' // xattr absent
  | 'range' // xattr buffer too small
  | 'cancelled' // by our own AbortSignal
  | 'io' // a local disk or system call failed
  | 'internal' // a bug of ours

export interface ErrorDetail {
  /** The error below this one. */
  readonly cause?: unknown
  /** Milliseconds the provider asked us to wait (kind throttled or unavailable). */
  readonly retryAfterMs?: number
  /** Provider's own error code (`NoSuchBucket`), or errno name (`ENOSPC`), for logs and messages. */
  readonly code?: string
  /** What the person can do, one English sentence. */
  readonly hint?: string
}

export class CloudError extends Error {
  override readonly name = 'CloudError'
  readonly kind: ErrorKind
  readonly retryAfterMs: number | undefined
  readonly code: string | undefined
  readonly hint: string | undefined

  constructor(kind: ErrorKind, message: string, detail: ErrorDetail = {}) {
    super(message, detail.cause === undefined ? undefined : { cause: detail.cause })
    this.kind = kind
    this.retryAfterMs = detail.retryAfterMs
    this.code = detail.code
    this.hint = detail.hint
  }

  /**
   * Normalises anything caught. A CloudError stays itself; a Node system error keeps its code, and says in words for people what the
   * disk refused; the rest is `internal`.
   */
  static from(caught: unknown): CloudError {
    if (caught instanceof CloudError) return caught
    if (!(caught instanceof Error)) return new CloudError('internal', `thrown value: ${String(caught)}`)
    if (caught.name === 'TimeoutError') return new CloudError('timeout', caught.message, { cause: caught })
    if (caught.name === 'AbortError') return new CloudError('cancelled', caught.message, { cause: caught })
    const code = 'code' in caught && typeof caught.code === 'string' ? caught.code : undefined
    if (code !== undefined) {
      const kind = systemKinds[code]
      const words = wordsForFile(caught, code)
      if (words !== null) {
        const { message, ...hint } = words
        return new CloudError(kind ?? 'io', message, { cause: caught, code, ...hint })
      }
      if (kind !== undefined) return new CloudError(kind, caught.message, { cause: caught, code })
      if (code.startsWith('UND_ERR')) return new CloudError('offline', caught.message, { cause: caught, code })
      if (code.startsWith('SQLITE')) {
        const { kind: known = 'io', message = caught.message, ...hint } = wordsForDatabase(code) ?? {}
        return new CloudError(known, message, { cause: caught, code, ...hint })
      }
      if (/^E[A-Z0-9]+$/.test(code)) return new CloudError('io', caught.message, { cause: caught, code })
    }
    return new CloudError('internal', caught.message, { cause: caught })
  }
}

/** Errno names (Node's `error.code`) whose meaning is more than `io`. */
const systemKinds: Readonly<Record<string, ErrorKind>> = {
  ENOENT: 'not-found',
  EEXIST: 'exists',
  ENOTEMPTY: 'not-empty',
  ENOTDIR: 'not-a-folder',
  EISDIR: 'is-a-folder',
  ENAMETOOLONG: 'name-too-long',
  EMLINK: 'too-many-links',
  ESTALE: 'stale',
  EBUSY: 'busy',
  EXDEV: 'cross-device',
  EPERM: 'permission',
  EACCES: 'access',
  EROFS: 'read-only',
  ENOSPC: 'no-space',
  EDQUOT: 'no-space',
  EFBIG: 'too-large',
  EINVAL: 'invalid',
  ENOSYS: 'unsupported',
  EOPNOTSUPP: 'unsupported',
  ENOTSUP: 'unsupported',
  EBADF: 'bad-handle',
  ENODATA: 'no-attribute',
  ERANGE: 'range',
  ECONNREFUSED: 'offline',
  ECONNRESET: 'offline',
  ECONNABORTED: 'offline',
  EPIPE: 'offline',
  ENETUNREACH: 'offline',
  ENETDOWN: 'offline',
  EHOSTUNREACH: 'offline',
  ENOTFOUND: 'offline',
  EAI_AGAIN: 'offline',
  ETIMEDOUT: 'timeout',
}

/** Kinds after which nothing is known about the remote: cached data goes on being served, writes queue, nothing counts as absent. */
export function isUnknown(kind: ErrorKind): boolean {
  switch (kind) {
    case 'offline':
    case 'timeout':
    case 'throttled':
    case 'unavailable':
    case 'garbage':
    case 'sign-in':
    case 'cancelled':
      return true
    default:
      return false
  }
}

/** Fails the build when a union gains a member that a switch does not handle. */
export function unreachable(value: never): never {
  throw new CloudError('internal', `unhandled case: ${JSON.stringify(value)}`)
}
