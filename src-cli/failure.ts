import type { ExitCode } from './exit-codes.ts'
import { exitCodes } from './exit-codes.ts'

export interface FailureDetail {
  readonly exitCode: ExitCode
  /** Reason of the service's error (`UNSENT_FILES`), or one of the command line's own. */
  readonly reason: string
  /** What to do, one sentence. */
  readonly hint?: string | undefined
  /** Leads to the log lines of the call. */
  readonly correlationId?: string | undefined
}

/** Ends a command with a message, a hint and an exit code. */
export class Failure extends Error {
  override readonly name = 'Failure'
  readonly exitCode: ExitCode
  readonly reason: string
  readonly hint: string | undefined
  readonly correlationId: string | undefined

  constructor(message: string, detail: FailureDetail) {
    super(message)
    this.exitCode = detail.exitCode
    this.reason = detail.reason
    this.hint = detail.hint
    this.correlationId = detail.correlationId
  }
}

/** The command line is wrong. */
export function usageFailure(message: string, hint?: string): Failure {
  return new Failure(message, { exitCode: exitCodes.usage, reason: 'USAGE', hint })
}

export function notFoundFailure(message: string, hint?: string): Failure {
  return new Failure(message, { exitCode: exitCodes.notFound, reason: 'NOT_FOUND', hint })
}
