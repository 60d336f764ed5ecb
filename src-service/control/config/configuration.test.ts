import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { systemClock } from '../../common/clock.ts'
import { CloudError } from '../../common/errors.ts'
import { Secret } from '../../common/secret.ts'
import { descriptors } from '../../drive/connectors/manifest.ts'
import { version } from '../../common/version.ts'
import { createProviders } from '../providers/providers.ts'
import type { Providers } from '../providers/providers.ts'
import { openStore } from '../store/open-store.ts'
import type { Store } from '../store/store.ts'
import { createVault } from '../vault/create-vault.ts'
import { createKeychain } from '../vault/keychain.ts'
import { createConfiguration } from './configuration.ts'
import type { Configuration, ImportWish } from './configuration.ts'
import { documentSchema } from './document-schema.ts'

interface Home {
  readonly folder: string
  readonly store: Store
  readonly providers: Providers
  readonly configuration: Configuration
  /** Rejects the step that mounts are part of. */
  refusal: CloudError | null
}

const homes: Home[] = []
const { signal } = new AbortController()
const wish: ImportWish = { dryRun: false, prune: false, passphrase: null, manager: 'api' }

async function newHome(): Promise<Home> {
  const folder = await mkdtemp(join(tmpdir(), 'config-'))
  await mkdir(join(folder, 'backups'))
  const store = await openStore({
    database: join(folder, 'db'),
    backups: join(folder, 'backups'),
    lock: join(folder, 'lock'),
    lockWaitMs: 0,
  })
  const keychain = createKeychain({ program: [], env: {} })
  const machine = { keyFile: join(folder, 'vault.key'), keychain, credentials: undefined }
  const vault = createVault({ table: store.vault, clock: systemClock, log: () => {}, kind: 'user', machine }).secrets
  const prober = { probe: () => Promise.resolve([]) }
  const providers = createProviders({ table: store.providers, secrets: vault, serving: vault, prober, descriptors })
  const home: Home = {
    ...{ folder, store, providers, refusal: null },
    configuration: createConfiguration({
      ...{ store, providers, descriptors, secrets: vault },
      mounts: { reconfigure: (_, save) => (home.refusal === null ? save() : Promise.reject(home.refusal)) },
      around: {
        places: { state: join(folder, 'state'), run: join(folder, 'run') },
        hints: { env: { CLOUDMOOR_HOME: folder }, home: folder },
      },
    }),
  }
  homes.push(home)
  return home
}

const read = (at: Home, text: string, how: ImportWish, until: AbortSignal) => at.configuration.read([{ name: '', text }], how, until)

let home: Home
beforeEach(async () => {
  home = await newHome()
})
afterEach(async () => {
  for (const { store, folder } of homes.splice(0)) {
    await store.close()
    await rm(folder, { recursive: true })
  }
})

const base = `version: 1
writtenBy: ${version}
settings:
  stopTimeoutSeconds: '40'
providers:
  - name: disk
    id: abcdefghjkmnpqrs
    type: local
    options:
      path: /srv/cloud
mounts:
  - name: drive
    id: bbcdefghjkmnpqrs
    provider: disk
    remote: a/b
    path: /mnt/drive
    cacheSize: 1073741824
    readOnly: false
    access: all
    uid: 1000
    gid: 1000
    umask: '027'
    shared: false
    options:
      fsync: remote
    enabled: false
`

it('is read by a JSON Schema', () => {
  expect(new Ajv2020({ strict: false }).validateSchema(documentSchema(descriptors))).toBe(true)
})

