/** Every way to credentials, each with a session that a real server accepts or an emulator that says what it was sent. */
import { existsSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, test } from 'vitest'
import type { OptionValue } from '../../src-service/drive/connectors/validate-options.ts'
import { openConnector } from '../../src-service/drive/connectors/registry.ts'
import type { OpenConnector } from '../../src-service/drive/connectors/registry.ts'
import { startMetadataServer } from '../servers/aws-metadata.ts'
import { findMoto, startMoto } from '../servers/moto.ts'
import { Installation } from '../support/installation.ts'
import { makeMinioUser } from '../support/minio-user.ts'
import { at, contentsAt, error, put, refusal, signal } from './candidate.ts'
import { withMinio } from './s3-bench.ts'

const moto = await findMoto()
const arn = 'arn:aws:iam::123456789012:role/drive'

const toEnd: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const end of toEnd.splice(0).reverse()) await end()
})

function opened(options: Readonly<Record<string, OptionValue>>, secrets: Readonly<Record<string, string>> = {}): OpenConnector {
  const connector = openConnector('s3', {
    // As the service hands it over: its environment by `env:NAME`.
    settings: { options, secret: (name) => (name.startsWith('env:') ? process.env[name.slice(4)] : secrets[name]) },
    remoteRoot: '',
    log: () => undefined,
  })
  toEnd.push(() => connector.close())
  return connector
}

/** For the time of one test; undefined takes a variable away. */
function environment(values: Readonly<Record<string, string | undefined>>): void {
  const before = Object.fromEntries(Object.keys(values).map((name) => [name, process.env[name]]))
  const set = (all: typeof values) => {
    for (const [name, value] of Object.entries(all)) {
      if (value === undefined) Reflect.deleteProperty(process.env, name)
      else process.env[name] = value
    }
  }
  set(values)
  toEnd.push(async () => set(before))
}

