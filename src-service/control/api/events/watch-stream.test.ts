import type { QueueCounts, Transfer } from '../../../common/drive-state.ts'
import { describe, expect, it } from 'vitest'
import type { Mount, Orphan } from '../../mounts/mount-manager-contract.ts'
import type { AlertRecord } from '../../store/alert-records.ts'
import type { AuditRecord } from '../../store/access-records.ts'
import { createGrants } from '../../users/grants.ts'
import { allMounts } from '../../users/principal.ts'
import type { GrantScope } from '../../users/principal.ts'
import type { LogLine } from '../log-reader.ts'
import { EventBus } from './event-bus.ts'
import { LiveFeed } from './live-feed.ts'
import type { TransferOf } from './live-sources.ts'
import { progressSource } from './live-sources.ts'
import type { ServiceEvent } from './service-events.ts'
import { WatchStream } from './watch-stream.ts'
import type { WatchWish } from './watch-stream.ts'

const empty: QueueCounts = { files: 0, bytes: 0, parked: 0, uploading: 0 }

function mountOf(id: string, labels: readonly string[] = [], queue: QueueCounts | null = empty): Mount {
  const numbers = { cacheSize: 1, uid: 0, gid: 0, umask: 0, revision: 1, createdAt: 0, updatedAt: 0 }
  const texts = {
    id,
    name: id,
    providerId: 'p',
    remoteRoot: '',
    path: `/${id}`,
    cacheDir: '',
    access: 'owner',
    managedBy: 'api',
    managedFile: '',
  } as const
  const record = { ...numbers, ...texts, readOnly: false, shared: false, enabled: true, options: {}, labels }
  const status = { state: 'mounted', since: 0, reason: '', conditions: [], workerPid: null, queue, cache: null, hidden: 0 } as const
  return { record, status }
}

function alertOf(mountId: string, message: string): AlertRecord {
  const none = { acknowledgedAt: 0, acknowledgedBy: '', resolvedAt: 0, resolvedBy: '' }
  return {
    id: message,
    severity: 'error',
    mountId,
    reason: 'x',
    message,
    lines: [],
    correlationId: '',
    times: 1,
    raisedAt: 1,
    lastAt: 1,
    ...none,
  }
}

function auditOf(mountId: string, action: string): AuditRecord {
  const texts = {
    principal: 'p',
    origin: 'o',
    action,
    class: 'change',
    result: 'ok',
    providerId: '',
    target: '',
    correlationId: '',
    mac: '',
  }
  return { sequence: 1, segment: 1, at: 1, times: 1, mountId, ...texts }
}

function orphanOf(files: number): Orphan {
  const texts = { id: 'o', name: 'o', folder: '/o', path: '/o', remoteRoot: '', reason: '' }
  return { ...texts, provider: null, queue: { ...empty, files }, conflicts: 0 }
}

