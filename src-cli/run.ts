import { CommanderError } from 'commander'
import type { Cli } from './cli.ts'
import type { ExitCode } from './exit-codes.ts'
import { exitCodes } from './exit-codes.ts'
import type { Failure } from './failure.ts'
import { usageFailure } from './failure.ts'
import { failureOf } from './failure-of.ts'
import { colour, safe } from './output.ts'
import { buildProgram } from './program.ts'

/** Runs one command line. Never throws; what failed was said. */
export async function run(cli: Cli, args: readonly string[]): Promise<ExitCode> {
  try {
    await buildProgram(cli).parseAsync(args, { from: 'user' })
    return exitCodes.ok
  } catch (error) {
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return exitCodes.ok
      // Commander has printed its message, but not as JSON.
      if (cli.output.json) say(cli, usageFailure(error.message.replace(/^error: /, '')))
      return exitCodes.usage
    }
    if (cli.signal.aborted) return exitCodes.failed
    const failure = failureOf(error)
    say(cli, failure)
    return failure.exitCode
  }
}

function say(cli: Cli, failure: Failure): void {
  const { message, reason, hint, correlationId } = failure
  if (cli.output.json) {
    cli.output.note(
      JSON.stringify({ error: { reason, message, hint: hint ?? '', correlationId: correlationId ?? '', exitCode: failure.exitCode } }),
    )
    return
  }
  const lines = message.split('\n').map(safe)
  cli.output.note(`${colour(cli.output, 'red', 'cloudmoor:')} ${lines.join('\n')}`)
  if (hint !== undefined) cli.output.note(`  -> ${safe(hint)}`)
  if (correlationId !== undefined) cli.output.note(`  (cloudmoor logs --call ${correlationId})`)
}
