/** What an S3 server means by its refusals, once and for all. */
import { CloudError } from '../../../common/errors.ts'
import type { ErrorDetail, ErrorKind } from '../../../common/errors.ts'
import { header, parseRetryAfter } from '../http.ts'
import type { Headers } from '../http.ts'
import { textOf, tryParseXml } from '../xml.ts'

/** Kind and hint for the codes that say more than the status does. */
const codes: Readonly<Record<string, readonly [ErrorKind, string?]>> = {
  SignatureDoesNotMatch: ['sign-in', 'The secret key does not belong to this access key, or the region is wrong.'],
  InvalidAccessKeyId: ['sign-in', 'The server does not know this access key: check accessKeyId.'],
  ExpiredToken: ['sign-in', 'The temporary credentials have expired: get new ones.'],
  TokenRefreshRequired: ['sign-in', 'The temporary credentials have expired: get new ones.'],
  InvalidToken: ['sign-in', 'The session token is not valid for this access key.'],
  InvalidTokenId: ['sign-in', 'The session token is not valid for this access key.'],
  InvalidClientTokenId: ['sign-in', 'The server does not know this access key.'],
  AuthorizationHeaderMalformed: ['sign-in', 'The region is wrong for this bucket.'],
  AccountProblem: ['sign-in', 'There is a problem with the account: ask the provider.'],
  AccessDenied: ['access', 'The access key has no right to do this: check its policy.'],
  AllAccessDisabled: ['access'],
  NoSuchBucket: ['not-found', 'The bucket does not exist: check its name and the region.'],
  NoSuchKey: ['not-found'],
  NoSuchUpload: ['not-found'],
  InvalidBucketName: ['name-invalid', 'A bucket name has 3 to 63 lower-case letters, digits, dots and hyphens.'],
  BucketAlreadyExists: ['exists', 'Somebody else has a bucket of this name.'],
  BucketAlreadyOwnedByYou: ['exists'],
  BucketNotEmpty: ['not-empty'],
  KeyTooLongError: ['name-too-long'],
  XMinioInvalidObjectName: ['name-invalid'],
  PreconditionFailed: ['conflict'],
  // Somebody else's request on this key was under way: nothing was decided.
  ConditionalRequestConflict: ['unavailable'],
  OperationAborted: ['unavailable'],
  InvalidRange: ['conflict'],
  EntityTooLarge: ['too-large'],
  QuotaExceeded: ['quota'],
  XAmzAdminBucketQuotaExceeded: ['quota'],
  XMinioAdminBucketQuotaExceeded: ['quota'],
  XMinioStorageFull: ['quota', 'The server is full.'],
  SlowDown: ['throttled'],
  SlowDownRead: ['throttled'],
  SlowDownWrite: ['throttled'],
  Throttling: ['throttled'],
  ThrottlingException: ['throttled'],
  RequestLimitExceeded: ['throttled'],
  TooManyRequests: ['throttled'],
  RequestTimeout: ['unavailable'],
  BadDigest: ['unavailable', 'The contents were damaged on their way.'],
  XAmzContentChecksumMismatch: ['unavailable', 'The contents were damaged on their way.'],
  NotImplemented: ['unsupported'],
  InvalidObjectState: ['access', 'The object is archived: restore it first.'],
}

/** Reads an answer of an error. `body` may be anything. */
export function s3Error(status: number, headers: Headers, body: string, now: number): CloudError {
  const xml = tryParseXml(body, 'Error')
  const code = (xml && textOf(xml, 'Code')) ?? header(headers, 'x-minio-error-code') ?? undefined
  const said = xml && textOf(xml, 'Message')
  const message = said ? `${code ?? status}: ${said.slice(0, 300)}` : `the server answered ${status}`
  const retryAfterMs = parseRetryAfter(header(headers, 'retry-after'), now)
  const detail: ErrorDetail = { ...(code !== undefined && { code }), ...(retryAfterMs !== undefined && { retryAfterMs }) }
  if (code === 'RequestTimeTooSkewed') return new CloudError('sign-in', message, { ...detail, hint: skewHint(headers, now) })
  const region = header(headers, 'x-amz-bucket-region') ?? (xml && textOf(xml, 'Region')) ?? undefined
  if (region && (status === 301 || status === 307 || code === 'AuthorizationHeaderMalformed')) {
    return new CloudError('sign-in', message, { ...detail, hint: `The bucket is in the region ${region}: set region=${region}.` })
  }
  const known = code === undefined ? undefined : codes[code]
  if (known) return new CloudError(known[0], message, { ...detail, ...(known[1] !== undefined && { hint: known[1] }) })
  return new CloudError(kindOfStatus(status), message, { ...detail, ...hintOfStatus(status) })
}

function kindOfStatus(status: number): ErrorKind {
  switch (status) {
    case 401:
      return 'sign-in'
    case 403:
      return 'access'
    case 404:
      return 'not-found'
    case 412:
    case 416:
      return 'conflict'
    case 408:
    case 409:
      return 'unavailable'
    case 413:
      return 'too-large'
    case 429:
    case 503:
      return 'throttled'
    case 501:
      return 'unsupported'
    case 507:
      return 'quota'
  }
  if (status >= 500) return 'unavailable'
  return status >= 400 ? 'invalid' : 'garbage'
}

function hintOfStatus(status: number): ErrorDetail {
  if (status >= 300 && status < 400) return { hint: 'The server sends us elsewhere: check the endpoint.' }
  return {}
}

function skewHint(headers: Headers, now: number): string {
  const theirs = Date.parse(header(headers, 'date') ?? '')
  if (Number.isNaN(theirs)) return 'Set the clock of this machine.'
  const seconds = Math.round((now - theirs) / 1000)
  return `The clock of this machine is ${Math.abs(seconds)} s ${seconds > 0 ? 'ahead of' : 'behind'} the server's: set it.`
}
