import type { DescMethod } from '@bufbuild/protobuf'
import { getOption, ScalarType } from '@bufbuild/protobuf'
import { readFile } from 'node:fs/promises'
import { request as httpRequest } from 'node:http'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { policy, Role } from '../../proto/gen/cloudmoor/v1/policy_pb.js'
import { http } from '../../proto/gen/google/api/annotations_pb.js'
import { ruleOf } from '../../proto/openapi/json-schema.ts'
import { loadContract } from '../../proto/policy-faults.ts'
import { allMounts } from '../../src-service/control/users/principal.ts'
import type { Grant } from '../../src-service/control/users/principal.ts'
import type { NewMount } from '../../src-service/control/store/records.ts'
import { principalOfPeer } from '../../src-service/control/users/local-peer.ts'
import { startTestService } from '../support/test-service.ts'
import type { TestService } from '../support/test-service.ts'

/**
 * Every route of the service against everybody who must not come in. The table goes to docs/security/routes.md; `npx vitest run
 * tests/security -u` writes it anew.
 */

let service: TestService
let url: string
const tokens: Record<string, string> = {}

beforeAll(async () => {
  service = await startTestService({
    web: { listen: [{ address: '127.0.0.1', port: 0 }], certificate: null, publicUrl: '', pathPrefix: '', trustedProxies: [] },
  })
  url = (JSON.parse(await readFile(`${service.places.run}/web.json`, 'utf8')) as { url: string }).url
  await service.store.providers.insert(
    { id: 'p1', name: 'p1', type: 'local', options: { path: '/srv' }, secretRefs: {}, managedBy: 'api', managedFile: '' },
    null,
  )
  const mount: Omit<NewMount, 'id' | 'name' | 'path' | 'labels'> = {
    ...{ providerId: 'p1', remoteRoot: '', cacheSize: 1e9, cacheDir: '', readOnly: false, access: 'owner' as const, uid: 1, gid: 1 },
    ...{ umask: 18, shared: false, options: {}, enabled: false, managedBy: 'api' as const, managedFile: '' },
  }
  await service.store.mounts.insert({ ...mount, id: 'seen', name: 'seen', path: '/mnt/seen', labels: ['team-a'] }, null)
  await service.store.providers.insert(
    { id: 'p2', name: 'p2', type: 'local', options: { path: '/srv2' }, secretRefs: {}, managedBy: 'api', managedFile: '' },
    null,
  )
  await service.store.mounts.insert({ ...mount, id: 'outside', name: 'outside', providerId: 'p2', path: '/mnt/outside', labels: [] }, null)
  const make = async (name: string, grant: Grant, expiresAt = 0) => {
    const { text, token } = await service.access.tokens.create({ name, grant, expiresAt, createdBy: 'test' })
    tokens[name] = text.reveal()
    return token.id
  }
  await make('admin', { role: 'admin', scope: allMounts })
  await make('operator', { role: 'operator', scope: allMounts })
  await make('read-only', { role: 'read-only', scope: allMounts })
  await make('narrow', { role: 'operator', scope: { kind: 'label', label: 'team-a' } })
  await make('expired', { role: 'admin', scope: allMounts }, Date.now() + 50)
  await service.access.tokens.revoke(await make('revoked', { role: 'admin', scope: allMounts }))
  await new Promise((resolve) => setTimeout(resolve, 60))
})
afterAll(() => service.stop())

interface Route {
  readonly verb: string
  readonly path: string
  readonly body: object | null
  /** Null = no method of the contract. */
  readonly method: DescMethod | null
  /** It is about the mount that the narrow grant does not cover, and no method. */
  readonly content?: true
  /** Least role; null = anyone. */
  readonly role: string | null
}

const roles = { [Role.ADMIN]: 'admin', [Role.OPERATOR]: 'operator', [Role.READ_ONLY]: 'read-only', [Role.UNSPECIFIED]: null } as const

