import type { CapabilityCheck } from '../../common/drive-state.ts'
import type { Secret } from '../../common/secret.ts'
import type { Options } from '../store/records.ts'

/** An account ready for use: what a worker needs to reach the provider. */
export interface Account {
  readonly type: string
  /** With the schema's defaults filled in. */
  readonly options: Options
  /** By option name, only those that are stored; and by `env:NAME` what the options make use of in the service's environment. */
  readonly secrets: Readonly<Record<string, Secret>>
}

/** Tries an account in a worker; the service itself never speaks to a cloud. */
export interface AccountProber {
  /** Signs in and measures. @param remoteRoot '' = the account's root. Errors: sign-in, access, not-found, offline, timeout … */
  probe(account: Account, remoteRoot: string, signal: AbortSignal): Promise<readonly CapabilityCheck[]>
}
