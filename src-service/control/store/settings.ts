import { isIP } from 'node:net'
import { isAbsolute, normalize } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import type { SettingTable } from './store.ts'

/** A setting of the service: text, with what it may be. */
export interface Setting {
  readonly name: string
  readonly description: string
  readonly default: string
  /** Of a number; '' = none. */
  readonly unit: string
  /** A change counts at once, not from the next start on. */
  readonly atOnce: boolean
  /** JSON Schema of the value, as far as that can say it; `check` has the last word. */
  readonly schema: Readonly<Record<string, unknown>>
  /** Throws `invalid`. */
  readonly check: (value: string) => void
}

/** Every setting. */
export const settings: readonly Setting[] = [
  {
    name: 'listen',
    description: 'Addresses besides the unix socket, ADDRESS:PORT with commas between; off for none. Beyond loopback only with TLS.',
    default: '127.0.0.1:7434',
    unit: '',
    atOnce: false,
    schema: { type: 'string', maxLength: 8192 },
    check: (value: string): void => {
      readListen(value)
    },
  },
  {
    name: 'tls',
    description: 'Certificate for these addresses: off, self-signed, or CERTIFICATE.pem:KEY.pem as absolute paths.',
    default: 'off',
    unit: '',
    atOnce: false,
    schema: { type: 'string', maxLength: 8192 },
    check: (value: string): void => {
      readTls(value)
    },
  },
  {
    name: 'publicUrl',
    description: 'How people reach the service through a proxy, https://files.example.com; empty = directly.',
    default: '',
    unit: '',
    atOnce: false,
    schema: { type: 'string', pattern: '^(https?://[^/]+/?)?$' },
    check: (value: string): void => {
      if (value !== '' && !(URL.canParse(value) && /^https?:$/.test(new URL(value).protocol) && new URL(value).pathname === '/'))
        throw new CloudError('invalid', 'publicUrl is an address such as https://files.example.com, without a path')
    },
  },
  {
    name: 'pathPrefix',
    description: 'Path under which a proxy shows the service, /moor; empty = none.',
    default: '',
    unit: '',
    atOnce: false,
    schema: { type: 'string', pattern: '^(/[A-Za-z0-9._~-]+)*$' },
    check: (value: string): void => {
      if (!/^(\/[A-Za-z0-9._~-]+)*$/.test(value)) throw new CloudError('invalid', 'pathPrefix is a path such as /moor')
    },
  },
  {
    name: 'trustedProxies',
    description: 'Addresses or networks whose X-Forwarded-For and X-Forwarded-Proto are believed, with commas between.',
    default: '',
    unit: '',
    atOnce: false,
    schema: { type: 'string', maxLength: 8192 },
    check: (value: string): void => {
      for (const entry of list(value)) {
        const [address = '', length] = entry.split('/')
        const most = isIP(address) === 4 ? 32 : 128
        if (isIP(address) !== 0 && (length === undefined || (/^\d+$/.test(length) && Number(length) <= most))) continue
        throw new CloudError('invalid', `'${entry}' is not an address or a network such as 10.0.0.0/8`)
      }
    },
  },
  {
    name: 'groupRole',
    description: 'What members of the group cloudmoor may do on the socket of a system service: operator, read-only, admin or none.',
    default: 'operator',
    unit: '',
    atOnce: false,
    schema: { type: 'string', enum: ['operator', 'read-only', 'admin', 'none'] },
    check: (value: string): void => oneOf('groupRole', value, ['operator', 'read-only', 'admin', 'none']),
  },
  {
    name: 'mountRoots',
    description: 'Folders in which others than admins may choose mount points, with commas between.',
    default: '',
    unit: '',
    atOnce: true,
    schema: { type: 'string', maxLength: 8192 },
    check: checkFolders,
  },
  {
    name: 'cacheRoots',
    description: 'Folders in which others than admins may choose cache folders, with commas between.',
    default: '',
    unit: '',
    atOnce: true,
    schema: { type: 'string', maxLength: 8192 },
    check: checkFolders,
  },
  {
    name: 'auditDays',
    description: 'Days for which the audit log is kept.',
    default: '400',
    unit: 'days',
    atOnce: false,
    schema: { type: 'string', pattern: '^[1-9][0-9]{0,4}$' },
    check: (value: string): void => {
      if (!/^[1-9]\d{0,4}$/.test(value)) throw new CloudError('invalid', 'auditDays is a number of days')
    },
  },
  {
    name: 'probeSeconds',
    description: 'Seconds after which the provider of each mount is asked again whether it answers; 0 = only when something fails.',
    default: '60',
    unit: 'seconds',
    atOnce: true,
    schema: { type: 'string', pattern: '^(0|[1-9][0-9]{0,4})$' },
    check: (value: string): void => {
      if (!/^(0|[1-9]\d{0,4})$/.test(value)) throw new CloudError('invalid', 'probeSeconds is a number of seconds')
    },
  },
  {
    name: 'alertWebhook',
    description: 'Where alerts are sent: vault:NAME, ${VARIABLE} or file:/PATH of a secret that holds the address; empty = nowhere.',
    default: '',
    unit: '',
    atOnce: true,
    schema: { type: 'string', maxLength: 8192 },
    check: (value: string): void => checkReference('alertWebhook', value),
  },
  {
    name: 'alertWebhookKey',
    description: 'The key that signs what alertWebhook gets: vault:NAME, ${VARIABLE} or file:/PATH.',
    default: '',
    unit: '',
    atOnce: true,
    schema: { type: 'string', maxLength: 8192 },
    check: (value: string): void => checkReference('alertWebhookKey', value),
  },
  {
    name: 'alertWebhookPlain',
    description: 'Whether alertWebhook may be an address without encryption (http): yes or no.',
    default: 'no',
    unit: '',
    atOnce: true,
    schema: { type: 'string', enum: ['yes', 'no'] },
    check: (value: string): void => oneOf('alertWebhookPlain', value, ['yes', 'no']),
  },
  {
    name: 'stopTimeoutSeconds',
    description: 'Seconds that uploads and open files of a busy mount get when the service stops.',
    default: '30',
    unit: 'seconds',
    atOnce: false,
    schema: { type: 'string', pattern: '^[0-9]{1,5}$' },
    check: (value: string): void => {
      if (!/^\d{1,5}$/.test(value)) throw new CloudError('invalid', 'stopTimeoutSeconds is a number of seconds')
    },
  },
]

