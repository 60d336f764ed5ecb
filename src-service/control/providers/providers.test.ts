import { mkdir, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import { descriptors } from '../../drive/connectors/manifest.ts'
import { openStore } from '../store/open-store.ts'
import type { Store } from '../store/store.ts'
import { createVault } from '../vault/create-vault.ts'
import { createKeychain } from '../vault/keychain.ts'
import type { SecretStore } from '../vault/secret-store.ts'
import type { Account } from './account.ts'
import { createProviders } from './providers.ts'
import type { Providers } from './providers.ts'

let folder: string
let store: Store
let vault: SecretStore
let probed: Account[]
let probe: () => Promise<[]>
let providers: Providers
const { signal } = new AbortController()

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'providers-'))
  await mkdir(join(folder, 'backups'))
  store = await openStore({ database: join(folder, 'db'), backups: join(folder, 'backups'), lock: join(folder, 'lock'), lockWaitMs: 0 })
  const keychain = createKeychain({ program: [], env: {} })
  const machine = { keyFile: join(folder, 'vault.key'), keychain, credentials: undefined }
  vault = createVault({ table: store.vault, clock: systemClock, log: () => {}, kind: 'user', machine }).secrets
  probed = []
  probe = () => Promise.resolve([])
  const prober = {
    probe: (account: Account) => {
      probed.push(account)
      return probe()
    },
  }
  providers = createProviders({ table: store.providers, secrets: vault, serving: vault, prober, descriptors })
})
afterEach(async () => {
  await store.close()
  await rm(folder, { recursive: true })
})

const draft = {
  name: 'minio',
  type: 's3',
  options: { endpoint: 'http://127.0.0.1:9000', accessKeyId: 'AK', pathStyle: 'true' },
  secrets: { secretAccessKey: new Secret('s3cr3t'), sessionToken: new Secret('') },
}

const create = () => providers.create(draft, null, false, signal)

describe('a new account', () => {
  it('is stored typed, its secrets apart', async () => {
    const { record, secrets } = await create()
    expect(record.options).toEqual({ endpoint: 'http://127.0.0.1:9000', accessKeyId: 'AK', pathStyle: true })
    expect(secrets.map((secret) => secret.name)).toEqual(['secretAccessKey'])
    expect(JSON.stringify(record)).not.toContain('s3cr3t')
    const account = await providers.account(record.id)
    expect(account.secrets['secretAccessKey']?.reveal()).toBe('s3cr3t')
    expect(account.options).toMatchObject({ preset: expect.any(String), partSize: 8 })
  })

  it.each([
    ['an unknown type', { ...draft, type: 's4' }, 'UNKNOWN_TYPE', /s4/],
    ['an unknown option', { ...draft, options: { ...draft.options, endpiont: 'x' } }, 'UNKNOWN_OPTION', /Did you mean endpoint/],
    ['a missing secret', { ...draft, secrets: {} }, undefined, /needs the option secretAccessKey/],
    ['a secret among the options', { ...draft, options: { ...draft.options, secretAccessKey: 'x' } }, undefined, /is a secret/],
    ['an option among the secrets', { ...draft, secrets: { ...draft.secrets, bucket: new Secret('x') } }, undefined, /is not a secret/],
    ['a bad name', { ...draft, name: '-x' }, undefined, /cannot be the name/],
    ['a secret with NUL', { ...draft, secrets: { secretAccessKey: new Secret('a\0b') } }, undefined, /NUL/],
  ])('is refused with %s', async (_, wrong, code, text) => {
    await expect(providers.create(wrong, null, false, signal)).rejects.toMatchObject({
      kind: 'invalid',
      code,
      message: expect.stringMatching(text),
    })
    expect(await vault.list()).toEqual([])
  })

  it('leaves no secret behind when it cannot be saved', async () => {
    await create()
    await expect(create()).rejects.toMatchObject({ code: 'NAME_TAKEN' })
    expect(await vault.list()).toHaveLength(1)
  })

  it('is tried first if asked, and not saved if that fails', async () => {
    probe = () => Promise.reject(new CloudError('sign-in', 'wrong key'))
    await expect(providers.create(draft, null, true, signal)).rejects.toMatchObject({ kind: 'sign-in' })
    expect(probed[0]?.secrets['secretAccessKey']?.reveal()).toBe('s3cr3t')
    expect([await providers.list(), await vault.list()]).toEqual([[], []])
  })
})

