import type { Clock } from '../../../common/clock.ts'
import type { QueueCounts } from '../../../common/drive-state.ts'
import type { Mount, MountEvent, MountManager } from '../../mounts/mount-manager-contract.ts'
import type { Provider, Providers } from '../../providers/providers.ts'
import type { Alerts } from '../../alerts/alerts.ts'
import type { AlertRecord } from '../../store/alert-records.ts'
import { CalmCounts } from './calm-counts.ts'
import { EventBus } from './event-bus.ts'

export type ServiceEvent =
  | { readonly kind: 'mount'; readonly mount: Mount }
  | { readonly kind: 'mount-removed'; readonly mountId: string }
  | { readonly kind: 'orphans'; readonly queues: readonly (QueueCounts | null)[] }
  | { readonly kind: 'provider'; readonly provider: Provider }
  | { readonly kind: 'provider-removed'; readonly providerId: string }
  | { readonly kind: 'alert'; readonly alert: AlertRecord }

export interface EventParts {
  readonly mounts: Pick<MountManager, 'watch'>
  readonly providers: Pick<Providers, 'watch'>
  readonly alerts: Pick<Alerts, 'onNews'>
}

/** A bus with what happens in the service, until `end` is called. */
export function serviceEvents(
  { mounts, providers, alerts }: EventParts,
  clock: Clock,
): {
  readonly bus: EventBus<ServiceEvent>
  readonly end: () => void
} {
  const bus = new EventBus<ServiceEvent>()
  const calm = new CalmCounts(clock, (mount) => bus.publish({ kind: 'mount', mount }))
  const tell = (change: MountEvent): void => {
    switch (change.kind) {
      case 'changed':
        calm.changed(change.mount)
        return
      case 'removed':
        calm.removed(change.mountId)
        bus.publish({ kind: 'mount-removed', mountId: change.mountId })
        return
      case 'orphans':
        bus.publish(change)
    }
  }
  const ends = [
    mounts.watch(tell),
    providers.watch((providerId, provider) =>
      bus.publish(provider === null ? { kind: 'provider-removed', providerId } : { kind: 'provider', provider }),
    ),
    alerts.onNews(({ alert }) => bus.publish({ kind: 'alert', alert })),
  ]
  return { bus, end: () => ends.forEach((end) => end()) }
}