/** Throws `not-found` for a name that is none. */
export function settingNamed(name: string): Setting {
  const found = settings.find((setting) => setting.name === name)
  if (found === undefined) throw new CloudError('not-found', `there is no setting '${name.slice(0, 80)}'`)
  return found
}

/** What every setting is now, by name. */
export async function readSettings(table: Pick<SettingTable, 'get'>): Promise<ReadonlyMap<string, string>> {
  const entries = settings.map(async ({ name }) => [name, await readSetting(table, name)] as const)
  return new Map(await Promise.all(entries))
}

/** As it is set, or its default. */
export async function readSetting(table: Pick<SettingTable, 'get'>, name: string): Promise<string> {
  return (await table.get(name)) ?? settingNamed(name).default
}

export interface ListenAddress {
  readonly address: string
  readonly port: number
}

export function readListen(value: string): readonly ListenAddress[] {
  if (value === 'off') return []
  return list(value).map((entry) => {
    const match = /^(?:\[([0-9a-fA-F:]+)\]|([0-9.]+)):(\d{1,5})$/.exec(entry)
    const address = match?.[1] ?? match?.[2] ?? ''
    const port = Number(match?.[3])
    if (isIP(address) === 0 || port > 65_535)
      throw new CloudError('invalid', `'${entry}' is not ADDRESS:PORT such as 127.0.0.1:7434 or [::1]:7434`)
    return { address, port }
  })
}

export type TlsSetting = { readonly kind: 'off' | 'self-signed' } | { readonly kind: 'files'; readonly cert: string; readonly key: string }

export function readTls(value: string): TlsSetting {
  if (value === 'off' || value === 'self-signed') return { kind: value }
  const [cert = '', key = ''] = value.split(':')
  if (isAbsolute(cert) && isAbsolute(key)) return { kind: 'files', cert, key }
  throw new CloudError('invalid', 'tls is off, self-signed, or /path/to/certificate.pem:/path/to/key.pem')
}

export function list(value: string): readonly string[] {
  return value
    .split(',')
    .map((entry) => entry.trim())
    .filter((entry) => entry !== '')
}

function oneOf(name: string, value: string, values: readonly string[]): void {
  if (!values.includes(value)) throw new CloudError('invalid', `${name} is one of ${values.join(', ')}`)
}

function checkReference(name: string, value: string): void {
  if (/^(|vault:[A-Za-z0-9._-]{1,64}|\$\{[A-Za-z_][A-Za-z0-9_]*\}|file:\/.+)$/.test(value)) return
  throw new CloudError('invalid', `${name} says where a secret is: vault:NAME, \${VARIABLE} or file:/PATH`)
}

function checkFolders(value: string): void {
  const wrong = list(value).find((folder) => !isAbsolute(folder) || normalize(folder) !== folder || folder === '/')
  if (wrong !== undefined) throw new CloudError('invalid', `'${wrong}' is not an absolute path of a folder`)
}
