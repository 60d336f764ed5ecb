import { expect, test } from 'vitest'
import type { Clock } from '../../../common/clock.ts'
import type { Mount, MountStatus } from '../../mounts/mount-manager-contract.ts'
import { CalmCounts } from './calm-counts.ts'

function rig() {
  const due: { readonly at: number; readonly work: () => void }[] = []
  let now = 0
  const clock: Clock = {
    now: () => now,
    monotonic: () => now,
    after: (milliseconds, work) => {
      due.push({ at: now + milliseconds, work })
      return () => undefined
    },
  }
  const told: string[] = []
  const calm = new CalmCounts(clock, ({ record, status }) => told.push(`${now} ${record.id} ${status.queue?.files} ${status.state}`))
  const until = (time: number): void => {
    for (const one of due.splice(0).sort((a, b) => a.at - b.at)) {
      if (one.at > time) {
        due.push(one)
        continue
      }
      now = one.at
      one.work()
    }
    now = time
  }
  return { calm, told, until }
}

function mountOf(id: string, files: number, rest: Partial<MountStatus> = {}): Mount {
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
  const record = { ...numbers, ...texts, readOnly: false, shared: false, enabled: true, options: {}, labels: [] }
  const queue = { files, bytes: files, parked: 0, uploading: 0 }
  return {
    record,
    status: { state: 'mounted', since: 0, reason: '', conditions: [], workerPid: 1, queue, cache: null, hidden: 0, ...rest },
  }
}

test('numbers of a mount are told four times a second, the last ones always; each mount for itself', () => {
  const { calm, told, until } = rig()
  for (let at = 0; at < 1000; at += 10) {
    until(at)
    calm.changed(mountOf('a', 1000 - at))
    if (at === 500) calm.changed(mountOf('b', 7))
  }
  until(2000)
  expect(told).toEqual([
    '0 a 1000 mounted',
    '250 a 760 mounted',
    '500 a 510 mounted',
    '500 b 7 mounted',
    '750 a 260 mounted',
    '1000 a 10 mounted',
  ])
})

test('what is more than numbers is told at once, and what waited is not told after it', () => {
  const { calm, told, until } = rig()
  calm.changed(mountOf('a', 5))
  calm.changed(mountOf('a', 4))
  calm.changed(mountOf('a', 4, { state: 'failed', reason: 'x' }))
  calm.changed(mountOf('a', 3, { state: 'failed', reason: 'x', conditions: [{ kind: 'paused' }] }))
  until(1000)
  expect(told).toEqual(['0 a 5 mounted', '0 a 4 failed', '0 a 3 failed'])
})

test('that a file is not at the provider any more is told at once', () => {
  const { calm, told, until } = rig()
  calm.changed(mountOf('a', 0))
  calm.changed(mountOf('a', 1))
  calm.changed(mountOf('a', 0))
  until(1000)
  expect(told).toEqual(['0 a 0 mounted', '0 a 1 mounted', '250 a 0 mounted'])
})

test('a mount that is gone is not told of', () => {
  const { calm, told, until } = rig()
  calm.changed(mountOf('a', 2))
  calm.changed(mountOf('a', 1))
  calm.removed('a')
  until(1000)
  expect(told).toEqual(['0 a 2 mounted'])
})
