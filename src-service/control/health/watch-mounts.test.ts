import { beforeEach, expect, it } from 'vitest'
import { ManualClock, turns } from '../../../tests/support/manual-clock.ts'
import type { MountHealth } from './mount-health.ts'
import { probeMounts } from './probe-mounts.ts'
import { watchAudit } from './watch-audit.ts'
import { watchDisks } from './watch-disks.ts'
import { watchMounts } from './watch-mounts.ts'

let clock: ManualClock
let told: string[]
let open: Set<string>

const alerts = {
  raise: ({ mountId, reason }: { readonly mountId: string; readonly reason: string }) => {
    told.push(`+${mountId} ${reason}`)
    open.add(`${mountId} ${reason}`)
  },
  over: (mountId: string, reason: string) => {
    if (open.delete(`${mountId} ${reason}`)) told.push(`-${mountId} ${reason}`)
  },
  mountGone: (mountId: string) => {
    for (const key of [...open]) if (key.startsWith(`${mountId} `)) alerts.over(mountId, key.slice(mountId.length + 1))
  },
}

const idle = { files: 0, bytes: 0, parked: 0, uploading: 0 }

function mountOf(id: string, status: Partial<MountHealth['status']> = {}, record: Partial<MountHealth['record']> = {}): MountHealth {
  return {
    record: { id, name: id, cacheDir: '', enabled: true, ...record },
    status: { state: 'mounted', reason: '', conditions: [], queue: idle, ...status },
  }
}

type Change = Parameters<Parameters<Parameters<typeof watchMounts>[0]['mounts']['watch']>[0]>[0]

function watch(isLocked = () => true) {
  let listener: (change: Change) => void = () => {}
  const mounts = {
    watch: (given: typeof listener) => {
      listener = given
      return () => {}
    },
  }
  const end = watchMounts({ mounts, alerts, clock, isVaultLocked: () => Promise.resolve(isLocked()) })
  return {
    end,
    see: (mount: MountHealth) => listener({ kind: 'changed', mount }),
    gone: (mountId: string) => listener({ kind: 'removed', mountId }),
  }
}

beforeEach(() => {
  clock = new ManualClock()
  told = []
  open = new Set()
})

const offline = { conditions: [{ kind: 'offline', reason: 'reset' }] }

it('a cut that lasts is told once, a short one not', async () => {
  const { see } = watch()
  see(mountOf('a', offline))
  await clock.advance(5_000)
  see(mountOf('a'))
  await clock.advance(20_000)
  expect(told).toEqual([])
  see(mountOf('a', offline))
  await clock.advance(5_000)
  see(mountOf('a', { ...offline, queue: { ...idle, files: 1 } }))
  await clock.advance(6_000)
  expect(told).toEqual(['+a disconnected'])
  see(mountOf('a', { ...offline, state: 'reconciling', queue: null }))
  see(mountOf('a', { state: 'mounted', queue: null }))
  expect(told).toEqual(['+a disconnected'])
  see(mountOf('a'))
  expect(told).toEqual(['+a disconnected', '-a disconnected'])
})

it('a refused login, a full cache and files that were given up are told at once', () => {
  const { see, gone } = watch()
  see(
    mountOf('a', {
      conditions: [{ kind: 'needs-sign-in', reason: 'expired' }, { kind: 'cache-full' }],
      queue: { ...idle, files: 2, parked: 1 },
    }),
  )
  expect(told).toEqual(['+a sign-in-needed', '+a cache-full', '+a upload-parked'])
  gone('a')
  expect(open.size).toBe(0)
})

it('what the supervisor told ends when the mount is up again', () => {
  const { see } = watch()
  for (const reason of ['mount-failed', 'unmounted-outside', 'conflict']) alerts.raise({ mountId: 'a', reason })
  see(mountOf('a', { state: 'failed', queue: null }))
  see(mountOf('a', { state: 'unmounted' }))
  expect(open.size).toBe(3)
  see(mountOf('a'))
  expect([...open]).toEqual(['a conflict'])
})