describe('export and import', () => {
  it('of an empty home gives every byte back', async () => {
    const { changes, warnings } = await read(home, base, wish, signal)
    expect(changes.map(({ action, noun, name }) => `${action} ${noun} ${name}`)).toEqual([
      'update setting stopTimeoutSeconds',
      'create provider disk',
      'create mount drive',
    ])
    expect(warnings).toEqual([])
    const text = await home.configuration.write(null)
    expect(text).toBe(base)
    const other = await newHome()
    await read(other, text, wish, signal)
    expect(await other.configuration.write(null)).toBe(text)
    expect((await read(other, text, { ...wish, dryRun: true, prune: true }, signal)).changes).toEqual([])
  })

  it('tells every field that would change, and changes nothing when asked so', async () => {
    await read(home, base, wish, signal)
    const changed = base.replace('name: drive', 'name: files').replace('/mnt/drive', '/mnt/files').replace("'027'", "'022'")
    const { changes } = await read(home, changed, { ...wish, dryRun: true }, signal)
    expect(changes).toEqual([
      {
        ...{ action: 'update', noun: 'mount', name: 'files' },
        fields: [
          { field: 'name', from: 'drive', to: 'files' },
          { field: 'path', from: '/mnt/drive', to: '/mnt/files' },
          { field: 'umask', from: '27', to: '22' },
        ],
      },
    ])
    expect(await home.configuration.write(null)).toBe(base)
    await read(home, changed, wish, signal)
    expect((await home.store.mounts.list())[0]).toMatchObject({ id: 'bbcdefghjkmnpqrs', name: 'files', revision: 2 })
  })

  it('swaps two names in one step', async () => {
    const two = `version: 1\nproviders:\n  - { name: one, id: abcdefghjkmnpqrs, type: local, options: { path: /one } }\n  - { name: two, id: bbcdefghjkmnpqrs, type: local, options: { path: /two } }\n`
    await read(home, two, wish, signal)
    await read(home, two.replace('one,', 'x,').replace('two,', 'one,').replace('x,', 'two,'), wish, signal)
    expect((await home.store.providers.list()).map(({ name, options }) => [name, options['path']])).toEqual([
      ['one', '/two'],
      ['two', '/one'],
    ])
  })

  it('removes what is not named only when asked', async () => {
    await read(home, base, wish, signal)
    const empty = 'version: 1\n'
    expect((await read(home, empty, wish, signal)).changes).toEqual([])
    const { changes } = await read(home, empty, { ...wish, prune: true }, signal)
    expect(changes.map(({ action, noun }) => `${action} ${noun}`)).toEqual(['remove provider', 'remove mount'])
    expect([await home.store.providers.list(), await home.store.mounts.list()]).toEqual([[], []])
  })

  it('that fails at its last step leaves everything as it was, secrets too', async () => {
    home.refusal = new CloudError('busy', 'the mount is busy')
    const text = `version: 1\nproviders:\n  - { name: c, type: local, options: { path: /c } }\n`
    await expect(read(home, text, wish, signal)).rejects.toBe(home.refusal)
    expect(await home.store.providers.list()).toEqual([])
    expect(await home.store.vault.secrets()).toEqual([])
  })
})

describe('secrets', () => {
  const s3 = { name: 'cloud', type: 's3', options: { endpoint: 'http://127.0.0.1:9000', accessKeyId: 'AK' } }
  const account = async () => {
    const [record] = await home.store.providers.list()
    return (await home.providers.account(record?.id ?? '')).secrets['secretAccessKey']?.reveal()
  }

  it('never stand in the text; left out they stay; sealed they open with the passphrase alone', async () => {
    await home.providers.create({ ...s3, secrets: { secretAccessKey: new Secret('s3cr3t-value') } }, null, false, signal)
    const plain = await home.configuration.write(null)
    expect(plain).not.toContain('s3cr3t')
    await read(home, plain, wish, signal)
    expect(await account()).toBe('s3cr3t-value')

    const passphrase = new Secret('a long enough passphrase')
    const sealed = await home.configuration.write(passphrase)
    expect(sealed).not.toContain('s3cr3t')
    home = await newHome()
    await expect(read(home, sealed, wish, signal)).rejects.toMatchObject({ kind: 'sign-in' })
    await expect(read(home, sealed, { ...wish, passphrase: new Secret('another one, as long') }, signal)).rejects.toMatchObject({
      kind: 'sign-in',
      message: expect.stringMatching(/does not open/) as string,
    })
    expect(await home.store.providers.list()).toEqual([])
    await read(home, sealed, { ...wish, passphrase }, signal)
    expect(await account()).toBe('s3cr3t-value')
    expect(await home.configuration.write(null)).toBe(plain)
  })

  it('that are missing are told, and the account is saved', async () => {
    const { warnings } = await read(
      home,
      `version: 1\nproviders:\n  - { name: cloud, type: s3, options: { endpoint: 'http://127.0.0.1:9000', accessKeyId: AK } }\n`,
      wish,
      signal,
    )
    expect(warnings.join()).toMatch(/config set cloud --set-secret secretAccessKey/)
  })

  it('may be references, which stay references', async () => {
    const file = join(home.folder, 'key')
    await writeFile(file, 'from a file\n')
    const text = (source: string) =>
      `version: 1\nwrittenBy: ${version}\nproviders:\n  - name: cloud\n    id: abcdefghjkmnpqrs\n    type: s3\n    options:\n      accessKeyId: AK\n      endpoint: http://127.0.0.1:9000\n    secrets:\n      secretAccessKey: ${source}\nmounts: []\n`
    await read(home, text(`file:${file}`), wish, signal)
    expect(await account()).toBe('from a file')
    expect(await home.configuration.write(null)).toBe(text(`file:${file}`))
    await read(home, text('${CLOUDMOOR_TEST_ABSENT}'), wish, signal)
    await expect(account()).rejects.toMatchObject({
      kind: 'sign-in',
      message: expect.stringMatching(/CLOUDMOOR_TEST_ABSENT is not set/) as string,
    })
    expect((await read(home, text('${CLOUDMOOR_TEST_ABSENT}'), wish, signal)).changes).toEqual([])
  })

  it('are not sent elsewhere without being given again', async () => {
    await home.providers.create({ ...s3, secrets: { secretAccessKey: new Secret('s3cr3t') } }, null, false, signal)
    const moved = (await home.configuration.write(null)).replace('127.0.0.1:9000', 'elsewhere.example')
    await expect(read(home, moved, wish, signal)).rejects.toMatchObject({ code: 'SECRETS_NEEDED' })
  })
})

