import { CloudError } from '../../common/errors.ts'
import { settingNamed } from '../store/settings.ts'

export interface ServiceFlags {
  /** One service for the machine, instead of one for this user. */
  readonly system: boolean
  /** Settings to keep from now on, checked. */
  readonly settings: readonly (readonly [name: string, value: string])[]
  readonly print: 'version' | 'help' | null
}

export const usage = `Usage: cloudmoor-service [--system] [--foreground] [--set NAME=VALUE]... [--version] [--help]
  --system      serve the whole machine (state in /var/lib/cloudmoor)
  --foreground  stay attached to the caller; it always does
  --set NAME=VALUE  keep a setting from now on: listen, tls, publicUrl, pathPrefix, trustedProxies, groupRole, mountRoots,
                cacheRoots, auditDays, stopTimeoutSeconds
The service keeps its state where CLOUDMOOR_HOME, XDG_STATE_HOME and XDG_RUNTIME_DIR say. cloudmoor(1) talks to it.
`

/** Throws `invalid` for what it does not know. */
export function readServiceFlags(args: readonly string[]): ServiceFlags {
  const known = ['--system', '--foreground', '--version', '--help']
  const given = args.flatMap((arg, index) => (args[index - 1] === '--set' ? [arg] : []))
  const unknown = args.find(
    (arg, index) => !known.includes(arg) && args[index - 1] !== '--set' && !(arg === '--set' && args[index + 1] !== undefined),
  )
  if (unknown !== undefined) throw new CloudError('invalid', `unknown argument '${unknown}'`, { hint: 'cloudmoor-service --help' })
  return {
    system: args.includes('--system'),
    settings: given.map(readSettingFlag),
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
