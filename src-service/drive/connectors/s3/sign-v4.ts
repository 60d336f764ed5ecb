/** AWS Signature Version 4, the part that object storage needs. Pure: the clock is an argument. */
import { createHash, createHmac } from 'node:crypto'

export interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
}

export interface SignedRequest {
  readonly method: string
  /** Percent-encoded by `encodeKey`: signed and sent as it is. */
  readonly path: string
  /** From `canonicalQuery`. */
  readonly query: string
  /** Lower-case names; `host` and `x-amz-date` among them. All of them are signed. */
  readonly headers: Readonly<Record<string, string>>
  /** Hexadecimal SHA-256 of the body, or `UNSIGNED-PAYLOAD`. */
  readonly payloadHash: string
}

export const unsignedPayload = 'UNSIGNED-PAYLOAD'

/** Percent-encodes every byte but A-Z a-z 0-9 - . _ ~ as AWS wants it; `/` stays in keys. */
export function encodeKey(key: Buffer): string {
  return encodeBytes(key, true)
}

export function encodeComponent(text: string): string {
  return encodeBytes(Buffer.from(text), false)
}

const unreserved = /^[A-Za-z0-9\-._~]*$/
const unreservedOrSlash = /^[A-Za-z0-9\-._~/]*$/

function encodeBytes(bytes: Buffer, keepSlash: boolean): string {
  const text = bytes.toString('latin1')
  const plain = keepSlash ? unreservedOrSlash : unreserved
  if (plain.test(text)) return text
  return Array.from(text, (character) =>
    plain.test(character) ? character : `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`,
  ).join('')
}

/** Encoded and sorted: both what is signed and what is sent. */
export function canonicalQuery(parameters: readonly (readonly [string, string])[]): string {
  return parameters
    .map(([name, value]) => [encodeComponent(name), encodeComponent(value)] as const)
    .sort(([a, x], [b, y]) => compare(a, b) || compare(x, y))
    .map(([name, value]) => `${name}=${value}`)
    .join('&')
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

/** `20150830T123600Z` */
export function amzDate(milliseconds: number): string {
  return `${new Date(milliseconds).toISOString().slice(0, 19).replace(/[-:]/g, '')}Z`
}

/** Signs for one region and service; the key of the day is derived once. */
export class Signer {
  readonly #region: string
  readonly #service: string
  #day = ''
  #secret = ''
  #key: Buffer = Buffer.alloc(0)

  constructor(region: string, service: string) {
    this.#region = region
    this.#service = service
  }

  /** The value of the Authorization header. */
  sign(request: SignedRequest, credentials: Credentials): string {
    const date = request.headers['x-amz-date'] ?? ''
    const day = date.slice(0, 8)
    const scope = `${day}/${this.#region}/${this.#service}/aws4_request`
    const names = Object.keys(request.headers).sort()
    const canonical = [
      request.method,
      request.path,
      request.query,
      ...names.map((name) => `${name}:${(request.headers[name] ?? '').trim().replace(/ +/g, ' ')}`),
      '',
      names.join(';'),
      request.payloadHash,
    ].join('\n')
    const digest = createHash('sha256').update(canonical).digest('hex')
    const signature = createHmac('sha256', this.#dayKey(day, credentials.secretAccessKey))
      .update(`AWS4-HMAC-SHA256\n${date}\n${scope}\n${digest}`)
      .digest('hex')
    const credential = `${credentials.accessKeyId}/${scope}`
    return `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names.join(';')}, Signature=${signature}`
  }

  #dayKey(day: string, secret: string): Buffer {
    if (day !== this.#day || secret !== this.#secret) {
      this.#key = [day, this.#region, this.#service, 'aws4_request'].reduce<Buffer>(
        (key, text) => createHmac('sha256', key).update(text).digest(),
        Buffer.from(`AWS4${secret}`),
      )
      this.#day = day
      this.#secret = secret
    }
    return this.#key
  }
}
