import { ConnectError } from '@connectrpc/connect'
import { readError } from '../proto/client/read-error.ts'
import type { ExitCode } from './exit-codes.ts'
import { exitCodes } from './exit-codes.ts'
import { Failure } from './failure.ts'
import { fileFailure } from './local-files.ts'
import { PromptCancelled } from './prompts.ts'

/** Whatever ended a command, as a Failure. */
export function failureOf(caught: unknown): Failure {
  if (caught instanceof Failure) return caught
  if (caught instanceof PromptCancelled) return new Failure('cancelled', { exitCode: exitCodes.failed, reason: 'CANCELLED' })
  if (caught instanceof ConnectError) {
    const error = readError(caught)
    return new Failure(error.message, {
      exitCode: exitCodeOf(error.reason, error.status),
      reason: error.reason === '' ? error.status : error.reason,
      hint: error.hint === '' ? hints[error.reason] : error.hint,
      correlationId: error.correlationId === '' ? undefined : error.correlationId,
    })
  }
  return (
    fileFailure(caught) ??
    new Failure(caught instanceof Error ? caught.message : String(caught), { exitCode: exitCodes.failed, reason: 'FAILED' })
  )
}

/** What the command line itself knows to do. */
const hints: Readonly<Record<string, string>> = {
  NO_SERVICE: 'cloudmoor service start',
  UNSENT_FILES: 'wait for them with --wait, or look at them with: cloudmoor transfers',
  MOUNT_BUSY: 'end these processes, or use --force: open files are served for a while, then fail',
  PROVIDER_IN_USE: 'remove these mounts first: cloudmoor mount remove NAME',
  MOUNT_POINT_MISSING: 'make the folder first',
  NO_FUSE: 'cloudmoor doctor says what is missing',
  NO_MOUNT_RIGHT: 'cloudmoor doctor says what is missing',
  SIGN_IN: 'give the credentials again: cloudmoor config set NAME --set-secret KEY',
  UNKNOWN_OPTION: 'cloudmoor config types TYPE lists them',
  GARBAGE: 'check the endpoint; something between here and the provider, a proxy or a login page, may have answered in its place',
  THROTTLED: 'the provider asks to wait: try again later',
  UNAVAILABLE: 'the provider has a problem of its own: try again later',
  TIMEOUT: 'the provider took too long: try again later',
  SECRETS_NEEDED: 'give every secret again with --set-secret',
  VAULT_LOCKED: 'cloudmoor config vault unlock',
}

function exitCodeOf(reason: string, status: string): ExitCode {
  if (reason === 'NO_SERVICE') return exitCodes.noService
  if (reason === 'SIGN_IN' || reason === 'ACCESS') return exitCodes.signIn
  switch (status) {
    case 'NotFound':
      return exitCodes.notFound
    case 'InvalidArgument':
      return exitCodes.usage
    case 'AlreadyExists':
    case 'FailedPrecondition':
    case 'Aborted':
      return exitCodes.refused
    case 'Unavailable':
    case 'DeadlineExceeded':
    case 'ResourceExhausted':
      return exitCodes.tryLater
    default:
      return exitCodes.failed
  }
}
