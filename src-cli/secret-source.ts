import type { Cli } from './cli.ts'
import { usageFailure } from './failure.ts'
import { readText } from './local-files.ts'

/**
 * One secret from where a flag says: `-` is stdin, `@FILE` a file, undefined asks at the terminal. A newline at the end is dropped.
 * Throws a usage Failure for anything else: a secret must not stand on a command line.
 */
export async function readSecretFrom(cli: Cli, source: string | undefined, flag: string, question: string): Promise<string> {
  const value = await read(cli, source, flag.split(' ')[0] ?? flag, question)
  if (value === '') throw usageFailure('the secret is empty')
  return value
}

async function read(cli: Cli, source: string | undefined, flag: string, question: string): Promise<string> {
  if (source === undefined) {
    if (cli.prompts === null) throw usageFailure('nobody can be asked for the secret here', `use ${flag} - or ${flag} @FILE`)
    return cli.prompts.secret(question)
  }
  if (source === '-') return (await cli.readStdin()).replace(/\r?\n$/, '')
  if (!source.startsWith('@')) throw usageFailure(`${flag} …: a secret must not stand on a command line`, `use ${flag} - or ${flag} @FILE`)
  return (await readText(source.slice(1))).replace(/\r?\n$/, '')
}