/** Connect and REST of each method, and what is no method. Requests name the mount and the provider that the narrow grant does not cover. */
async function allRoutes(): Promise<Route[]> {
  const methods = (await loadContract()).flatMap((file) => file.services).flatMap((each) => each.methods)
  const contract = methods.flatMap((method): Route[] => {
    const common = { method, role: roles[getOption(method, policy).role] }
    const connect = { ...common, verb: 'POST', path: `/${method.parent.typeName}/${method.name}`, body: requestFor(method) }
    return [connect, { ...common, ...restOf(method) }]
  })
  const plain = (path: string, role: string | null): Route => ({ verb: 'GET', path, body: null, method: null, role })
  const content = (verb: string, role: string, body: object | null): Route => ({
    ...{ verb, path: '/api/v1/mounts/outside/content/x', body, method: null, content: true, role },
  })
  return [
    ...contract,
    content('GET', 'read-only', null),
    content('HEAD', 'read-only', null),
    content('PUT', 'operator', {}),
    plain('/', null),
    plain('/api/v1/health', null),
    plain('/readyz', null),
    plain('/openapi.json', 'read-only'),
    plain('/metrics', 'read-only'),
  ]
}

function requestFor(method: DescMethod): Readonly<Record<string, unknown>> {
  const { mountField, providerField } = getOption(method, policy)
  // What a request cannot be without is there: what is refused is not refused for that.
  const needed = method.input.fields.filter(
    (field) => field.fieldKind === 'scalar' && field.scalar === ScalarType.STRING && ruleOf(field)?.required,
  )
  const request: Record<string, unknown> = Object.fromEntries(needed.map((field) => [field.jsonName, 'x']))
  for (const [path, id] of [
    [mountField, 'outside'],
    [providerField, 'p2'],
  ] as const) {
    const [first = '', second] = path.split('.')
    if (path === '') continue
    if (second === undefined) request[camel(first)] = id
    else request[camel(first)] = { ...(request[camel(first)] as object | undefined), [camel(second)]: id }
  }
  return request
}

function restOf(method: DescMethod): Pick<Route, 'verb' | 'path' | 'body'> {
  const { pattern, body } = getOption(method, http)
  if (pattern.case === undefined || pattern.case === 'custom') throw new Error(`${method.name} has no path`)
  const { mountField, providerField } = getOption(method, policy)
  const bound: string[] = []
  const path = pattern.value.replace(/\{([a-z_.]+)(=[^}]*)?\}/g, (_, name: string) => {
    bound.push(name)
    return name === mountField ? 'outside' : name === providerField ? 'p2' : 'x'
  })
  const query = pattern.case === 'get' && mountField !== '' && !bound.includes(mountField) ? `?${camel(mountField)}=outside` : ''
  const whole = Object.fromEntries(Object.entries(requestFor(method)).filter(([name]) => !bound.map(camel).includes(name)))
  const inner = body === '*' ? whole : ((requestFor(method)[camel(body)] as object | undefined) ?? {})
  return { verb: pattern.case.toUpperCase(), path: path + query, body: body === '' ? null : inner }
}

const camel = (name: string): string => name.replace(/_(.)/g, (_, letter: string) => letter.toUpperCase())

interface Answer {
  readonly status: number
  readonly body: string
}

const codes: Readonly<Record<string, number>> = { unauthenticated: 401, permission_denied: 403, not_found: 404, invalid_argument: 400 }

/** Streams of Connect say how they ended in their last message. */
function ask(route: Route, headers: Readonly<Record<string, string>>, socketPath?: string): Promise<Answer> {
  const stream = route.method?.methodKind === 'server_streaming' && route.path.startsWith('/cloudmoor')
  const text = route.body === null ? '' : JSON.stringify(route.body)
  const size = Buffer.alloc(5)
  size.writeUInt32BE(Buffer.byteLength(text), 1)
  const payload = stream ? Buffer.concat([size, Buffer.from(text)]) : Buffer.from(text)
  const type = route.body === null ? {} : { 'content-type': stream ? 'application/connect+json' : 'application/json' }
  const place = socketPath === undefined ? { host: new URL(url).hostname, port: new URL(url).port } : { socketPath }
  return new Promise((resolve, reject) => {
    const length = { 'content-length': String(payload.length) }
    const request = httpRequest(
      { ...place, agent: false, method: route.verb, path: route.path, headers: { ...type, ...length, ...headers } },
      (response) => {
        const chunks: Buffer[] = []
        // A stream that goes on was let in.
        const enough = setTimeout(() => response.destroy(), 1500)
        response.on('data', (chunk: Buffer) => chunks.push(chunk))
        response.on('close', () => {
          clearTimeout(enough)
          const body = Buffer.concat(chunks).toString()
          const code = /"code":"([a-z_]+)"/.exec(body)?.[1] ?? ''
          resolve({ status: (stream ? codes[code] : undefined) ?? response.statusCode ?? 0, body })
        })
        response.on('error', () => {})
      },
    )
    request.setTimeout(5000, () => request.destroy(new Error('no answer')))
    request.on('error', reject)
    request.end(payload)
  })
}