it('a queue in which nothing moves for half an hour is told; one that moves, or may not, is not', async () => {
  const { see } = watch()
  const stuck = { queue: { ...idle, files: 3, bytes: 30 } }
  see(mountOf('a', stuck))
  await clock.advance(20 * 60_000)
  see(mountOf('a', { queue: { ...idle, files: 2, bytes: 20 } }))
  await clock.advance(20 * 60_000)
  expect(told).toEqual([])
  await clock.advance(11 * 60_000)
  expect(told).toEqual(['+a queue-blocked'])
  see(mountOf('a', { queue: { ...idle, files: 2, bytes: 20, uploading: 1 } }))
  see(mountOf('a', { ...stuck, conditions: [{ kind: 'paused' }] }))
  await clock.advance(60 * 60_000)
  expect(told).toEqual(['+a queue-blocked', '-a queue-blocked'])
})

it('a locked vault is one alert, however many mounts wait; it ends when none does', async () => {
  let locked = true
  const { see } = watch(() => locked)
  const waits = { conditions: [{ kind: 'waiting-for-vault' }] }
  for (const id of ['a', 'b', 'c']) see(mountOf(id, waits))
  await turns(5)
  for (const id of ['a', 'b', 'c']) see(mountOf(id, waits))
  expect(told).toEqual(['+ vault-locked'])
  for (const id of ['a', 'b']) see(mountOf(id))
  expect(told).toEqual(['+ vault-locked'])
  see(mountOf('c'))
  expect(told).toEqual(['+ vault-locked', '- vault-locked'])
  locked = false
  see(mountOf('a', waits))
  await turns(5)
  expect(told.at(-1)).toBe('+a secrets-missing')
  see(mountOf('a'))
  expect(told.at(-1)).toBe('-a secrets-missing')
})

it('probes every mount that is up, but not one without its secrets, nor one that is to be left alone', async () => {
  const mounts = [
    mountOf('a'),
    mountOf('cut', offline),
    mountOf('down', { state: 'unmounted' }),
    mountOf('sealed', { conditions: [{ kind: 'waiting-for-vault' }] }),
    mountOf('slowed', { conditions: [{ kind: 'throttled' }] }),
  ]
  const probed: string[] = []
  const check = (id: string) => {
    probed.push(id)
    return Promise.reject(new Error('whatever'))
  }
  let every = 60_000
  const end = probeMounts({
    mounts: { list: () => Promise.resolve(mounts), check },
    clock,
    everyMs: () => Promise.resolve(every),
    random: () => 0.5,
  })
  await clock.advance(76_000)
  expect(probed).toEqual(['a', 'cut'])
  every = 0
  await clock.advance(600_000)
  const soFar = probed.length
  expect(soFar).toBeLessThanOrEqual(4)
  every = 10_000
  await clock.advance(120_000)
  expect(probed.length).toBeGreaterThan(soFar + 8)
  end()
  await clock.advance(120_000)
})

it('a disk that is nearly full is told once, until there is room again', async () => {
  const free: Record<string, number> = { '/state': 2 ** 40, '/cache': 2 ** 40 }
  const mounts = { list: () => Promise.resolve([mountOf('a', {}, { cacheDir: '/cache' })]) }
  const end = watchDisks({ mounts, alerts, clock, state: '/state', freeOf: (folder) => Promise.resolve(free[folder] ?? 0) })
  await clock.advance(1)
  free['/cache'] = 5e8
  await clock.advance(180_000)
  expect(told).toEqual(['+a disk-nearly-full'])
  free['/cache'] = 1.1 * 2 ** 30
  free['/state'] = 0
  await clock.advance(60_000)
  free['/cache'] = 2 ** 40
  await clock.advance(60_000)
  expect(told).toEqual(['+a disk-nearly-full', '+ disk-nearly-full', '-a disk-nearly-full'])
  end()
})

it('an audit log that was changed is told, now and every day', async () => {
  let brokenAt = 0
  const end = watchAudit({ audit: { verify: () => Promise.resolve({ brokenAt }) }, alerts, clock })
  await clock.advance(1)
  expect(told).toEqual([])
  brokenAt = 7
  await clock.advance(24 * 3_600_000)
  expect(told).toEqual(['+ audit-changed'])
  end()
})
