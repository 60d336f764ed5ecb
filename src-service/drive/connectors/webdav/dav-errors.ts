/** What a WebDAV server means by its refusals, once and for all. */
import { CloudError } from '../../../common/errors.ts'
import type { ErrorDetail, ErrorKind } from '../../../common/errors.ts'
import { header, parseRetryAfter } from '../http.ts'
import type { Headers } from '../http.ts'
import { textOf, tryParseXml } from '../xml.ts'

/** Reads an answer of an error. `body` may be anything. */
export function davError(status: number, headers: Headers, body: string, now: number): CloudError {
  const said = messageIn(body)
  const retryAfterMs = parseRetryAfter(header(headers, 'retry-after'), now)
  const hint = hintOf(status, headers)
  const detail: ErrorDetail = {
    code: String(status),
    ...(retryAfterMs !== undefined && { retryAfterMs }),
    ...(hint !== undefined && { hint }),
  }
  return new CloudError(kindOf(status), said === undefined ? `the server answered ${status}` : `${status}: ${said}`, detail)
}

function kindOf(status: number): ErrorKind {
  switch (status) {
    case 401:
      return 'sign-in'
    case 403:
      return 'access'
    case 404:
    case 410:
      return 'not-found'
    case 405:
    case 501:
      return 'unsupported'
    case 412:
    case 416:
      return 'conflict'
    case 413:
      return 'too-large'
    case 414:
      return 'name-too-long'
    case 423:
      return 'busy'
    case 429:
    case 503:
      return 'throttled'
    case 507:
      return 'quota'
    case 408:
    case 409:
    case 424:
    case 425:
      return 'unavailable'
  }
  // Being sent elsewhere says nothing about the object: a sign-in page of a hotel does the same.
  if (status >= 500 || (status >= 300 && status < 400)) return 'unavailable'
  return status >= 400 ? 'invalid' : 'garbage'
}

function hintOf(status: number, headers: Headers): string | undefined {
  if (status === 401) return 'Check user and password; many servers want a password of its own for each app.'
  if (status === 403) return 'The user has no right to do this.'
  if (status === 423) return 'Somebody else has locked it.'
  if (status < 300 || status >= 400) return undefined
  const place = header(headers, 'location')
  const where = place !== undefined && URL.canParse(place) ? new URL(place) : null
  return `The server sends us ${where ? `to ${where.origin}${where.pathname}` : 'elsewhere'}, and we do not follow with a password: check the url.`
}

/** The sentence that SabreDAV (Nextcloud, ownCloud) puts into its errors. */
function messageIn(body: string): string | undefined {
  const error = tryParseXml(body, 'error')
  return (error && textOf(error, 'message')?.slice(0, 300)) || undefined
}
