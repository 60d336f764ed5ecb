import { randomBytes } from 'node:crypto'
import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { createClient } from '@connectrpc/connect'
import type { Client } from '@connectrpc/connect'
import { connectService, openTransport } from '../../../proto/client/connect.ts'
import { EventService, LiveKind } from '../../../proto/gen/cloudmoor/v1/event_pb.js'
import { LogLevel } from '../../../proto/gen/cloudmoor/v1/log_pb.js'
import { GrantScope } from '../../../proto/gen/cloudmoor/v1/grant_pb.js'
import { Role } from '../../../proto/gen/cloudmoor/v1/policy_pb.js'
import { VaultSlotKind } from '../../../proto/gen/cloudmoor/v1/vault_pb.js'
import { startTestService } from '../../../tests/support/test-service.ts'
import type { TestService } from '../../../tests/support/test-service.ts'
import { CloudError } from '../../common/errors.ts'
import { descriptors } from '../../drive/connectors/manifest.ts'
import { openServiceAlerts } from '../service/service-alerts.ts'

let service: TestService
beforeEach(async () => {
  service = await startTestService({
    web: { listen: [{ address: '127.0.0.1', port: 0 }], certificate: null, publicUrl: '', pathPrefix: '', trustedProxies: [] },
  })
})
afterEach(() => service.stop())

/** Every secret that is looked for; each is used once, so that a leak names its flow. */
const secrets: string[] = []

function newSecret(flow: string): string {
  const secret = `canary-${flow}-${randomBytes(12).toString('hex')}`
  secrets.push(secret)
  return secret
}

/** Where a secret stands: files below the home (database, journal and logs among them), texts, and what /proc shows of this process. */
async function leaks(texts: readonly string[]): Promise<string[]> {
  const found: string[] = []
  const look = (place: string, bytes: Buffer) => {
    for (const secret of secrets) {
      const shapes = [
        secret,
        Buffer.from(secret).toString('base64').slice(0, 24),
        Buffer.from(secret).toString('hex'),
        encodeURIComponent(secret),
      ]
      if (shapes.some((shape) => bytes.includes(shape))) found.push(place)
    }
  }
  for (const entry of await readdir(service.places.state, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name)
    if (entry.isFile()) look(path, await readFile(path))
  }
  texts.forEach((text, index) => look(`text ${index}`, Buffer.from(text)))
  for (const name of ['environ', 'cmdline']) look(`/proc/self/${name}`, await readFile(`/proc/self/${name}`).catch(() => Buffer.alloc(0)))
  return found
}

/** Everything that is in an answer or an error. */
function textOf(value: unknown): string {
  const json = (what: unknown) => JSON.stringify(what, (_, part: unknown) => (typeof part === 'bigint' ? String(part) : part))
  const own = value instanceof Error ? `${value.message} ${value.stack} ${json(Object.entries(value))}` : ''
  return `${own} ${json(value)}`
}

it('finds a leak wherever one is planted', async () => {
  const secret = newSecret('planted')
  expect(await leaks([])).toEqual([])
  expect(await leaks([`x ${secret} y`, encodeURIComponent(secret), Buffer.from(secret).toString('base64')])).toEqual([
    'text 0',
    'text 1',
    'text 2',
  ])
  await service.store.settings.set('planted', secret)
  service.log.write('info', `planted ${secret}`)
  service.alerts.raise({ severity: 'error', mountId: '', reason: 'planted', message: secret })
  await writeFile(join(service.places.run, 'planted'), Buffer.from(secret).toString('hex'))
  await service.alerts.settled()
  await new Promise((resolve) => setTimeout(resolve, 100))
  const places = (await leaks([])).map((path) => path.slice(service.places.state.length))
  expect(places.sort()).toEqual(['/logs/service.log', '/run/planted', '/service.db-wal'])
  const { transport, close } = openTransport(service.places.socket)
  const [first] = await firstEvents(createClient(EventService, transport), 1)
  close()
  expect(await leaks([textOf(first)])).toContain('text 0')
  secrets.length = 0
})

