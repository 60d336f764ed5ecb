/** `cloudmoor`: the command line. Wires the process's streams to the commands. */
import { socketPlaces } from '../proto/client/find-socket.ts'
import type { Cli } from './cli.ts'
import { terminalPrompts } from './prompts.ts'
import { readAll } from './read-all.ts'
import { printer } from './result-stream.ts'
import { run } from './run.ts'
import { connectTo } from './service.ts'
import { connectOrStart, startService } from './start-service.ts'

const args = process.argv.slice(2)
/** Known before the commands are built: errors of the command line itself are JSON, too. */
const json = args.includes('--json')
const server = valueOf(args, '--server')
const interrupted = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => interrupted.abort())

const cli: Cli = {
  output: {
    json,
    interactive: process.stdout.isTTY && process.env['NO_COLOR'] === undefined,
    print: printer(process.stdout),
    note: (text) => process.stderr.write(`${text}\n`),
  },
  prompts: process.stdin.isTTY && process.stderr.isTTY && !json ? terminalPrompts() : null,
  readStdin: () => readAll(process.stdin, 'stdin'),
  places: () => socketPlaces({ server }),
  connect: () => connectTo(server),
  connectOrStart: () => connectOrStart(server, process.env),
  startWith: (flags) => startService(process.env, flags),
  signal: interrupted.signal,
}

process.exitCode = await run(cli, args)

function valueOf(list: readonly string[], flag: string): string | undefined {
  const at = list.findIndex((arg) => arg === flag || arg.startsWith(`${flag}=`))
  const found = list[at]
  if (found === undefined) return undefined
  return found === flag ? list[at + 1] : found.slice(flag.length + 1)
}