describe('a wrong text is refused with its line:', () => {
  it.each([
    ['no YAML', 'version: 1\nproviders: [', /line 2/],
    ['an unknown key', `version: 1\nprovider: []\n`, /no key 'provider'; did you mean 'providers'/],
    ['an unknown key inside', base.replace('umask', 'umsk'), /line 12: mounts\.0 has no key 'umsk'; did you mean 'umask'/],
    ['a newer format', 'version: 2\nnodes: []\n', /has format 2; CloudMoor \d+\.\d+\.\d+ reads format 1/],
    ['no such format', 'version: 0\n', /version must be equal to constant/],
    ['a version that is none', `version: 1\nwrittenBy: newest\n`, /line 2: writtenBy/],
    ['a duplicate key', 'version: 1\nversion: 1\n', /unique/],
    ['a wrong value', base.replace('access: all', 'access: everyone'), /line 19: mounts\.0\.access .*owner, all/],
    ['an alias', 'version: 1\nproviders: &a []\nmounts: *a\n', /aliases/],
    ['an unknown type', base.replace('type: local', 'type: locl'), /no provider type 'locl'/],
    ['an unknown option', base.replace('path: /srv', 'pth: /srv'), /no option pth/],
    ['an unknown mount option', base.replace('fsync: remote', 'fsinc: remote'), /no option 'fsinc'/],
    ['an absent provider', base.replace('provider: disk', 'provider: disc'), /names the provider 'disc', which is not there/],
    [
      'a name twice',
      `version: 1\nproviders:\n  - { name: a, type: local, options: { path: /a } }\n  - { name: a, type: local, options: { path: /b } }\n`,
      /twice/,
    ],
    [
      'a secret in clear',
      'version: 1\nproviders:\n  - { name: a, type: s3, secrets: { secretAccessKey: hunter2 } }\n',
      /secrets\.secretAccessKey/,
    ],
  ])('%s', async (_, text, message) => {
    const failure = await read(home, text, wish, signal).then(
      () => null,
      (caught: unknown) => CloudError.from(caught),
    )
    expect(failure?.message).toMatch(message)
    expect(failure?.message).not.toContain('hunter2')
    expect(await home.store.providers.list()).toEqual([])
  })
})

it.each([
  ['999.0.0', /CloudMoor 999\.0\.0 wrote it, and this is .*, which is older/],
  ['0.0.1', /CloudMoor 0\.0\.1 wrote it, and this is .*, which is newer/],
])('of a text that version %s wrote an import warns, before and when it is done', async (by, warning) => {
  const text = base.replace(`writtenBy: ${version}`, `writtenBy: ${by}`)
  expect((await read(home, text, { ...wish, dryRun: true }, signal)).warnings).toEqual([expect.stringMatching(warning)])
  const { warnings } = await home.configuration.read([{ name: '/etc/a.yaml', text }], wish, signal)
  expect(warnings).toEqual([expect.stringMatching(/^\/etc\/a\.yaml: CloudMoor/)])
  expect((await read(home, await home.configuration.write(null), wish, signal)).warnings).toEqual([])
})

