import { mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { allMounts } from '../../src-service/control/users/principal.ts'
import type { Grant } from '../../src-service/control/users/principal.ts'
import { descriptors } from '../../src-service/drive/connectors/manifest.ts'
import { startTestService } from '../support/test-service.ts'
import type { TestService } from '../support/test-service.ts'

/** Who is no admin does nothing with the service's own rights: every way to try, over REST with a token. */

let service: TestService
let url: string
let folder: string
const tokens: Record<string, string> = {}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'rights-'))
  await mkdir(join(folder, 'mounts'))
  await mkdir(join(folder, 'caches'))
  service = await startTestService({
    web: { listen: [{ address: '127.0.0.1', port: 0 }], certificate: null, publicUrl: '', pathPrefix: '', trustedProxies: [] },
  })
  url = (JSON.parse(await readFile(`${service.places.run}/web.json`, 'utf8')) as { url: string }).url
  await service.store.settings.set('mountRoots', join(folder, 'mounts'))
  await service.store.settings.set('cacheRoots', join(folder, 'caches'))
  const make = async (name: string, grant: Grant) => {
    const { text } = await service.access.tokens.create({ name, grant, expiresAt: 0, createdBy: 'test' })
    tokens[name] = text.reveal()
  }
  await make('admin', { role: 'admin', scope: allMounts })
  await make('operator', { role: 'operator', scope: allMounts })
  await make('narrow', { role: 'operator', scope: { kind: 'label', label: 'team' } })
})
afterAll(async () => {
  await service.stop()
  await rm(folder, { recursive: true })
})

interface Answer {
  readonly status: number
  readonly reason: string
  readonly body: Readonly<Record<string, unknown>>
}

async function ask(who: string, verb: string, path: string, body?: object): Promise<Answer> {
  const headers = { authorization: `Bearer ${tokens[who] ?? ''}`, 'content-type': 'application/json' }
  const response = await fetch(`${url}${path}`, { method: verb, headers, ...(body === undefined ? {} : { body: JSON.stringify(body) }) })
  const answer = (await response.json()) as Answer['body']
  const { details = [] } = (answer['error'] ?? answer) as { readonly details?: readonly { readonly reason?: string }[] }
  return { status: response.status, reason: details.find(({ reason }) => reason !== undefined)?.reason ?? '', body: answer }
}

const s3 = { name: 'cloud', type: 's3', options: { endpoint: 'https://s3.test', accessKeyId: 'AK' } }

describe('an operator', () => {
  it.each([
    ['a local folder', { provider: { name: 'x', type: 'local', options: { path: '/etc' } } }],
    ['keys of the machine', { provider: { name: 'x', type: 's3', options: { credentials: 'chain' } } }],
    ['an account at all', { provider: s3, secrets: { secretAccessKey: 'k' } }],
  ])('makes no account: %s', async (_, body) => {
    expect(await ask('operator', 'POST', '/api/v1/providers', body)).toMatchObject({ status: 403, reason: 'PERMISSION' })
  })

  it('changes no account and no configuration, and puts no secret', async () => {
    const made = await ask('admin', 'POST', '/api/v1/providers', { provider: s3, secrets: { secretAccessKey: 'k' } })
    expect(made.status).toBe(200)
    const id = String(made.body['id'])
    const refused = { status: 403, reason: 'PERMISSION' }
    expect(
      await ask('operator', 'PATCH', `/api/v1/providers/${id}`, { provider: { options: { endpoint: 'https://evil.test' } } }),
    ).toMatchObject(refused)
    expect(await ask('operator', 'DELETE', `/api/v1/providers/${id}`)).toMatchObject(refused)
    const text = 'version: 1\nproviders:\n  - name: y\n    type: s3\n    options: {}\n    secrets: { secretAccessKey: "${HOME}" }\n'
    expect(await ask('operator', 'POST', '/api/v1/config:import', { text })).toMatchObject(refused)
    expect(await ask('operator', 'POST', '/api/v1/config:export', {})).toMatchObject(refused)
    expect(await ask('operator', 'PUT', '/api/v1/vault/secrets/x', { value: 'y' })).toMatchObject(refused)
  })

  it('mounts where mounts and caches are set aside, and only an account’s own folders', async () => {
    const { body } = await ask('admin', 'GET', '/api/v1/providers?name=cloud')
    const [{ id: providerId } = { id: '' }] = body['providers'] as { readonly id: string }[]
    const mount = (fields: object) => ({ name: 'm', providerId, path: join(folder, 'mounts', 'm'), remoteRoot: 'a', ...fields })
    const outside = { status: 403, reason: 'PATH_NOT_ALLOWED' }
    expect(await ask('operator', 'POST', '/api/v1/mounts', mount({ path: '/elsewhere/x' }))).toMatchObject(outside)
    expect(await ask('operator', 'POST', '/api/v1/mounts', mount({ path: join(folder, 'mounts', '..', 'x') }))).toMatchObject(outside)
    expect(await ask('operator', 'POST', '/api/v1/mounts', mount({ cacheDir: '/elsewhere/cache' }))).toMatchObject(outside)
    expect(await ask('narrow', 'POST', '/api/v1/mounts', mount({ labels: ['team'] }))).toMatchObject({ status: 403, reason: 'PERMISSION' })
    expect(await ask('operator', 'POST', '/api/v1/mounts', mount({ cacheDir: join(folder, 'caches', 'm') }))).toMatchObject({ status: 200 })
    const id = (await service.store.mounts.list())[0]?.id ?? ''
    expect(await ask('operator', 'PATCH', `/api/v1/mounts/${id}`, { path: '/elsewhere/x' })).toMatchObject(outside)
  })
})

