import { describe, expect, test } from 'vitest'
import { descriptors } from '../../drive/connectors/manifest.ts'
import type { MountRecord } from '../store/records.ts'
import type { MountSpec } from './mount-manager-contract.ts'
import { type KnownAccount, type MountSurroundings, mountChange, newMountRecord } from './mount-spec.ts'

function account(type: string, options: Record<string, string>): KnownAccount {
  const descriptor = descriptors.find((known) => known.type === type)
  if (descriptor === undefined) throw new Error(`no ${type}`)
  return { descriptor, options }
}

const bucket = account('s3', { bucket: 'b', endpoint: 'http://x' })
const spec: MountSpec = {
  name: 'work',
  providerId: 'p1',
  remoteRoot: '/docs/',
  path: '/home/me/drive/',
  cacheSize: null,
  cacheDir: '',
  readOnly: false,
  access: 'owner',
  uid: null,
  gid: null,
  umask: null,
  shared: false,
  labels: [],
  options: {},
}

function around(others: MountSurroundings['others'] = [], own: KnownAccount = bucket): MountSurroundings {
  return {
    places: { state: '/home/me/.local/state/cloudmoor', run: '/run/user/1000/cloudmoor' },
    hints: { env: {}, home: '/home/me' },
    account: own,
    others,
  }
}

function stored(change: Partial<MountRecord>): MountRecord {
  return { ...newMountRecord(spec, around()), revision: 1, createdAt: 0, updatedAt: 0, ...change }
}

function refusal(code: string): unknown {
  return expect.objectContaining({ code, hint: expect.stringMatching(/./) })
}

describe('a new mount', () => {
  test('gets defaults and plain paths', () => {
    const record = newMountRecord(spec, around())
    expect(record).toMatchObject({ path: '/home/me/drive', remoteRoot: 'docs', umask: 0o022, uid: process.getuid?.(), enabled: false })
    expect(record.cacheSize).toBe(bucket.descriptor.defaults.cacheSize)
    expect(record.id).toMatch(/^[0-9a-z]{16}$/)
  })

  test.each([
    ['PATH_OVERLAP', { path: '/home/me' }, {}],
    ['PATH_OVERLAP', { path: '/home/me/other/below' }, { path: '/home/me/other' }],
    ['PATH_OVERLAP', { path: '/home/me/other' }, { path: '/home/me/other' }],
    ['PATH_OVERLAP', { path: '/home/me/other' }, { path: '/home/me/other/below' }],
    ['PATH_OVERLAP', { cacheDir: '/home/me/other/cache' }, { path: '/home/me/other' }],
    ['PATH_OVERLAP', { cacheDir: '/home/me' }, { path: '/home/me/other' }],
    ['PATH_OVERLAP', { path: '/data/cache/x' }, { cacheDir: '/data/cache' }],
    ['REMOTE_OVERLAP', {}, { path: '/mnt/2', remoteRoot: 'docs/2025' }],
    ['REMOTE_OVERLAP', { readOnly: true }, { path: '/mnt/2', remoteRoot: '' }],
    ['UNKNOWN_OPTION', { options: { fsinc: 'remote' } }, { path: '/mnt/2', remoteRoot: 'x' }],
  ] as const)('is refused with %s: %j beside %j', (code, asked, other) => {
    const others = [{ record: stored({ id: 'other', name: 'other', path: '/mnt/1', remoteRoot: 'elsewhere', ...other }), account: bucket }]
    expect(() => newMountRecord({ ...spec, ...asked }, around(others))).toThrow(refusal(code))
  })

  test('may share a remote folder when it says so, or when neither writes', () => {
    const writable = [{ record: stored({ id: 'other', path: '/mnt/1' }), account: bucket }]
    expect(newMountRecord({ ...spec, shared: true }, around(writable)).shared).toBe(true)
    const readOnly = [{ record: stored({ id: 'other', path: '/mnt/1', readOnly: true }), account: bucket }]
    expect(newMountRecord({ ...spec, readOnly: true }, around(readOnly)).readOnly).toBe(true)
  })

  test('does not take a cloud folder inside a mount, nor mount over it', () => {
    expect(() => newMountRecord(spec, around([], account('local', { path: '/home/me/drive/cloud' })))).toThrow(refusal('PATH_OVERLAP'))
    expect(() => newMountRecord(spec, around([], account('local', { path: '/home/me' })))).toThrow(refusal('PATH_OVERLAP'))
  })

  test.each([
    { name: 'a/b' },
    { path: 'relative' },
    { remoteRoot: 'a/../b' },
    { cacheSize: 1000 },
    { umask: 0o7777 },
    { uid: -1 },
    { cacheDir: '/tmp/cache' },
  ])('%j is invalid', (asked) => {
    expect(() => newMountRecord({ ...spec, ...asked }, around())).toThrow(expect.objectContaining({ kind: 'invalid' }) as Error)
  })
})

test('a change checks the whole again and keeps options that it does not name', () => {
  const record = stored({ options: { fsync: 'remote', xattrs: 'on' } })
  expect(mountChange(record, { name: 'new', umask: null, options: { xattrs: null, freshness: 'strict' } }, around())).toEqual({
    name: 'new',
    umask: 0o022,
    options: { fsync: 'remote', freshness: 'strict' },
  })
  expect(() => mountChange(record, { path: '/home/me' }, around())).toThrow(refusal('PATH_OVERLAP'))
})