function setUp(kept = 10_000, orphans: readonly Orphan[] = []) {
  const never = () => Promise.reject(new Error('nobody asks this'))
  const bus = new EventBus<ServiceEvent>(kept)
  const grants = createGrants()
  const mounts = new Map<string, Mount>()
  const open: AlertRecord[] = []
  const listeners: { progress: (items: readonly TransferOf[]) => void; audit: (lines: readonly AuditRecord[]) => void } = {
    progress: () => {},
    audit: () => {},
  }
  const quiet = <Item>() =>
    new LiveFeed<Item>(
      () => ({ next: () => Promise.resolve([]), close: () => Promise.resolve() }),
      () => {},
    )
  const progress = quiet<TransferOf>()
  progress.subscribe = (listener) => {
    listeners.progress = listener
    return () => {}
  }
  const audit = quiet<AuditRecord>()
  audit.subscribe = (listener) => {
    listeners.audit = listener
    return () => {}
  }
  const parts = {
    bus,
    alerts: { list: () => Promise.resolve(open) },
    audit,
    mounts: {
      list: () => Promise.resolve([...mounts.values()]),
      orphans: { list: () => Promise.resolve(orphans), adopt: never, export: never, discard: never },
    },
    providers: { list: () => Promise.resolve([]) },
    progress,
    logs: quiet<LogLine>(),
    heartbeatMs: 60,
  }
  function change(mount: Mount): void {
    mounts.set(mount.record.id, mount)
    grants.changed({ id: mount.record.id, providerId: 'p', labels: mount.record.labels })
    bus.publish({ kind: 'mount', mount })
  }
  function watch(wish: Partial<WatchWish> = {}, scope: GrantScope = allMounts) {
    const abort = new AbortController()
    const stream = new WatchStream(
      parts,
      { cursor: '', progress: false, logs: false, audit: false, mountId: '', ...wish },
      grants.sightOf({ scope }),
    )
    const answers = stream.run(abort.signal)
    const next = async () => {
      const step = await answers.next()
      if (step.done === true) throw new Error('the stream ended')
      const { cursor = '', content } = step.value
      if (content?.case === 'event') return { cursor, what: content.value.what?.case ?? '', value: content.value.what?.value }
      return { cursor, what: content?.case ?? '', value: content?.value }
    }
    return { next, abort, answers }
  }
  return { bus, change, watch, listeners, mounts, open }
}