type Events = Client<typeof EventService>

/** The first answers of the stream of events, with everything that can be asked for. */
async function firstEvents(events: Events, count: number): Promise<unknown[]> {
  const abort = new AbortController()
  const found: unknown[] = []
  const timer = setTimeout(() => abort.abort(), 1500)
  try {
    for await (const answer of events.watch({ live: [LiveKind.LOG, LiveKind.AUDIT, LiveKind.PROGRESS] }, { signal: abort.signal })) {
      found.push(answer)
      if (found.length >= count) break
    }
  } catch (caught) {
    if (!abort.signal.aborted) throw caught
  } finally {
    clearTimeout(timer)
    abort.abort()
  }
  return found
}

it('no secret is found anywhere after it went through everything', { timeout: 180_000 }, async () => {
  const client = connectService(service.places.socket, { protocol: 'http2' })
  const { transport, close } = openTransport(service.places.socket)
  const texts: string[] = []
  const note = async (call: Promise<unknown>) => {
    texts.push(await call.then(textOf, textOf))
  }
  const reached = new Set<string>()
  service.mounts.onProbe = (account) => {
    const values = Object.values(account.secrets).map((value) => value.reveal())
    for (const value of values) reached.add(value)
    service.log.write('error', `probing with ${Object.values(account.secrets).join()}`, {
      account,
      secrets: account.secrets,
      password: values[0],
    })
    return Promise.reject(
      new CloudError('sign-in', 'refused', {
        code: 'SignatureDoesNotMatch',
        cause: new Error(`for https://AK:${values[0]}@host/?sig=${values[0]}`),
      }),
    )
  }

  // Every secret option of every provider type, given, tried, changed, forgotten, and in places where it does not belong.
  const bare: Readonly<Record<string, Record<string, string>>> = {
    s3: { accessKeyId: 'AK', endpoint: 'http://h' },
    webdav: { url: 'https://h/dav', username: 'ada', clientCertificate: 'PEM' },
  }
  for (const { type, options } of descriptors.filter((descriptor) => bare[descriptor.type] !== undefined)) {
    const names = Object.entries(options.properties).flatMap(([name, { secret }]) => (secret === true ? [name] : []))
    for (let round = 0; round < 8; round++) {
      const flow = (name: string) => newSecret(`${type}-${name}-${round}`)
      const all = () => Object.fromEntries(names.map((name) => [name, flow(name)]))
      const provider = { name: `${type}${round}`, type, options: bare[type] ?? {} }
      await note(client.providers.createProvider({ provider, secrets: all(), requestId: `${type}${round}` }))
      await note(client.providers.createProvider({ provider: { ...provider, name: 'refused' }, secrets: all(), test: true }))
      await note(client.providers.createProvider({ provider, secrets: { [`${names[0]}x`]: flow('unknown'), bucket: flow('misplaced') } }))
      await note(client.providers.createProvider({ provider: { ...provider, options: { [names[0] ?? '']: flow('option') } } }))
      const { providers } = await client.providers.listProviders({ name: provider.name })
      const id = providers[0]?.id ?? ''
      await note(client.providers.testProvider({ id }))
      await note(client.providers.updateProvider({ provider: { id }, secrets: { [names[0] ?? '']: flow('changed') } }))
      await note(client.providers.testProvider({ id }))
      if (round % 2 === 0) await note(client.providers.removeProvider({ id }))
    }
  }
  expect(reached.size).toBeGreaterThan(40)

  // Passwords, links, codes and tokens. What is given out once is not noted, but looked for like the rest.
  for (let round = 0; round < 12; round++) {
    const { user } = await client.users.createUser({
      user: { name: `u${round}`, grant: { role: Role.OPERATOR, scope: GrantScope.ALL } },
    })
    const { code } = await client.users.inviteUser({ id: user?.id ?? '' })
    secrets.push(code)
    const password = newSecret('password')
    await note(client.sessions.acceptInvite({ code: newSecret('invite-wrong'), password: newSecret('password-unused') }))
    await note(client.sessions.acceptInvite({ code, password }))
    await note(client.sessions.acceptInvite({ code, password: newSecret('password-late') }))
    await note(client.sessions.login({ name: `u${round}`, password: newSecret('password-wrong') }))
    await note(client.sessions.login({ name: newSecret('password-as-name'), password: 'x' }))
    const { token, text } = await client.tokens.createToken({
      token: { name: `t${round}`, grant: { role: Role.OPERATOR, scope: GrantScope.ALL } },
    })
    const rotated = await client.tokens.rotateToken({ id: token?.id ?? '' })
    secrets.push(text, rotated.text)
    await note(client.users.updateUser({ user: { id: user?.id ?? '', name: newSecret('misplaced') }, updateMask: { paths: ['nothing'] } }))
  }
  await client.sessions.createLoginCode({}).then(({ code }) => secrets.push(code))

  // The vault: passphrases, the recovery key, secrets by name.
  await note(client.vault.addSlot({ kind: VaultSlotKind.PASSPHRASE, passphrase: newSecret('passphrase') }))
  await client.vault.createRecoveryKey({}).then(({ recoveryKey }) => secrets.push(recoveryKey))
  for (let round = 0; round < 10; round++) {
    await note(client.vault.putSecret({ name: `named${round}`, value: newSecret('named') }))
    await note(client.vault.putSecret({ name: newSecret('as a name'), value: newSecret('unnamed') }))
    await note(client.vault.unlockVault({ by: { case: 'passphrase', value: newSecret('passphrase-wrong') } }))
  }
  await note(client.vault.listSecrets({}))

  // A configuration with sealed secrets goes out and in; secrets in the wrong place of one are refused.
  const passphrase = newSecret('export')
  const { text } = await client.config.exportConfig({ passphrase })
  texts.push(text)
  await note(client.config.importConfig({ text, passphrase }))
  await note(client.config.importConfig({ text, passphrase: newSecret('export-wrong') }))
  const wrong = `version: 1\nproviders:\n  - { name: z, type: s3, options: {}, secrets: { secretAccessKey: ${newSecret('plain')} } }\n`
  await note(client.config.importConfig({ text: wrong }))

  // The webhook's address and key.
  await client.vault.putSecret({ name: 'hook', value: `http://127.0.0.1:1/hook/${newSecret('webhook-address')}` })
  await client.vault.putSecret({ name: 'key', value: newSecret('webhook-key') })
  for (const [name, value] of [
    ['alertWebhook', 'vault:hook'],
    ['alertWebhookKey', 'vault:key'],
    ['alertWebhookPlain', 'yes'],
  ] as const)
    await service.store.settings.set(name, value)
  const told = await openServiceAlerts({
    ...service,
    secrets: service.vault.secrets,
    logs: service.places.logs,
    instance: 'test',
    version: '1',
  })
  told.alerts.raise({ severity: 'error', mountId: '', reason: 'test', message: 'look' })
  await expect
    .poll(() => readFile(join(service.places.logs, 'service.log'), 'utf8'), { timeout: 20_000 })
    .toContain('the webhook cannot be reached')
  await told.end()

  texts.push(...(await firstEvents(createClient(EventService, transport), 200)).map(textOf))
  for await (const answer of client.logs.tailLogs({ lines: 10_000, minLevel: LogLevel.DEBUG })) texts.push(textOf(answer))
  for await (const answer of client.audit.tailAudit({ all: true, begun: true })) texts.push(textOf(answer))
  await note(client.alerts.listAlerts({ all: true }))
  await note(client.providers.listProviders({}))
  await note(client.sessions.listSessions({}))
  texts.push(textOf(process.report.getReport()))
  client.close()
  close()
  expect(secrets.length).toBeGreaterThanOrEqual(200)
  expect(new Set(secrets).size).toBe(secrets.length)
  expect(texts.filter((one) => one.includes('SIGN_IN') || one.includes('refused')).length).toBeGreaterThan(0)
  expect(await leaks(texts)).toEqual([])
})
