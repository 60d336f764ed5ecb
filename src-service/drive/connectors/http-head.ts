/** Heads of HTTP/1.1 messages (RFC 9112), strict: what is not plainly right is refused, never guessed at. */
import { CloudError } from '../../common/errors.ts'

/** By lower-case name; several if the header came several times. */
export type Headers = Readonly<Record<string, string | string[] | undefined>>

export interface RequestHead {
  readonly method: string
  /** Path and query, encoded. */
  readonly target: string
  readonly headers: Readonly<Record<string, string>>
}

/** How the end of a body is known. */
export type Framing =
  | { readonly kind: 'length'; readonly length: number }
  | { readonly kind: 'chunked' }
  /** It ends with the connection. */
  | { readonly kind: 'close' }

export interface ResponseHead {
  readonly status: number
  readonly headers: Headers
  readonly framing: Framing
  /** The connection may be used again after the body. */
  readonly stays: boolean
  /** Seconds that the server keeps an idle connection, if it says so. */
  readonly keptSeconds: number | undefined
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/
/** Visible characters, blanks and tabs, and bytes of other alphabets. */
const fieldValue = /^[\t\x20-\x7e\x80-\xff]*$/
const targetText = /^[\x21-\x7e]+$/
const statusLine = /^HTTP\/1\.([01]) ([1-9]\d\d)(?: [\t\x20-\x7e\x80-\xff]*)?$/

/** Of these a server expects to be told that nothing follows. */
const withBody: ReadonlySet<string> = new Set(['POST', 'PROPFIND', 'PROPPATCH', 'PUT'])

/**
 * The bytes of a request's head, as latin1, with `host` and `content-length` where the caller gave none.
 * @param length of the body; null if only the caller knows
 * @throws CloudError `invalid` for what would break out of its line
 */
export function writeHead({ method, target, headers }: RequestHead, host: string, length: number | null): string {
  if (!token.test(method) || !targetText.test(target)) throw new CloudError('invalid', 'a request cannot be written down as HTTP')
  let head = `${method} ${target} HTTP/1.1\r\n`
  const told = length !== null && (length > 0 || withBody.has(method)) ? { 'content-length': String(length) } : {}
  for (const [name, value] of Object.entries({ host, ...told, ...headers })) {
    if (!token.test(name) || !fieldValue.test(value)) throw new CloudError('invalid', `the header ${name} cannot be sent`)
    head += `${name}: ${value}\r\n`
  }
  return `${head}\r\n`
}

/**
 * @param text everything before the empty line, latin1
 * @param method of the request
 * @throws CloudError `garbage`
 */
export function parseHead(text: string, method: string): ResponseHead {
  const [first = '', ...lines] = text.split('\r\n')
  const match = statusLine.exec(first)
  if (match === null) throw new CloudError('garbage', 'not HTTP: the answer does not begin with a status line')
  const headers = parseFields(lines)
  const status = Number(match[2])
  const connection = listOf(headers['connection'])
  return {
    status,
    headers,
    framing: framingOf(method, status, headers),
    stays: match[1] === '1' && !connection.includes('close'),
    keptSeconds: keptSeconds(headers['keep-alive']),
  }
}

function parseFields(lines: readonly string[]): Headers {
  const headers: Record<string, string | string[] | undefined> = Object.create(null) as Record<string, undefined>
  for (const line of lines) {
    const colon = line.indexOf(':')
    const name = line.slice(0, Math.max(0, colon))
    const value = line.slice(colon + 1).replace(/^[ \t]+|[ \t]+$/g, '')
    if (!token.test(name) || !fieldValue.test(value)) throw new CloudError('garbage', 'not HTTP: a header of the answer is malformed')
    const key = name.toLowerCase()
    const known = headers[key]
    headers[key] = known === undefined ? value : [...(typeof known === 'string' ? [known] : known), value]
  }
  return headers
}

/** RFC 9112, section 6.3. Two ways of saying where a body ends are one too many. */
function framingOf(method: string, status: number, headers: Headers): Framing {
  if (method === 'HEAD' || status < 200 || status === 204 || status === 304) return { kind: 'length', length: 0 }
  const coding = headers['transfer-encoding']
  const length = headers['content-length']
  if (coding !== undefined) {
    if (length !== undefined || typeof coding !== 'string' || coding.toLowerCase() !== 'chunked')
      throw new CloudError('garbage', 'not HTTP: nobody can tell where the answer ends')
    return { kind: 'chunked' }
  }
  if (length === undefined) return { kind: 'close' }
  if (typeof length !== 'string' || !/^\d{1,15}$/.test(length)) throw new CloudError('garbage', 'not HTTP: the answer has no length')
  return { kind: 'length', length: Number(length) }
}

function keptSeconds(value: string | string[] | undefined): number | undefined {
  const match = /(?:^|[ ,])timeout=(\d{1,6})/i.exec(typeof value === 'string' ? value : '')
  return match === null ? undefined : Number(match[1])
}

function listOf(value: string | string[] | undefined): readonly string[] {
  if (value === undefined) return []
  return (typeof value === 'string' ? value : value.join(',')).split(',').map((one) => one.trim().toLowerCase())
}