describe('a change', () => {
  it('of an option keeps the others and the secrets, and is told', async () => {
    const { record } = await create()
    const told: string[] = []
    const stop = providers.onChange((id) => told.push(id))
    const changed = await providers.update(record.id, 1, { options: { partSize: '16' }, secrets: {} })
    expect(changed.record).toMatchObject({ revision: 2, secretRefs: record.secretRefs, options: { ...record.options, partSize: 16 } })
    stop()
    await providers.update(record.id, null, { options: { partSize: null }, secrets: {} })
    expect(told).toEqual([record.id])
    expect((await providers.get(record.id)).record.options).toEqual(record.options)
  })

  it('of where secrets go needs all of them again', async () => {
    const { record } = await create()
    const options = { endpoint: 'https://elsewhere.example' }
    await expect(providers.update(record.id, null, { options, secrets: {} })).rejects.toMatchObject({
      code: 'SECRETS_NEEDED',
      message: expect.stringMatching(/endpoint.*secretAccessKey/),
    })
    // The same place, written or left to its default, is no change.
    await providers.update(record.id, null, { options: { endpoint: record.options['endpoint'] ?? null }, secrets: {} })
    const moved = await providers.update(record.id, null, { options, secrets: { secretAccessKey: new Secret('new') } })
    expect(moved.record.options['endpoint']).toBe('https://elsewhere.example')
    expect((await providers.account(record.id)).secrets['secretAccessKey']?.reveal()).toBe('new')
  })

  it('of a secret replaces it and forgets the old one', async () => {
    const { record } = await create()
    await providers.update(record.id, null, { options: {}, secrets: { secretAccessKey: new Secret('new'), sessionToken: new Secret('t') } })
    expect(await vault.list()).toHaveLength(2)
    await providers.update(record.id, null, { options: {}, secrets: { sessionToken: new Secret('') } })
    const account = await providers.account(record.id)
    expect(Object.entries(account.secrets).map(([name, value]) => [name, value.reveal()])).toEqual([['secretAccessKey', 'new']])
    await expect(providers.update(record.id, null, { options: {}, secrets: { secretAccessKey: new Secret('') } })).rejects.toMatchObject({
      kind: 'invalid',
    })
  })

  it('that comes too late leaves everything as it was', async () => {
    const { record } = await create()
    await expect(providers.update(record.id, 7, { options: {}, secrets: { secretAccessKey: new Secret('new') } })).rejects.toMatchObject({
      kind: 'conflict',
    })
    expect((await providers.account(record.id)).secrets['secretAccessKey']?.reveal()).toBe('s3cr3t')
    expect(await vault.list()).toHaveLength(1)
  })

  it('of what a file keeps is refused', async () => {
    const kept = { managedBy: 'file', managedFile: '/etc/cloudmoor/a.yaml' } as const
    await store.providers.insert({ id: 'f', name: 'file', type: 'local', options: { path: '/x' }, secretRefs: {}, ...kept }, null)
    const refusal = { kind: 'read-only', code: 'MANAGED_ELSEWHERE', message: expect.stringContaining('/etc/cloudmoor/a.yaml') as string }
    await expect(providers.update('f', null, { options: {}, secrets: {} })).rejects.toMatchObject(refusal)
    await expect(providers.remove('f', null)).rejects.toMatchObject(refusal)
  })
})

it('changes come one after the other', async () => {
  const { record } = await create()
  await Promise.all(
    [1, 2, 3, 4].map((number) =>
      providers.update(record.id, null, { name: `n${number}`, options: {}, secrets: { sessionToken: new Secret(`t${number}`) } }),
    ),
  )
  const { record: last } = await providers.get(record.id)
  expect(last).toMatchObject({ name: 'n4', revision: 5 })
  expect((await providers.account(record.id)).secrets['sessionToken']?.reveal()).toBe('t4')
  expect(await vault.list()).toHaveLength(2)
})

it('is removed with its secrets, but not while a mount uses it', async () => {
  const { record } = await create()
  const mount = {
    path: '/m',
    remoteRoot: '',
    cacheSize: 1,
    cacheDir: '',
    readOnly: false,
    access: 'owner',
    uid: 0,
    gid: 0,
    umask: 0,
    shared: false,
    labels: [],
  } as const
  await store.mounts.insert(
    { ...mount, id: 'm', name: 'drive', providerId: record.id, options: {}, enabled: false, managedBy: 'api', managedFile: '' },
    null,
  )
  await expect(providers.remove(record.id, null)).rejects.toMatchObject({ code: 'PROVIDER_IN_USE' })
  const elsewhere = { options: { bucket: 'another' }, secrets: {} }
  await expect(providers.update(record.id, null, elsewhere)).rejects.toMatchObject({ code: 'PROVIDER_IN_USE' })
  expect(await vault.list()).toHaveLength(1)
  await store.mounts.remove('m', null)
  await providers.remove(record.id, null)
  expect(await vault.list()).toEqual([])
})

it('sweeps secrets that belong to nobody', async () => {
  await create()
  await vault.put('gone', 'password', new Secret('x'))
  await providers.sweep()
  expect((await vault.list()).map((secret) => secret.name)).toEqual(['secretAccessKey'])
})
