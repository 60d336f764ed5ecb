import { CloudError } from '../../../common/errors.ts'
import type { ConnectorContext } from '../connector.ts'
import { defaultPartSize } from './descriptor.ts'
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
  readonly dialect: Dialect
  /** Asked for each request, because they may be renewed. @throws CloudError `sign-in` while they are missing */
  readonly credentials: () => Credentials
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
  const accessKeyId = text(options['accessKeyId'])
  const partSize = options['partSize']
  return {
    endpoint,
    region,
    bucket,
    // A dot in the bucket would break the certificate of the host name; without a bucket there is no such host.
    pathStyle: value('pathStyle') === true || bucket === null || bucket.includes('.'),
    prefix: path.map((name) => `${name}/`).join(''),
    partSize: typeof partSize === 'number' ? partSize * 2 ** 20 : defaultPartSize,
    dialect: preset.dialect,
    credentials: () => {
      const secretAccessKey = settings.secret('secretAccessKey')
      if (!accessKeyId || !secretAccessKey) {
        throw new CloudError('sign-in', 'the access key or its secret is missing', {
          hint: 'Set accessKeyId and the secret secretAccessKey.',
        })
      }
      return { accessKeyId, secretAccessKey, sessionToken: settings.secret('sessionToken') }
    },
  }
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