it('what a file keeps cannot be changed by hand, the refusal names the file, and is found again by its file', async () => {
  const ofFiles = { ...wish, manager: 'file' } as const
  const name = '/etc/cloudmoor/drive.yaml'
  await home.configuration.read([{ name, text: base }], ofFiles, signal)
  const refusal = { kind: 'read-only', code: 'MANAGED_ELSEWHERE' }
  await expect(read(home, base.replace('/mnt/drive', '/mnt/x'), wish, signal)).rejects.toMatchObject({
    ...refusal,
    message: `the provider 'disk' is kept in the configuration file ${name}`,
  })
  await expect(read(home, "version: 1\nsettings: { stopTimeoutSeconds: '50' }\n", wish, signal)).rejects.toMatchObject({
    ...refusal,
    message: `the setting 'stopTimeoutSeconds' is kept in the configuration file ${name}`,
  })
  await read(home, 'version: 1\nsettings: {}\n', { ...wish, prune: true }, signal)
  expect(await home.store.mounts.list()).toHaveLength(1)
  await read(home, 'version: 1\n', { ...wish, prune: true, manager: 'file' }, signal)
  expect(await home.store.mounts.list()).toEqual([])
})

it('an entry that goes to another file is the same object there', async () => {
  const ofFiles = { ...wish, manager: 'file' } as const
  await home.configuration.read([{ name: '/etc/a.yaml', text: base }], ofFiles, signal)
  const [head = '', mounts = ''] = base.split('mounts:\n')
  const parts = [
    { name: '/etc/a.yaml', text: head.replace(/settings:\n.*\n/, '') },
    { name: '/etc/b.yaml', text: `version: 1\nsettings:\n  stopTimeoutSeconds: '40'\nmounts:\n${mounts}` },
  ]
  const { changes } = await home.configuration.read(parts, ofFiles, signal)
  expect(changes).toEqual([
    { action: 'update', noun: 'mount', name: 'drive', fields: [{ field: 'managedFile', from: '/etc/a.yaml', to: '/etc/b.yaml' }] },
  ])
  expect(await home.configuration.settingsOfFiles()).toEqual(new Map([['stopTimeoutSeconds', '/etc/b.yaml']]))
  expect([await home.store.providers.list(), await home.store.mounts.list()]).toMatchObject([
    [{ managedFile: '/etc/a.yaml' }],
    [{ managedFile: '/etc/b.yaml', id: 'bbcdefghjkmnpqrs' }],
  ])
  expect((await home.configuration.read(parts, ofFiles, signal)).changes).toEqual([])
})

it.each([
  ['in files that name less', [{ name: 'a', text: 'version: 1\n' }]],
  ['in no files at all', []],
])('what a file kept stays when it is %s, and everybody may change it', async (_, texts) => {
  const ofFiles = { ...wish, manager: 'file' } as const
  await read(home, base, ofFiles, signal)
  await expect(home.providers.update('abcdefghjkmnpqrs', null, { name: 'other', options: {}, secrets: {} })).rejects.toMatchObject({
    code: 'MANAGED_ELSEWHERE',
  })
  const before = await home.configuration.write(null)
  const { changes } = await home.configuration.read(texts, ofFiles, signal)
  expect(changes.map(({ action, noun, name }) => `${action} ${noun} ${name}`)).toEqual([
    'release provider disk',
    'release mount drive',
    'release setting stopTimeoutSeconds',
  ])
  expect(await home.configuration.write(null)).toBe(before)
  expect([await home.store.providers.list(), await home.store.mounts.list()]).toMatchObject([
    [{ managedBy: 'api', managedFile: '' }],
    [{ managedBy: 'api', managedFile: '' }],
  ])
  await read(home, before.replace('/mnt/drive', '/mnt/x').replace("'40'", "'41'"), wish, signal)
  expect((await home.configuration.read(texts, ofFiles, signal)).changes).toEqual([])
  // The files may have them back.
  await read(home, base, ofFiles, signal)
  expect(await home.configuration.write(null)).toBe(before)
  expect((await home.store.mounts.list())[0]).toMatchObject({ id: 'bbcdefghjkmnpqrs', managedBy: 'file' })
})
