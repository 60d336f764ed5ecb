import type { Clock } from '../../common/clock.ts'
import type { MountHealth, Trouble } from './mount-health.ts'
import { isKnown, standingReasons, stillStands, troublesOf } from './mount-health.ts'

/** What health needs of alerts. */
export interface AlertBook {
  raise(alert: {
    readonly severity: 'warning' | 'error'
    readonly mountId: string
    readonly reason: string
    readonly message: string
  }): void
  over(mountId: string, reason: string): void
  mountGone(mountId: string): void
}

type MountChange =
  | { readonly kind: 'changed'; readonly mount: MountHealth }
  | { readonly kind: 'removed'; readonly mountId: string }
  | { readonly kind: 'orphans' }

export interface MountWatchParts {
  readonly mounts: { watch(listener: (change: MountChange) => void): () => void }
  readonly alerts: AlertBook
  readonly clock: Clock
  readonly isVaultLocked: () => Promise<boolean>
}

interface Seen {
  readonly mark: string
  readonly cancel: () => void
}

/** Raises alerts for what is wrong with mounts, once it has lasted, and ends them when it is over. The result ends the watch. */
export function watchMounts(parts: MountWatchParts): () => void {
  const watch = new MountWatch(parts)
  const end = parts.mounts.watch((change) => {
    if (change.kind === 'changed') watch.look(change.mount)
    else if (change.kind === 'removed') watch.gone(change.mountId)
  })
  return () => {
    end()
    watch.end()
  }
}

class MountWatch {
  readonly #parts: MountWatchParts
  readonly #seen = new Map<string, Map<string, Seen>>()
  /** Mounts without their secrets. */
  readonly #waiting = new Set<string>()
  #vaultAsked = false

  constructor(parts: MountWatchParts) {
    this.#parts = parts
  }

  look(mount: MountHealth): void {
    this.#lookForSecrets(mount)
    if (!isKnown(mount)) return
    const { id } = mount.record
    const troubles = troublesOf(mount)
    const seen = this.#seen.get(id) ?? new Map<string, Seen>()
    this.#seen.set(id, seen)
    for (const trouble of troubles) this.#note(id, seen, trouble)
    for (const reason of standingReasons) {
      if (troubles.some((trouble) => trouble.reason === reason) || stillStands(reason, mount)) continue
      if (reason === 'secrets-missing' && this.#waiting.has(id)) continue
      seen.get(reason)?.cancel()
      seen.delete(reason)
      this.#parts.alerts.over(id, reason)
    }
  }

  gone(id: string): void {
    this.#forget(id)
    this.#waiting.delete(id)
    this.#parts.alerts.mountGone(id)
    this.#lookAtVault()
  }

  end(): void {
    for (const id of [...this.#seen.keys()]) this.#forget(id)
  }

  #forget(id: string): void {
    for (const { cancel } of this.#seen.get(id)?.values() ?? []) cancel()
    this.#seen.delete(id)
  }

  #note(mountId: string, seen: Map<string, Seen>, { reason, severity, message, lasts, mark = '' }: Trouble): void {
    const before = seen.get(reason)
    if (before?.mark === mark) return
    before?.cancel()
    const raise = () => this.#parts.alerts.raise({ severity, mountId, reason, message })
    seen.set(reason, { mark, cancel: lasts === 0 ? () => {} : this.#parts.clock.after(lasts, raise) })
    if (lasts === 0) raise()
  }

  #lookForSecrets({ record, status }: MountHealth): void {
    const waits = status.conditions.some(({ kind }) => kind === 'waiting-for-vault')
    if (waits === this.#waiting.has(record.id)) return
    if (waits) this.#waiting.add(record.id)
    else this.#waiting.delete(record.id)
    if (waits) this.#tellMissing(record)
    else this.#lookAtVault()
  }

  /** That the vault is locked is one alert, however many mounts wait for it. */
  #tellMissing({ id, name }: MountHealth['record']): void {
    if (this.#vaultAsked) return
    this.#parts.isVaultLocked().then(
      (locked) => {
        if (!this.#waiting.has(id)) return
        if (!locked) {
          const message = `the secrets of '${name}' cannot be had: it serves from its cache`
          this.#parts.alerts.raise({ severity: 'error', mountId: id, reason: 'secrets-missing', message })
        } else if (!this.#vaultAsked) {
          this.#vaultAsked = true
          const message = 'the vault is locked: mounts serve from their cache until it is unlocked (cloudmoor config vault unlock)'
          this.#parts.alerts.raise({ severity: 'warning', mountId: '', reason: 'vault-locked', message })
        }
      },
      () => {},
    )
  }

  #lookAtVault(): void {
    if (this.#waiting.size > 0) return
    this.#vaultAsked = false
    this.#parts.alerts.over('', 'vault-locked')
  }
}