const bearer = (name: string) => ({ authorization: `Bearer ${tokens[name] ?? ''}` })

/** What each column must be; '–' = it does not apply. */
async function rowOf(route: Route, strangers: TestService): Promise<string[]> {
  const status = async (headers: Readonly<Record<string, string>>) => (await ask(route, headers)).status
  const open = route.role === null
  const lower = route.role === 'admin' ? 'operator' : route.role === 'operator' ? 'read-only' : null
  const { mountField, providerField, wholeGrant, filtered } =
    route.method === null ? { mountField: '', providerField: '', wholeGrant: false, filtered: false } : getOption(route.method, policy)
  const about = mountField !== '' || providerField !== '' || route.content === true
  const otherMount = async () => {
    if (open || !(about || wholeGrant || filtered || route.role === 'admin')) return '–'
    const answer = await ask(route, bearer('narrow'))
    if (answer.status >= 400) return String(answer.status)
    return /outside|"p2"/.test(answer.body) ? 'LEAK' : 'filtered'
  }
  const stranger = await ask(route, {}, strangers.places.socket).then(
    ({ status: answered }) => String(answered),
    () => 'closed',
  )
  return [
    open ? 'open' : String(await status({})),
    lower === null ? '–' : String(await status(bearer(lower))),
    await otherMount(),
    open ? '–' : String(await status(bearer('expired'))),
    open ? '–' : String(await status(bearer('revoked'))),
    String(await status({ ...bearer('admin'), host: 'evil.example' })),
    String(await status({ ...bearer('admin'), origin: 'https://evil.example' })),
    stranger,
  ]
}

const columns = ['no login', 'wrong role', 'other mount', 'expired', 'revoked', 'wrong Host', 'foreign Origin', 'other uid']

it('lets nobody in who must not come in, on any route', async () => {
  const strangers = await startTestService({ peerCredentials: () => ({ uid: 54_321, gid: 54_321 }) })
  try {
    const lines: string[] = []
    const faults: string[] = []
    for (const route of await allRoutes()) {
      const row = await rowOf(route, strangers)
      const name = `${route.verb} ${route.path.replace(/\?.*$/, '')}`
      lines.push(`| \`${name}\` | ${route.role ?? 'anyone'} | ${row.join(' | ')} |`)
      const [nobody, role, other = '', expired, revoked, host, origin, uid] = row
      const right =
        (nobody === '401' || nobody === 'open') &&
        (role === '403' || role === '–') &&
        ['400', '403', '404', 'filtered', '–'].includes(other) &&
        (expired === '401' || expired === '–') &&
        (revoked === '401' || revoked === '–') &&
        host === '403' &&
        origin === '403' &&
        uid === 'closed'
      if (!right) faults.push(`${name}: ${row.join(' ')}`)
    }
    expect(faults).toEqual([])
    const text = [
      '# Who gets what answer on which route',
      '',
      'Written by `npx vitest run tests/security -u` from answers of a running service, and compared with them in every test run.',
      'HTTP statuses: 401 = log in, 403 = not allowed, 404 = does not exist for you, 400 = the request is refused before anything is looked at; `closed` = the connection is closed unread;',
      '`filtered` = the answer leaves it out; `open` = works without a login; – = does not apply. Requests name a mount and a provider',
      'that exist and lie outside of the grant in the column *other mount*. gRPC and gRPC-Web answer on the paths of Connect.',
      '',
      `| Route | Least role | ${columns.join(' | ')} |`,
      `| --- | --- | ${columns.map(() => '---').join(' | ')} |`,
      ...lines,
      '',
    ].join('\n')
    await expect(text).toMatchFileSnapshot('../../docs/security/routes.md')
  } finally {
    await strangers.stop()
  }
})

it('counts every route of the contract', async () => {
  expect((await allRoutes()).length).toBeGreaterThan(100)
  expect(principalOfPeer({ uid: 54_321, gid: 1 }, { ownUid: 1, groupRole: null })).toBeNull()
})