it('an admin, too, gives stored secrets again to send them elsewhere', async () => {
  const { body } = await ask('admin', 'GET', '/api/v1/providers?name=cloud')
  const [{ id } = { id: '' }] = body['providers'] as { readonly id: string }[]
  const change = { name: 'cloud', options: { endpoint: 'https://evil.test' } }
  await service.store.mounts.list().then((mounts) => Promise.all(mounts.map((mount) => service.store.mounts.remove(mount.id, null))))
  expect((await ask('admin', 'PATCH', `/api/v1/providers/${id}`, { provider: change })).reason).toBe('SECRETS_NEEDED')
  expect(await ask('admin', 'PATCH', `/api/v1/providers/${id}`, { provider: change, secrets: { secretAccessKey: 'k2' } })).toMatchObject({
    status: 200,
  })
})

describe('options of every provider type', () => {
  const options = descriptors.flatMap(({ type, options: { properties } }) =>
    Object.entries(properties).map(([name, schema]) => ({ name: `${type}.${name}`, schema })),
  )

  it('that say where secrets go, or who is believed to be the server, ask for the secrets again', () => {
    const wrong = options.filter(
      ({ name, schema }) =>
        /endpoint|url|host|server|proxy|verify|\.ca$|tls|insecure/i.test(name) && schema.destination !== true && schema.exposes !== true,
    )
    expect(wrong).toEqual([])
    expect(options.filter(({ schema }) => schema.destination === true || schema.exposes === true).length).toBeGreaterThan(5)
  })

  it('that use what is the service’s are marked as an administrator’s', () => {
    const own = options.filter(({ name, schema }) => schema.format === 'path' || /verify|insecure|credentials|profile|file$/i.test(name))
    expect(own.filter(({ schema }) => schema.trusted !== true)).toEqual([])
    expect(own.map(({ name }) => name)).toEqual(expect.arrayContaining(['local.path', 's3.credentials', 'webdav.verifyTls']))
  })

  it('run no command', () => {
    expect(options.filter(({ name }) => /command|exec|program|shell|script|process|binary/i.test(name))).toEqual([])
  })
})

it('alerts are seen, and known to somebody, within the grant alone', async () => {
  const records = {
    remoteRoot: '',
    cacheSize: 1e9,
    cacheDir: '',
    readOnly: false,
    access: 'owner',
    uid: 1,
    gid: 1,
    umask: 18,
    shared: false,
  } as const
  const [provider] = await service.store.providers.list()
  const mount = (id: string, labels: readonly string[]) =>
    service.store.mounts.insert(
      {
        ...records,
        id,
        name: id,
        path: `/mnt/${id}`,
        labels,
        providerId: provider?.id ?? '',
        options: {},
        enabled: false,
        managedBy: 'api',
        managedFile: '',
      },
      null,
    )
  await mount('seen', ['team'])
  await mount('outside', [])
  for (const mountId of ['seen', 'outside', ''])
    service.alerts.raise({ severity: 'error', mountId, reason: 'test', message: `about ${mountId}` })
  await service.alerts.settled()
  const listed = async (who: string) => {
    const { body } = await ask(who, 'GET', '/api/v1/alerts')
    return body['alerts'] as { readonly id: string; readonly message: string }[]
  }
  expect((await listed('narrow')).map(({ message }) => message)).toEqual(['about seen'])
  const all = await listed('operator')
  expect(all).toHaveLength(3)
  const idOf = (mountId: string) => all.find(({ message }) => message === `about ${mountId}`)?.id ?? ''
  for (const verb of ['acknowledge', 'resolve']) {
    for (const mountId of ['outside', '']) {
      expect(await ask('narrow', 'POST', `/api/v1/alerts/${idOf(mountId)}:${verb}`, {})).toMatchObject({ status: 404 })
    }
  }
  const { status, body } = await ask('narrow', 'POST', `/api/v1/alerts/${idOf('seen')}:acknowledge`, {})
  expect([status, body['alert']]).toMatchObject([200, { acknowledgedBy: 'token:narrow' }])
})