describe('a stream of events', () => {
  it('begins with how things are and goes on with what changes', async () => {
    const { change, watch, bus } = setUp()
    change(mountOf('a'))
    const { next, abort, answers } = watch()
    expect(await next()).toMatchObject({ what: 'snapshot', value: { reset: false, mounts: [{ id: 'a' }], pending: { safe: true } } })
    change(mountOf('b', [], { ...empty, files: 3, bytes: 30 }))
    expect(await next()).toMatchObject({ what: 'mount', value: { id: 'b' }, cursor: `${bus.epoch}.2` })
    expect(await next()).toMatchObject({ what: 'pending', value: { queue: { files: 3n }, complete: true, safe: false } })
    bus.publish({ kind: 'mount-removed', mountId: 'b' })
    expect(await next()).toMatchObject({ what: 'removedMountId', value: 'b' })
    expect(await next()).toMatchObject({ what: 'pending', value: { safe: true } })
    abort.abort()
    expect((await answers.next()).done).toBe(true)
  })

  it('counts what waits without a mount, for who sees everything', async () => {
    const { change, watch, bus } = setUp(10_000, [orphanOf(2)])
    change(mountOf('a', [], { ...empty, files: 1 }))
    const { next } = watch()
    const narrow = watch({}, { kind: 'mounts', mountIds: ['a'] })
    expect(await next()).toMatchObject({ value: { pending: { queue: { files: 3n }, complete: true, safe: false } } })
    expect(await narrow.next()).toMatchObject({ value: { pending: { queue: { files: 1n } } } })
    bus.publish({ kind: 'orphans', queues: [null] })
    expect(await next()).toMatchObject({ what: 'pending', value: { queue: { files: 1n }, complete: false } })
    expect(await narrow.next()).toMatchObject({ what: 'heartbeat' })
  })

  it('lives audibly', async () => {
    const { watch } = setUp()
    const { next, abort } = watch()
    await next()
    const began = performance.now()
    expect(await next()).toMatchObject({ what: 'heartbeat' })
    expect(performance.now() - began).toBeGreaterThan(50)
    abort.abort()
  })

  it('goes on where the client was, as long as that is known', async () => {
    const { change, watch, bus } = setUp(10)
    for (let count = 0; count < 12; count++) change(mountOf(`m${count}`))
    const { next } = watch({ cursor: `${bus.epoch}.4` })
    expect(await next()).toMatchObject({ what: 'heartbeat', cursor: `${bus.epoch}.4` })
    for (let count = 5; count <= 12; count++) expect(await next()).toMatchObject({ what: 'mount', cursor: `${bus.epoch}.${count}` })
    expect(await watch({ cursor: `${bus.epoch}.1` }).next()).toMatchObject({ what: 'snapshot', value: { reset: true } })
    expect(await watch({ cursor: `${bus.epoch}.13` }).next()).toMatchObject({ what: 'snapshot', value: { reset: true } })
    expect(await watch({ cursor: '0123456789abcdef.4' }).next()).toMatchObject({ what: 'snapshot', value: { reset: true } })
  })

  it('begins anew for who was overtaken, and nothing is kept for the slow', async () => {
    const { change, watch, bus } = setUp(10)
    const { next } = watch()
    await next()
    for (let count = 0; count < 50; count++) change(mountOf('m'))
    expect(await next()).toMatchObject({ what: 'snapshot', value: { reset: true }, cursor: `${bus.epoch}.50` })
  })

  it('begins anew for who does not take live events in time', async () => {
    const { watch, listeners } = setUp()
    const { next } = watch({ progress: true })
    await next()
    const transfer: Transfer = {
      id: 1,
      path: 'a',
      direction: 'upload',
      state: 'running',
      size: 9,
      done: 1,
      tries: 0,
      nextTryAt: 0,
      reason: '',
    }
    listeners.progress([{ mountId: 'a', transfer }])
    expect(await next()).toMatchObject({ what: 'progress', value: { transfers: [{ id: 1n, done: 1n }] } })
    for (let count = 0; count < 1001; count++) listeners.progress([{ mountId: 'a', transfer }])
    expect(await next()).toMatchObject({ what: 'snapshot', value: { reset: true } })
    expect(await next()).toMatchObject({ what: 'heartbeat' })
  })

  it('holds only what its client sees, and tells when something goes out of sight', async () => {
    const { change, watch, bus, open, listeners } = setUp()
    change(mountOf('a', ['team']))
    change(mountOf('b'))
    open.push(alertOf('a', 'open'), alertOf('b', 'hidden'), alertOf('', 'hidden too'))
    const { next } = watch({ audit: true }, { kind: 'label', label: 'team' })
    const { value } = await next()
    expect(value).toMatchObject({ mounts: [{ id: 'a' }], alerts: [{ message: 'open' }] })
    listeners.audit([auditOf('b', 'hidden'), auditOf('', 'hidden too'), auditOf('a', 'seen')])
    expect(await next()).toMatchObject({ what: 'audit', value: { action: 'seen' } })
    change(mountOf('b'))
    bus.publish({ kind: 'alert', alert: alertOf('b', 'not yours') })
    bus.publish({ kind: 'alert', alert: alertOf('', 'nor this') })
    bus.publish({ kind: 'mount-removed', mountId: 'b' })
    bus.publish({ kind: 'provider-removed', providerId: 'q' })
    change(mountOf('a', []))
    expect(await next()).toMatchObject({ what: 'removedMountId', value: 'a' })
    change(mountOf('a', ['team']))
    expect(await next()).toMatchObject({ what: 'mount', value: { id: 'a' } })
    bus.publish({ kind: 'alert', alert: alertOf('a', 'yours') })
    expect(await next()).toMatchObject({ what: 'alert', value: { message: 'yours' } })
  })
})

it('progress is looked at only where something moves, and told only when it did', async () => {
  let done = 1
  const asked: string[] = []
  const moving = mountOf('a', [], { ...empty, files: 1, uploading: 1 })
  const source = progressSource({
    list: () => Promise.resolve([moving, mountOf('b')]),
    transfers: (id) => {
      asked.push(id)
      return Promise.resolve([
        { id: 1, path: 'a', direction: 'upload', state: 'running', size: 9, done, tries: 0, nextTryAt: 0, reason: '' },
      ])
    },
  })
  const { signal } = new AbortController()
  expect(await source.next(signal)).toMatchObject([{ mountId: 'a', transfer: { done: 1 } }])
  expect(await source.next(signal)).toEqual([])
  done = 5
  expect(await source.next(signal)).toMatchObject([{ transfer: { done: 5 } }])
  expect(asked).toEqual(['a', 'a', 'a'])
})
