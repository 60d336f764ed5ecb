/** What health looks at of a mount; a mount of the manager has all of it. */
export interface MountHealth {
  readonly record: { readonly id: string; readonly name: string; readonly cacheDir: string; readonly enabled: boolean }
  readonly status: {
    readonly state: 'initializing' | 'mounted' | 'reconciling' | 'unmounted' | 'failed'
    readonly reason: string
    readonly conditions: readonly { readonly kind: string; readonly reason?: string }[]
    readonly queue: { readonly files: number; readonly bytes: number; readonly parked: number; readonly uploading: number } | null
  }
}

/** What is wrong with a mount as long as it is. */
export interface Trouble {
  readonly reason: StandingReason
  readonly severity: 'warning' | 'error'
  readonly message: string
  /** Milliseconds that it must last before it is worth an alert. */
  readonly lasts: number
  /** The time begins anew when this changes. */
  readonly mark?: string
}

/** Reasons that end by themselves when what they say is over. */
export const standingReasons = [
  'disconnected',
  'sign-in-needed',
  'secrets-missing',
  'cache-full',
  'upload-parked',
  'queue-blocked',
  'mount-failed',
  'worker-crash-loop',
  'unmounted-outside',
] as const

export type StandingReason = (typeof standingReasons)[number]

/** A short cut is nobody's business. */
export const cutMs = 10_000
/** Longer than any backoff of the queue. */
export const blockedMs = 30 * 60_000

/** False on the way up, and while nobody has told yet how it is: then everything stays as it was known. */
export function isKnown({ record, status }: MountHealth): boolean {
  if (status.state === 'mounted') return status.queue !== null
  return status.state === 'failed' || (status.state === 'unmounted' && !record.enabled)
}

/** What is wrong now, as far as the mount's state tells. */
export function troublesOf({ record, status }: MountHealth): readonly Trouble[] {
  const { conditions, queue } = status
  const named = `'${record.name}'`
  const found: Trouble[] = []
  for (const { kind, reason = '' } of conditions) {
    if (kind === 'offline')
      found.push({
        reason: 'disconnected',
        severity: 'warning',
        message: `the provider of ${named} cannot be reached: ${reason}`,
        lasts: cutMs,
      })
    if (kind === 'needs-sign-in')
      found.push({
        reason: 'sign-in-needed',
        severity: 'error',
        message: `the provider of ${named} refuses the login: ${reason}`,
        lasts: 0,
      })
    if (kind === 'cache-full')
      found.push({ reason: 'cache-full', severity: 'warning', message: `the cache of ${named} is full of files to upload`, lasts: 0 })
  }
  if (queue !== null && queue.parked > 0)
    found.push({ reason: 'upload-parked', severity: 'error', message: `${queue.parked} files of ${named} were given up for now`, lasts: 0 })
  const moves = queue === null || queue.uploading > 0 || queue.files <= queue.parked
  if (!moves && conditions.length === 0 && status.state === 'mounted')
    found.push({
      reason: 'queue-blocked',
      severity: 'warning',
      message: `nothing of ${named} was uploaded for 30 minutes`,
      lasts: blockedMs,
      mark: `${queue.files} ${queue.bytes}`,
    })
  return found
}

/** True if what the supervisor or the queue told may still be so. */
export function stillStands(reason: StandingReason, { status }: MountHealth): boolean {
  switch (reason) {
    case 'mount-failed':
    case 'worker-crash-loop':
      return status.state === 'failed' || status.state === 'initializing'
    case 'unmounted-outside':
      return status.state !== 'mounted'
    case 'upload-parked':
      // While it is not known, it is as it was.
      return status.queue === null
    case 'disconnected':
    case 'sign-in-needed':
    case 'secrets-missing':
    case 'cache-full':
    case 'queue-blocked':
      return false
  }
}
