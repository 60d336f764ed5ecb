import { expect, test } from 'vitest'
import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import type { MountRecord } from '../store/records.ts'
import { driveFolder, type PlanParts, planMount } from './mount-plan.ts'

const record: MountRecord = {
  ...{
    id: 'm1',
    name: 'work',
    revision: 7,
    managedBy: 'api',
    managedFile: '',
    createdAt: 0,
    updatedAt: 0,
    providerId: 'p1',
    remoteRoot: 'docs',
  },
  ...{ path: '/mnt/work', cacheSize: 1e9, cacheDir: '', readOnly: false, access: 'owner', uid: 1000, gid: 1000, umask: 0o022 },
  ...{ shared: false, labels: [], options: { fsync: 'remote' }, enabled: true },
}

function parts(change: Partial<PlanParts> = {}): PlanParts {
  return {
    places: { kind: 'user', mounts: '/state/mounts', logs: '/state/logs', run: '/run' },
    logLevel: 'info',
    accounts: {
      account: async () => ({ type: 's3', options: { bucket: 'b' }, secrets: { secretAccessKey: new Secret('xyz') } }),
      bareAccount: async () => ({ name: 'work', type: 's3', options: { bucket: 'b' } }),
    },
    ...change,
  }
}

test('a plan holds what worker and kernel are told', async () => {
  const plan = await planMount(record, parts())
  expect(plan).toMatchObject({ secretsMissing: null, revision: 7 })
  expect(plan.kernel).toEqual({ path: '/mnt/work', source: 'cloudmoor:work', allowOther: false, readOnly: false })
  expect(plan.open).toMatchObject({
    folder: '/state/mounts/m1',
    connector: { type: 's3', options: { bucket: 'b' }, remoteRoot: 'docs' },
    secrets: { secretAccessKey: 'xyz' },
    fsync: 'remote',
    umask: 0o022,
  })
})

test('without its secrets a mount comes up all the same', async () => {
  const accounts = { ...parts().accounts, account: () => Promise.reject(new CloudError('sign-in', 'locked', { code: 'VAULT_LOCKED' })) }
  const plan = await planMount(record, parts({ accounts }))
  expect(plan.secretsMissing).toMatchObject({ code: 'VAULT_LOCKED' })
  expect(plan.open).toMatchObject({ secrets: {}, connector: { type: 's3', options: { bucket: 'b' } } })
})

test('a system service lets others in where the kernel decides, and keeps an owner’s mount to its owner by modes', async () => {
  const places = { kind: 'system', mounts: '/m', logs: '/l', run: '/r' } as const
  const owner = await planMount(record, parts({ places }))
  expect([owner.kernel.allowOther, owner.open.umask]).toEqual([true, 0o077])
  const all = await planMount({ ...record, access: 'all' }, parts({ places }))
  expect([all.kernel.allowOther, all.open.umask]).toEqual([true, 0o022])
})

test('a cache folder of its own holds a folder by the mount’s id', () => {
  expect(driveFolder({ id: 'm1', cacheDir: '/data/cache' }, { mounts: '/m' })).toBe('/data/cache/m1')
})
