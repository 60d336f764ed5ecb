import { isAbsolute } from 'node:path'
import { CloudError } from '../../common/errors.ts'
import { settingNamed } from '../store/settings.ts'

export interface ServiceFlags {
  /** One service for the machine, instead of one for this user. */
  readonly system: boolean
  /** File or folder that says what is configured; null = nothing but the API does. */
  readonly config: string | null
  /** Where the database is, if not in the state: absolute path. */
  readonly database: string | null
  /** Backup that takes the place of the database before it is opened. */
  readonly restore: { readonly path: string; readonly passphraseFile: string | null } | null
  /** Settings to keep from now on, checked. */
  readonly settings: readonly (readonly [name: string, value: string])[]
  readonly print: 'version' | 'help' | null
}

export const usage = `Usage: cloudmoor-service [--system] [--config PATH] [--database PATH] [--set NAME=VALUE]...
                         [--restore BACKUP [--passphrase-file PATH]] [--foreground] [--version] [--help]
  --system          serve the whole machine (state in /var/lib/cloudmoor)
  --config PATH     a YAML file, or a folder of them, that says what is configured; read again at SIGHUP
  --database PATH   the database, if not service.db in the state; on a disk of this machine
  --restore BACKUP  put a backup (or a copy that a migration made) in the place of the database, then start; the old one is kept
                    beside it. --passphrase-file opens the key files in it
  --set NAME=VALUE  keep a setting from now on: listen, tls, publicUrl, pathPrefix, trustedProxies, groupRole, mountRoots,
                    cacheRoots, auditDays, stopTimeoutSeconds
  --foreground      stay attached to the caller; it always does
The service keeps its state where CLOUDMOOR_HOME, XDG_STATE_HOME and XDG_RUNTIME_DIR say. cloudmoor(1) talks to it.
`

const pathFlags = ['--database', '--restore', '--passphrase-file']

/** What a successor is started with: a restore is done once. */
export function withoutRestore(args: readonly string[]): string[] {
  const once = ['--restore', '--passphrase-file']
  return args.filter((arg, index) => !once.includes(arg) && !once.includes(args[index - 1] ?? ''))
}

/** Throws `invalid` for what it does not know. */
export function readServiceFlags(args: readonly string[]): ServiceFlags {
  const known = ['--system', '--foreground', '--version', '--help']
  const takesValue = (arg: string | undefined): boolean => ['--set', '--config', ...pathFlags].includes(arg ?? '')
  const valuesOf = (flag: string): string[] => args.flatMap((arg, index) => (args[index - 1] === flag ? [arg] : []))
  const unknown = args.find(
    (arg, index) => !known.includes(arg) && !takesValue(args[index - 1]) && !(takesValue(arg) && args[index + 1] !== undefined),
  )
  if (unknown !== undefined) throw new CloudError('invalid', `unknown argument '${unknown}'`, { hint: 'cloudmoor-service --help' })
  const pathOf = (flag: string): string | null => {
    const path = valuesOf(flag).at(-1) ?? null
    if (path !== null && !isAbsolute(path)) throw new CloudError('invalid', `${flag} needs an absolute path`)
    return path
  }
  const [config, restore] = [pathOf('--config'), pathOf('--restore')]
  return {
    system: args.includes('--system'),
    config,
    database: pathOf('--database'),
    restore: restore === null ? null : { path: restore, passphraseFile: pathOf('--passphrase-file') },
    settings: valuesOf('--set').map(readSettingFlag),
    print: args.includes('--version') ? 'version' : args.includes('--help') ? 'help' : null,
  }
}

function readSettingFlag(text: string): readonly [name: string, value: string] {
  const at = text.indexOf('=')
  if (at < 1) throw new CloudError('invalid', `--set ${text}: give NAME=VALUE`)
  const [name, value] = [text.slice(0, at), text.slice(at + 1)]
  try {
    settingNamed(name).check(value)
  } catch (caught) {
    throw new CloudError('invalid', `--set ${name}: ${CloudError.from(caught).message}`, { cause: caught })
  }
  return [name, value]
}
