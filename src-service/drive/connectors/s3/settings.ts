import { CloudError } from '../../../common/errors.ts'
import type { ConnectorContext, ConnectorSettings } from '../connector.ts'
import { ambientSources } from './ambient-sources.ts'
import { loadAmbient, loadAssumedRole } from './aws-credentials.ts'
import { fixedCredentials, RenewedCredentials } from './credentials.ts'
import type { CredentialSource } from './credentials.ts'
import { defaultParallelParts, defaultPartSize } from './descriptor.ts'
import { defaultPreset, s3Presets } from './dialects.ts'
import type { Dialect } from './dialects.ts'
import type { Credentials } from './sign-v4.ts'

export interface S3Settings {
  readonly endpoint: URL
  readonly region: string
  /** Null: all buckets of the account are folders. */
  readonly bucket: string | null
  /** The bucket stands in the path, and not in the host name. */
  readonly pathStyle: boolean
  /** Key prefix of the mount's root, '' or ending in '/'. */
  readonly prefix: string
  /** Bytes. */
  readonly partSize: number
  /** Parts of one upload that are sent at once. */
  readonly parallelParts: number
  readonly dialect: Dialect
  /** Headers of every request, and of those that store an object. Lower case. */
  readonly everyRequest: Readonly<Record<string, string>>
  readonly everyObject: Readonly<Record<string, string>>
  readonly credentials: CredentialSource
}

/** @throws CloudError `invalid` with a hint */
export function resolveSettings({ settings, remoteRoot }: ConnectorContext): S3Settings {
  const { options } = settings
  const presetName = text(options['preset']) ?? defaultPreset
  const preset = s3Presets.find(({ name }) => name === presetName)
  if (!preset) throw new CloudError('invalid', `there is no preset ${presetName}`)
  const value = (name: string) => options[name] ?? preset.values[name]
  const region = text(value('region')) ?? 'us-east-1'
  const endpoint = endpointUrl(text(value('endpoint'))?.replace('{region}', region), presetName)
  const path = remoteRoot.split('/').filter((name) => name !== '')
  const bucket = text(options['bucket']) ?? path.shift() ?? null
  return {
    endpoint,
    region,
    bucket,
    // A dot in the bucket would break the certificate of the host name; without a bucket there is no such host.
    pathStyle: value('pathStyle') === true || bucket === null || bucket.includes('.'),
    prefix: path.map((name) => `${name}/`).join(''),
    partSize: count(options['partSize'], defaultPartSize / 2 ** 20) * 2 ** 20,
    parallelParts: count(options['parallelParts'], defaultParallelParts),
    dialect: preset.dialect,
    everyRequest: options['requesterPays'] === true ? { 'x-amz-request-payer': 'requester' } : {},
    everyObject: storingHeaders(options),
    credentials: credentialSource(settings, region),
  }
}

/** What the server is asked to do with each object that it stores. */
function storingHeaders(options: ConnectorSettings['options']): Record<string, string> {
  const [storageClass, encryption, kmsKeyId] = [text(options['storageClass']), text(options['encryption']), text(options['kmsKeyId'])]
  if (kmsKeyId !== undefined && !encryption?.startsWith('aws:kms')) {
    throw new CloudError('invalid', 'kmsKeyId goes with encryption=aws:kms only', {
      hint: 'Set encryption=aws:kms, or leave kmsKeyId out.',
    })
  }
  return {
    ...(storageClass !== undefined && { 'x-amz-storage-class': storageClass }),
    ...(encryption !== undefined && { 'x-amz-server-side-encryption': encryption }),
    ...(kmsKeyId !== undefined && { 'x-amz-server-side-encryption-aws-kms-key-id': kmsKeyId }),
  }
}

function credentialSource(settings: ConnectorSettings, region: string): CredentialSource {
  const { options } = settings
  if (options['anonymous'] === true) return fixedCredentials(() => null)
  const sts = { region, endpoint: text(options['stsEndpoint']) }
  const ambient = ambientSources.find((source) => source === options['credentials'])
  const roleArn = text(options['roleArn'])
  const own =
    ambient === undefined
      ? null
      : () => loadAmbient(ambient, { profile: text(options['profile']), sts, variable: (name) => settings.secret(`env:${name}`) })
  if (roleArn === undefined) return own === null ? fixedCredentials(() => keysOf(settings)) : new RenewedCredentials(own)
  const role = {
    ...sts,
    arn: roleArn,
    externalId: text(options['externalId']),
    sessionName: text(options['roleSessionName']) ?? 'cloudmoor',
    durationSeconds: typeof options['roleDuration'] === 'number' ? options['roleDuration'] : undefined,
  }
  return new RenewedCredentials(() => loadAssumedRole(role, own ?? (async () => keysOf(settings))))
}

/** @throws CloudError `sign-in` while they are missing */
function keysOf(settings: ConnectorSettings): Credentials {
  const accessKeyId = text(settings.options['accessKeyId'])
  const secretAccessKey = settings.secret('secretAccessKey')
  if (!accessKeyId || !secretAccessKey) {
    throw new CloudError('sign-in', 'the access key or its secret is missing', {
      hint: 'Set accessKeyId and the secret secretAccessKey.',
    })
  }
  return { accessKeyId, secretAccessKey, sessionToken: settings.secret('sessionToken') }
}

function count(value: unknown, otherwise: number): number {
  return typeof value === 'number' ? value : otherwise
}

function endpointUrl(endpoint: string | undefined, preset: string): URL {
  if (endpoint === undefined) {
    throw new CloudError('invalid', `the preset ${preset} needs an endpoint`, { hint: 'Give it as --set endpoint=https://host.' })
  }
  if (!URL.canParse(endpoint) || !/^https?:$/.test(new URL(endpoint).protocol)) {
    throw new CloudError('invalid', `${endpoint} is not an address`, { hint: 'Write it with http:// or https://.' })
  }
  return new URL(endpoint)
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
