import { CloudError } from '../../common/errors.ts'

export interface ServiceFlags {
  /** One service for the machine, instead of one for this user. */
  readonly system: boolean
  readonly print: 'version' | 'help' | null
}

export const usage = `Usage: cloudmoor-service [--system] [--foreground] [--version] [--help]
  --system      serve the whole machine (state in /var/lib/cloudmoor)
  --foreground  stay attached to the caller; it always does
The service keeps its state where CLOUDMOOR_HOME, XDG_STATE_HOME and XDG_RUNTIME_DIR say. cloudmoor(1) talks to it.
`

/** Throws `invalid` for what it does not know. */
export function readServiceFlags(args: readonly string[]): ServiceFlags {
  const known = ['--system', '--foreground', '--version', '--help']
  const unknown = args.find((arg) => !known.includes(arg))
  if (unknown !== undefined) throw new CloudError('invalid', `unknown argument '${unknown}'`, { hint: 'cloudmoor-service --help' })
  return {
    system: args.includes('--system'),
    print: args.includes('--version') ? 'version' : args.includes('--help') ? 'help' : null,
  }
}
