import type { TLSSocket } from 'node:tls'
import { CloudError } from '../../common/errors.ts'
import { loginNeeded } from '../users/access-errors.ts'
import type { AccessReason } from '../users/access-errors.ts'
import type { Access } from '../users/access.ts'
import type { Arrival, Visitor } from './call.ts'
import { readCookie } from './cookies.ts'
import { isTrusted } from './proxies.ts'
import type { Request } from './connections.ts'

/** What a request over the network must be before anything looks at what it wants. */
export interface WebDoorOptions {
  readonly access: Pick<Access, 'tokens' | 'sessions'>
  readonly instance: string
  /** `host:port` as a Host header may say; lower case. */
  readonly hosts: ReadonlySet<string>
  /** `https://files.example.com/moor`; '' = none. */
  readonly publicUrl: string
  /** Addresses whose `X-Forwarded-For` and `X-Forwarded-Proto` are believed. */
  readonly trustedProxies: readonly string[]
}

/** Header that no form and no foreign page can send without being asked first. */
const clientHeader = 'cloudmoor-client'

/**
 * Who comes with a request over the network. A Host that is not ours means that a foreign name points here (DNS rebinding), a foreign
 * Origin that another site's page asks: both are refused whatever they bring. A bearer token counts everywhere; a cookie for the web
 * UI's own calls and for contents of files alone, and only where no other site can have sent it. Throws `permission` (LOGIN_NEEDED)
 * for a bearer token that is not valid, `permission` (FOREIGN_HOST, FOREIGN_ORIGIN) for the first two.
 */
export async function admitVisitor(request: Request, options: WebDoorOptions): Promise<Visitor> {
  const { secure, address } = wayOf(request, options.trustedProxies)
  const host = hostOf(request)
  if (!options.hosts.has(host)) throw foreign('FOREIGN_HOST', 'this service does not answer to that name')
  if (isForeign(request, host, secure, options)) throw foreign('FOREIGN_ORIGIN', 'another site may not call this service')
  const arrival: Arrival = { via: 'network', address, secure, cookie: '' }
  const bearer = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
  if (bearer !== undefined) return { arrival, principal: await options.access.tokens.authenticate(bearer, address) }
  if (request.headers.authorization !== undefined) throw loginNeeded('only bearer tokens are taken: Authorization: Bearer cmt_…')
  const cookie = readCookie(request.headers.cookie, options.instance, secure)
  if (cookie === '' || !takesCookie(request)) return { arrival, principal: null }
  // A browser brings a session that is over until it has another: it is nobody, and may log in.
  const principal = await options.access.sessions.authenticate(cookie, address).catch((caught: unknown) => {
    if (CloudError.from(caught).code === 'LOGIN_NEEDED') return null
    throw caught
  })
  return { arrival: { ...arrival, cookie }, principal }
}

/** Connect calls of the web UI, with its header; contents of files also without, for links and pictures: they change nothing. */
function takesCookie(request: Request): boolean {
  const path = (request.url ?? '').split('?', 1)[0] ?? ''
  const ours = request.headers[clientHeader] !== undefined
  if (/^\/cloudmoor\.v1\.[A-Za-z]+\/[A-Za-z]+$/.test(path)) return ours
  if (!/^\/api\/v1\/mounts\/[^/]+\/content(\/|$)/.test(path)) return false
  const reads = request.method === 'GET' || request.method === 'HEAD'
  return ours || (reads && (request.headers['sec-fetch-site'] ?? 'same-origin') === 'same-origin')
}

function isForeign(request: Request, host: string, secure: boolean, { publicUrl }: WebDoorOptions): boolean {
  const site = request.headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  const { origin } = request.headers
  if (origin === undefined) return false
  return origin !== `${secure ? 'https' : 'http'}://${host}` && (publicUrl === '' || origin !== new URL(publicUrl).origin)
}

function foreign(code: AccessReason, message: string): CloudError {
  return new CloudError('permission', message, { code })
}

function hostOf(request: Request): string {
  const host = request.headers[':authority'] ?? request.headers.host
  return (typeof host === 'string' ? host : '').toLowerCase()
}

/** How it came: what a proxy says counts only from one that is trusted. */
function wayOf(request: Request, trusted: readonly string[]): { readonly address: string; readonly secure: boolean } {
  const socket = request.socket as Partial<TLSSocket>
  const peer = plain(socket.remoteAddress ?? '')
  const encrypted = socket.encrypted === true
  if (!isTrusted(peer, trusted)) return { address: peer, secure: encrypted }
  const chain = String(request.headers['x-forwarded-for'] ?? '')
    .split(',')
    .map((entry) => plain(entry.trim()))
    .filter((entry) => entry !== '')
  // From the right: what stands further left was written by whoever is not trusted.
  const client = chain.reverse().find((entry) => !isTrusted(entry, trusted)) ?? peer
  return { address: client.slice(0, 64), secure: encrypted || request.headers['x-forwarded-proto'] === 'https' }
}

/** An IPv4 address that came over an IPv6 socket is that IPv4 address. */
function plain(address: string): string {
  return address.replace(/^::ffff:(?=\d+\.)/, '')
}
