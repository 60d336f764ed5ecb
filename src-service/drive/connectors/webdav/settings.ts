import { getCACertificates } from 'node:tls'
import { CloudError } from '../../../common/errors.ts'
import type { ConnectorContext } from '../connector.ts'
import type { TlsOptions } from '../http.ts'
import { defaultPreset, webdavPresets } from './dialects.ts'
import type { Dialect } from './dialects.ts'
import { encodeName } from './dav-place.ts'

export type SignInKind = 'auto' | 'basic' | 'digest' | 'bearer' | 'none'

export interface Credentials {
  readonly username: string
  readonly password: string | undefined
  readonly token: string | undefined
}

export interface WebdavSettings {
  /** Scheme, host and port: the only place where credentials go. */
  readonly origin: string
  /** Encoded path of the mount's root, ending in '/'. */
  readonly base: string
  readonly dialect: Dialect
  readonly signIn: SignInKind
  /** Asked for each request, because they may arrive late or be renewed. */
  readonly credentials: () => Credentials
  /** The same for the client's key. @throws CloudError `sign-in` while it is missing */
  readonly tls: () => TlsOptions
  readonly verifiesTls: boolean
}

const kinds: readonly SignInKind[] = ['auto', 'basic', 'digest', 'bearer', 'none']

/** @throws CloudError `invalid` with a hint */
export function resolveSettings({ settings, remoteRoot }: ConnectorContext): WebdavSettings {
  const { options } = settings
  const presetName = text(options['preset']) ?? defaultPreset
  const preset = webdavPresets.find(({ name }) => name === presetName)
  if (!preset) throw new CloudError('invalid', `there is no preset ${presetName}`)
  const username = text(options['username']) ?? ''
  const signIn = kinds.find((kind) => kind === (options['auth'] ?? 'auto'))
  if (signIn === undefined) throw new CloudError('invalid', `there is no way to sign in called ${String(options['auth'])}`)
  const url = addressOf(text(options['url']))
  const verifiesTls = options['verifyTls'] !== false
  const [ca, cert] = [text(options['ca']), text(options['clientCertificate'])]
  return {
    origin: url.origin,
    base: baseOf(url, preset.dialect, username, remoteRoot),
    dialect: preset.dialect,
    signIn,
    credentials: () => ({ username, password: settings.secret('password'), token: settings.secret('token') }),
    tls: () => ({
      ...(ca !== undefined && { ca: [...getCACertificates('default'), ca] }),
      ...(!verifiesTls && { rejectUnauthorized: false }),
      ...(cert !== undefined && { cert, key: keyOf(settings.secret('clientKey')) }),
    }),
    verifiesTls,
  }
}

function baseOf(url: URL, dialect: Dialect, username: string, remoteRoot: string): string {
  const bare = url.pathname === '/'
  if (bare && dialect.path.includes('{username}') && username === '') {
    throw new CloudError('invalid', 'the path on this server depends on the user', { hint: 'Give the name as --set username=NAME.' })
  }
  const path = bare ? dialect.path.replace('{username}', encodeName(Buffer.from(username))) : url.pathname
  const root = remoteRoot.split('/').filter((name) => name !== '')
  return [path.replace(/\/+$/, ''), ...root.map((name) => encodeName(Buffer.from(name))), ''].join('/')
}

function addressOf(url: string | undefined): URL {
  if (url === undefined) throw new CloudError('invalid', 'the address is missing', { hint: 'Give it as --set url=https://host/path.' })
  const parsed = URL.canParse(url) ? new URL(url) : null
  if (!parsed || !/^https?:$/.test(parsed.protocol)) {
    throw new CloudError('invalid', `${url} is not an address`, { hint: 'Write it with http:// or https://.' })
  }
  if (parsed.username !== '' || parsed.password !== '') {
    throw new CloudError('invalid', 'the address holds a name or a password', {
      hint: 'Give them as username and --set-secret password=-.',
    })
  }
  return parsed
}

function keyOf(key: string | undefined): string {
  if (!key)
    throw new CloudError('sign-in', 'the key of the client certificate is missing', { hint: 'Give it with --set-secret clientKey=@FILE.' })
  return key
}

function text(value: unknown): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined
}
