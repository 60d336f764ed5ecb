/** Where a request's credentials come from, and when they are renewed. */
import { CloudError } from '../../../common/errors.ts'
import type { Credentials } from './sign-v4.ts'

/** Null: requests are not signed. */
export type CurrentCredentials = Credentials | null

export interface CredentialSource {
  /** Asked for each request. @throws CloudError `sign-in` while there are none, `offline` and the like while their source is away */
  current(): CurrentCredentials | Promise<CurrentCredentials>
  /** The server says that these have expired. False: there are no others to be had now. */
  expired(): boolean
}

/** Credentials that end at some time. */
export interface LoadedCredentials extends Credentials {
  /** Milliseconds since 1970; undefined = never. */
  readonly expiration: number | undefined
}

/** Credentials as they are, or none at all. */
export function fixedCredentials(current: () => CurrentCredentials): CredentialSource {
  return { current, expired: () => false }
}

/** Milliseconds before their end from which on credentials are renewed behind, and below which a request waits for it. */
const renewBefore = 300_000
const waitBefore = 30_000
const renewalMs = 30_000
/** Pause after a renewal that failed, or that a server asked for. */
const pauseMs = 10_000

/** Loaded when they are first needed, renewed before they end; all who wait at one time wait for the same renewal. */
export class RenewedCredentials implements CredentialSource {
  readonly #load: () => Promise<LoadedCredentials>
  readonly #now: () => number
  #held: LoadedCredentials | null = null
  #renewal: Promise<LoadedCredentials> | null = null
  #lastTry = 0

  /** @param now milliseconds since 1970 */
  constructor(load: () => Promise<LoadedCredentials>, now: () => number = Date.now) {
    this.#load = load
    this.#now = now
  }

  current(): CurrentCredentials | Promise<CurrentCredentials> {
    const left = this.#held === null ? 0 : (this.#held.expiration ?? Infinity) - this.#now()
    if (this.#held === null || left <= waitBefore) return this.#renew()
    // They still hold: whoever asks now does not wait, and a failure is nobody's yet.
    if (left <= renewBefore && this.#now() - this.#lastTry > pauseMs) this.#renew().catch(() => undefined)
    return this.#held
  }

  expired(): boolean {
    if (this.#renewal === null && this.#now() - this.#lastTry < pauseMs) return false
    this.#held = null
    return true
  }

  #renew(): Promise<LoadedCredentials> {
    this.#renewal ??= this.#loadOnce().finally(() => {
      this.#renewal = null
    })
    return this.#renewal
  }

  async #loadOnce(): Promise<LoadedCredentials> {
    this.#lastTry = this.#now()
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_resolve, reject) => {
      timer = setTimeout(() => reject(new CloudError('timeout', `no credentials within ${renewalMs / 1000} s`)), renewalMs)
    })
    try {
      this.#held = await Promise.race([this.#load(), late])
      return this.#held
    } finally {
      clearTimeout(timer)
    }
  }
}
