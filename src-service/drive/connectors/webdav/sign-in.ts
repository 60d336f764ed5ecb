/** How we show the server who we are. RFC 7617 (Basic), 7616 (Digest), 6750 (Bearer). */
import { createHash, randomBytes } from 'node:crypto'
import { CloudError } from '../../../common/errors.ts'
import type { Headers } from '../http.ts'
import type { Credentials, SignInKind } from './settings.ts'

interface Challenge {
  readonly scheme: string
  readonly values: Readonly<Record<string, string>>
}

interface DigestState {
  readonly values: Readonly<Record<string, string>>
  readonly algorithm: string
  readonly session: string
  uses: number
}

/** Best first. */
const algorithms: Readonly<Record<string, string>> = { 'SHA-256': 'sha256', 'SHA-256-SESS': 'sha256', MD5: 'md5', 'MD5-SESS': 'md5' }

export class SignIn {
  readonly #wanted: SignInKind
  readonly #credentials: () => Credentials
  readonly #nonce: () => string
  /** What the server asked for; null while it has not been asked. */
  #scheme: 'basic' | 'bearer' | 'none' | null
  #digest: DigestState | null = null

  /** @param nonce of the client, for tests against known answers */
  constructor(wanted: SignInKind, credentials: () => Credentials, nonce: () => string = () => randomBytes(16).toString('hex')) {
    this.#nonce = nonce
    this.#wanted = wanted
    this.#credentials = credentials
    this.#scheme = wanted === 'auto' || wanted === 'digest' ? null : wanted
  }

  /** Nothing has to be asked first: a body sent now is not sent in vain. */
  get isReady(): boolean {
    return this.#digest !== null || this.#schemeNow() !== null
  }

  /** The value for one request; undefined: none. @throws CloudError `sign-in` while a secret is missing */
  header(method: string, target: string): string | undefined {
    const credentials = this.#credentials()
    if (this.#digest) return digestHeader(this.#digest, credentials, method, target)
    switch (this.#schemeNow()) {
      case 'basic':
        return `Basic ${Buffer.from(`${credentials.username}:${needed(credentials.password, 'password')}`).toString('base64')}`
      case 'bearer':
        return `Bearer ${needed(credentials.token, 'token')}`
      case 'none':
      case null:
        return undefined
    }
  }

  /** Learns from a 401. True if the same request may now be answered; `sent` is the header it was refused with. */
  learn(headers: Headers, sent: string | undefined): boolean {
    const challenges = challengesOf(headers)
    if (this.#wanted === 'digest' || (this.#wanted === 'auto' && this.#schemeNow() !== 'bearer')) {
      const digest = bestDigest(challenges)
      // The same nonce refused: it is the password.
      if (digest) {
        const isNew = sent === undefined || digest['stale']?.toLowerCase() === 'true' || digest['nonce'] !== this.#digest?.values['nonce']
        const algorithm = (digest['algorithm'] ?? 'MD5').toUpperCase()
        this.#digest = { values: digest, algorithm, session: this.#nonce(), uses: 0 }
        return isNew
      }
    }
    if (this.#wanted !== 'auto' || sent !== undefined) return false
    if (!challenges.some(({ scheme }) => scheme === 'basic')) return false
    this.#scheme = 'basic'
    return true
  }

  #schemeNow(): 'basic' | 'bearer' | 'none' | null {
    if (this.#wanted !== 'auto' || this.#scheme !== null) return this.#scheme
    const { username, token } = this.#credentials()
    if (token) return 'bearer'
    return username === '' ? 'none' : null
  }
}

function needed(secret: string | undefined, name: string): string {
  if (secret) return secret
  throw new CloudError('sign-in', `the ${name} is missing`, { hint: `Give it with --set-secret ${name}=-.` })
}

function bestDigest(challenges: readonly Challenge[]): Readonly<Record<string, string>> | undefined {
  const known = challenges.filter(({ scheme, values }) => scheme === 'digest' && (values['algorithm'] ?? 'MD5').toUpperCase() in algorithms)
  const order = Object.keys(algorithms)
  const rank = ({ values }: Challenge) => order.indexOf((values['algorithm'] ?? 'MD5').toUpperCase())
  return known.sort((a, b) => rank(a) - rank(b))[0]?.values
}

function digestHeader(state: DigestState, credentials: Credentials, method: string, target: string): string {
  const { values, algorithm, session } = state
  const hash = (text: string) =>
    createHash(algorithms[algorithm] ?? 'md5')
      .update(text)
      .digest('hex')
  const { realm = '', nonce = '', opaque, qop } = values
  const count = (++state.uses).toString(16).padStart(8, '0')
  const named = hash(`${credentials.username}:${realm}:${needed(credentials.password, 'password')}`)
  const secret = algorithm.endsWith('-SESS') ? hash(`${named}:${nonce}:${session}`) : named
  const asked = hash(`${method}:${target}`)
  const withAuth = qop !== undefined
  const response = withAuth ? hash(`${secret}:${nonce}:${count}:${session}:auth:${asked}`) : hash(`${secret}:${nonce}:${asked}`)
  const parts = [
    `username="${quoted(credentials.username)}"`,
    `realm="${quoted(realm)}"`,
    `nonce="${quoted(nonce)}"`,
    `uri="${target}"`,
    `response="${response}"`,
    ...(values['algorithm'] === undefined ? [] : [`algorithm=${values['algorithm']}`]),
    ...(opaque === undefined ? [] : [`opaque="${quoted(opaque)}"`]),
    ...(withAuth ? ['qop=auth', `nc=${count}`, `cnonce="${session}"`] : []),
  ]
  return `Digest ${parts.join(', ')}`
}

function quoted(text: string): string {
  return text.replace(/["\\]/g, '\\$&')
}

/** The schemes in all WWW-Authenticate headers, lower-case. */
export function challengesOf(headers: Headers): Challenge[] {
  const value = headers['www-authenticate']
  const text = typeof value === 'string' ? value : (value ?? []).join(', ')
  const challenges: { scheme: string; values: Record<string, string> }[] = []
  for (const [, scheme, name, inQuotes, bare] of text.matchAll(
    /([A-Za-z]+)(?=\s+[A-Za-z]|\s*,|\s*$)|([A-Za-z-]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))/g,
  )) {
    if (scheme !== undefined) challenges.push({ scheme: scheme.toLowerCase(), values: {} })
    const current = challenges.at(-1)
    if (name !== undefined && current) current.values[name.toLowerCase()] = inQuotes?.replace(/\\(.)/g, '$1') ?? bare ?? ''
  }
  return challenges
}