withMinio((s3) => {
  const place = () => ({ endpoint: s3.bench.proxy.endpoint, bucket: s3.bench.bucket })
  const minioKeys = () => ({ accessKeyId: s3.minio.accessKeyId, secretAccessKey: s3.minio.secretAccessKey })

  describe("the surroundings' credentials", () => {
    test('environment', async () => {
      environment({ AWS_ACCESS_KEY_ID: s3.minio.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.minio.secretAccessKey })
      await opened({ ...place(), credentials: 'environment' }).check(signal)
    })

    test('environment of the service, in its worker', async ({ skip }) => {
      if (!existsSync(join(import.meta.dirname, '../../dist/worker.js'))) skip('the bundles are not built: scripts/build')
      environment({ AWS_ACCESS_KEY_ID: s3.minio.accessKeyId, AWS_SECRET_ACCESS_KEY: s3.minio.secretAccessKey })
      await using installation = await Installation.create()
      await installation.account('here', { type: 's3', set: { ...place(), credentials: 'environment' }, secrets: {} })
      expect(await installation.cloudmoor(['config', 'test', 'here'])).toContain("account 'here' works")
      await installation.account('nowhere', { type: 's3', set: { ...place(), credentials: 'profile', profile: 'nobody' }, secrets: {} })
      const refused = await installation.attempt(['config', 'test', 'nowhere'])
      expect(refused.code).not.toBe(0)
      expect(refused.stderr).toContain('credentials: ')
    })

    test('profile, and the chain that finds it', async () => {
      const folder = await mkdtemp(join(tmpdir(), 'cloudmoor-aws-'))
      toEnd.push(() => rm(folder, { recursive: true }))
      const { accessKeyId, secretAccessKey } = minioKeys()
      const file = join(folder, 'credentials')
      await writeFile(file, `[drive]\naws_access_key_id=${accessKeyId}\naws_secret_access_key=${secretAccessKey}\n`)
      environment({ AWS_SHARED_CREDENTIALS_FILE: file, AWS_CONFIG_FILE: join(folder, 'config'), AWS_PROFILE: undefined })
      await opened({ ...place(), credentials: 'profile', profile: 'drive' }).check(signal)
      await opened({ ...place(), credentials: 'chain', profile: 'drive' }).check(signal)
      const caught = await error(opened({ ...place(), credentials: 'profile', profile: 'nobody' }).check(signal))
      expect(caught).toMatchObject({ kind: 'sign-in', hint: expect.stringContaining('credentials') })
    })

    test('container, with the token that it must show', async () => {
      const metadata = await startMetadataServer(() => ({ ...minioKeys(), endsIn: 3_600_000 }))
      toEnd.push(() => metadata.close())
      environment({
        AWS_CONTAINER_CREDENTIALS_FULL_URI: `${metadata.endpoint}/container`,
        AWS_CONTAINER_AUTHORIZATION_TOKEN: metadata.authorization,
      })
      await opened({ ...place(), credentials: 'container' }).check(signal)
      expect(metadata.given).toBe(1)
    })

    test('instance: loaded once for many, renewed before the end, and at once when the server calls them expired', async () => {
      let endsIn = 240_000
      const metadata = await startMetadataServer(() => ({ ...minioKeys(), endsIn }))
      toEnd.push(() => metadata.close())
      environment({ AWS_EC2_METADATA_SERVICE_ENDPOINT: metadata.endpoint })
      const connector = opened({ ...place(), credentials: 'instance' })
      await Promise.all(Array.from({ length: 20 }, (_, index) => connector.stat(at(`nothing-${index}`), 'file', signal)))
      expect(metadata.given).toBe(1)
      // Less than five minutes are left, but it was only just asked.
      await connector.check(signal)
      expect(metadata.given).toBe(1)
      endsIn = 3_600_000
      const late = opened({ ...place(), credentials: 'instance' })
      await put(late, at('by-instance'), 'contents')
      expect(metadata.given).toBe(2)
      expect(await contentsAt(late, at('by-instance'))).toBe('contents')
      expect(metadata.given).toBe(2)
    })

    test('a metadata service that is away is offline, and not a wrong key', async () => {
      environment({ AWS_EC2_METADATA_SERVICE_ENDPOINT: 'http://127.0.0.1:9' })
      expect(['offline', 'timeout', 'sign-in']).toContain(await refusal(opened({ ...place(), credentials: 'instance' }).check(signal)))
    })
  })

  describe('roles', () => {
    test('a role of MinIO: its session works, and ends with it', async () => {
      const user = await makeMinioUser(s3.minio, 'readwrite')
      const options = { ...place(), accessKeyId: user.accessKeyId, stsEndpoint: s3.minio.endpoint, roleArn: arn, roleDuration: 900 }
      const connector = opened(options, { secretAccessKey: user.secretAccessKey })
      await put(connector, at('by-role'), 'contents')
      expect(await contentsAt(connector, at('by-role'))).toBe('contents')
      const wrong = await error(opened(options, { secretAccessKey: 'a wrong secret' }).check(signal))
      expect(wrong).toMatchObject({ kind: 'sign-in', hint: expect.stringContaining('roleArn') })
      expect(wrong.message).not.toContain('a wrong secret')
    })

    test('a session token from elsewhere', async () => {
      const user = await makeMinioUser(s3.minio, 'readwrite')
      const { loadAssumedRole } = await import('../../src-service/drive/connectors/s3/aws-credentials.ts')
      const role = {
        arn,
        externalId: undefined,
        sessionName: 'test',
        durationSeconds: 900,
        region: 'us-east-1',
        endpoint: s3.minio.endpoint,
      }
      const session = await loadAssumedRole(role, async () => user)
      expect(session.expiration).toBeGreaterThan(Date.now() + 800_000)
      const secrets = { secretAccessKey: session.secretAccessKey, sessionToken: session.sessionToken ?? '' }
      await opened({ ...place(), accessKeyId: session.accessKeyId }, secrets).check(signal)
      const without = opened({ ...place(), accessKeyId: session.accessKeyId }, { secretAccessKey: session.secretAccessKey })
      expect(await refusal(without.check(signal))).toBe('sign-in')
    })

    test('role, external id, session name and length are sent', async (context) => {
      if ('missing' in moto) return context.skip(`moto: ${moto.missing}`)
      const server = await startMoto(moto.path)
      toEnd.push(() => server.stop())
      const secrets = { secretAccessKey: 'secret' }
      const base = { endpoint: server.endpoint, accessKeyId: 'key' }
      const account = opened(base, secrets)
      await account.makeFolder(at('emulated'), {}, signal)
      await server.requests()
      const role = {
        stsEndpoint: server.endpoint,
        roleArn: arn,
        externalId: 'of-the-customer-42',
        roleSessionName: 'drive-1',
        roleDuration: 1800,
      }
      await opened({ ...base, bucket: 'emulated', ...role }, secrets).check(signal)
      const sent = (await server.requests()).filter((request) => request.get('Action') === 'AssumeRole')
      expect(sent.map((request) => Object.fromEntries(request))).toEqual([
        expect.objectContaining({ RoleArn: arn, ExternalId: 'of-the-customer-42', RoleSessionName: 'drive-1', DurationSeconds: '1800' }),
      ])
      const folder = await mkdtemp(join(tmpdir(), 'cloudmoor-token-'))
      toEnd.push(() => rm(folder, { recursive: true }))
      await writeFile(join(folder, 'token'), 'the-token-of-the-cluster')
      environment({ AWS_WEB_IDENTITY_TOKEN_FILE: join(folder, 'token'), AWS_ROLE_ARN: arn })
      await opened({ endpoint: server.endpoint, bucket: 'emulated', credentials: 'web-identity', stsEndpoint: server.endpoint }).check(
        signal,
      )
      const [identity] = (await server.requests()).filter((request) => request.get('Action') === 'AssumeRoleWithWebIdentity')
      expect(identity?.get('WebIdentityToken')).toBe('the-token-of-the-cluster')
    })
  })

  test('a public bucket without keys, and what is not public', async () => {
    const policy = JSON.stringify({
      Version: '2012-10-17',
      Statement: [
        { Effect: 'Allow', Principal: '*', Action: 's3:ListBucket', Resource: `arn:aws:s3:::${s3.bench.bucket}` },
        { Effect: 'Allow', Principal: '*', Action: 's3:GetObject', Resource: `arn:aws:s3:::${s3.bench.bucket}/public` },
      ],
    })
    await s3.raw({ method: 'PUT', query: [['policy', '']], body: Buffer.from(policy) })
    await put(s3.connector, at('public'), 'contents')
    await put(s3.connector, at('private'), 'contents')
    const nobody = opened({ ...place(), anonymous: true })
    await nobody.check(signal)
    expect(await contentsAt(nobody, at('public'))).toBe('contents')
    expect(await refusal(nobody.stat(at('private'), 'file', signal))).toBe('access')
    expect(await refusal(put(nobody, at('new'), 'x'))).toBe('access')
  })
})
