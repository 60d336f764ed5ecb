/** Signed-in requests to one server; every refusal becomes a CloudError here. Redirects are never followed. */
import { CloudError } from '../../../common/errors.ts'
import { HttpClient } from '../http.ts'
import type { HttpResponse, TlsOptions } from '../http.ts'
import { LastSeen } from '../last-seen.ts'
import { davError } from './dav-errors.ts'
import type { WebdavSettings } from './settings.ts'
import { SignIn } from './sign-in.ts'

export type DavMethod = 'COPY' | 'DELETE' | 'GET' | 'MKCOL' | 'MOVE' | 'PROPFIND' | 'PUT'

export interface DavRequest {
  readonly method: DavMethod
  /** Encoded path. */
  readonly path: string
  /** Lower-case names. */
  readonly headers?: Readonly<Record<string, string>>
  /** Called anew when the request has to be sent again. */
  readonly body?: Buffer | (() => AsyncIterable<Buffer>)
}

const longestError = 64 * 1024
const hints = {
  certificateHint:
    'Nobody that this machine trusts vouches for the certificate of the server. If it is the right server, give the certificate of its authority: --set ca="$(cat ca.pem)".',
  altNameHint: 'The certificate is for another host name: check the url.',
}

export class DavClient {
  readonly settings: WebdavSettings
  readonly #signIn: SignIn
  /** When something on the drive last answered well. */
  readonly #seen = new LastSeen()
  #http: { readonly client: HttpClient; readonly key: string | undefined } | null = null

  readonly #onRequest: () => void

  /** @param onRequest called as each request leaves */
  constructor(settings: WebdavSettings, onRequest: () => void = () => undefined) {
    this.settings = settings
    this.#onRequest = onRequest
    this.#signIn = new SignIn(settings.signIn, settings.credentials)
  }

  /**
   * Resolves with an answer of status 200–299, whose body must be read or cancelled.
   * @throws CloudError of the kind that `davError` finds, or offline, timeout, garbage, cancelled
   */
  async send(request: DavRequest, signal: AbortSignal): Promise<HttpResponse> {
    // Who is asked for a password only after a gigabyte sends it twice.
    if (typeof request.body === 'function' && !this.#signIn.isReady) await this.#getAsked(signal)
    const sent = this.#signIn.header(request.method, request.path)
    const response = await this.#exchange(request, sent, signal)
    if (response.status !== 401 || !this.#signIn.learn(response.headers, sent)) return await this.#accepted(response)
    await response.body.drain()
    return await this.#accepted(await this.#exchange(request, this.#signIn.header(request.method, request.path), signal))
  }

  /** Sends and reads nothing of the answer but its head. @throws CloudError `unavailable` where only a part was done (207) */
  async head(request: DavRequest, signal: AbortSignal): Promise<HttpResponse> {
    const response = await this.send(request, signal)
    await response.body.drain()
    if (response.status === 207) throw new CloudError('unavailable', 'the server did only a part of it', { code: '207' })
    return response
  }

  /** The drive answered within the last minute: what is missing in it is the object. */
  wasSeen(): boolean {
    return this.#seen.isWithin(60_000)
  }

  async close(): Promise<void> {
    await this.#http?.client.close()
  }

  async #getAsked(signal: AbortSignal): Promise<void> {
    const response = await this.send({ method: 'PROPFIND', path: this.settings.base, headers: { depth: '0' } }, signal)
    await response.body.drain()
  }

  async #exchange(
    { method, path, headers, body }: DavRequest,
    authorization: string | undefined,
    signal: AbortSignal,
  ): Promise<HttpResponse> {
    const http = await this.#connected()
    const request = {
      method,
      target: path,
      headers: { ...headers, ...(authorization !== undefined && { authorization }), 'accept-encoding': 'identity' },
      body: typeof body === 'function' ? body() : (body ?? null),
    }
    this.#onRequest()
    return await http.send(request, signal).catch((caught: unknown) => {
      throw this.#located(CloudError.from(caught))
    })
  }

  /** The key of a client certificate may come late, or be renewed. */
  async #connected(): Promise<HttpClient> {
    const tls: TlsOptions = this.settings.tls()
    if (this.#http && this.#http.key === tls.key) return this.#http.client
    const old = this.#http
    this.#http = { client: new HttpClient(new URL(this.settings.origin), { connections: 32, tls, ...hints }), key: tls.key }
    await old?.client.close()
    return this.#http.client
  }

  #located(error: CloudError): CloudError {
    if (error.kind !== 'offline') return error
    const { cause, code, hint } = error
    return new CloudError('offline', `${this.settings.origin}: ${error.message}`, {
      cause,
      ...(code !== undefined && { code }),
      ...(hint !== undefined && { hint }),
    })
  }

  async #accepted(response: HttpResponse): Promise<HttpResponse> {
    if (response.status >= 200 && response.status < 300) {
      this.#seen.note()
      return response
    }
    const body = await response.body.text(longestError).catch(() => '')
    throw davError(response.status, response.headers, body, Date.now())
  }
}
