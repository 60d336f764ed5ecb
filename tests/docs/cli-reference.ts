import type { Command } from 'commander'
import { buildProgram } from '../../src-cli/program.ts'
import { exitCodeMeanings } from '../../src-cli/exit-codes.ts'
import type { Cli } from '../../src-cli/cli.ts'

const intro = `# The command line

Generated from the commands themselves: do not edit. \`npx vitest run tests/docs -u\` writes it anew.

\`cloudmoor\` talks to the service of the user over a unix socket and starts it when it is asked to change something and none runs. It looks for
services in this order: \`--server\`, \`CLOUDMOOR_HOME\` (\`$CLOUDMOOR_HOME/run/service.sock\`), the user's own
(\`$XDG_RUNTIME_DIR/cloudmoor/service.sock\`), the system's (\`/run/cloudmoor/service.sock\`). \`status\` says which one answered.

## JSON

With \`--json\` a command prints one JSON document (\`logs\` and \`status --watch\`: one a line) on stdout, and an error as
\`{"error": {"reason", "message", "hint", "correlationId", "exitCode"}}\` on stderr. Fields are added, never changed. Sizes are bytes, times ISO 8601.

\`cloudmoor status --json\`:

| field | meaning |
|---|---|
| \`service\` | \`address, kind (user, system), version, pid, since, stateDir, queue, queueComplete\`; \`null\` if none answers |
| \`mounts[]\` | \`id, name, state, since, reason, conditions[], path, pid (of the worker), providerId, remote, readOnly, access, enabled, queue, cache, hidden, options\` |
| \`mounts[].state\` | \`initializing, mounted, reconciling, unmounted, failed\` |
| \`mounts[].conditions[].kind\` | \`offline, throttled, paused, needs-sign-in, waiting-for-vault, cache-full\` |
| \`queue\` | \`files, bytes, parked, uploading\`: what the provider has not confirmed yet |

## Secrets

A secret never stands on a command line or in an environment, where others can see it: \`--set-secret key=-\` reads it from stdin (several: a line each),
\`key=@FILE\` from a file, \`key\` alone asks for it.

## Sizes and durations

Sizes are powers of 1,024: \`512M\`, \`10G\`, \`1.5T\`. Durations: \`30s\`, \`10m\`, \`2h\`, \`1d\`; a bare number is seconds.
`

/** Every command, depth first. */
function allCommands(command: Command, before: string): (readonly [name: string, command: Command])[] {
  return command.commands.flatMap((child) => {
    const name = `${before} ${child.name()}`
    return [[name, child] as const, ...allCommands(child, name)]
  })
}

/** The help of a command without what every command has. */
function ownHelp(command: Command): string {
  command.configureHelp({ ...command.configureHelp(), showGlobalOptions: false })
  return command
    .helpInformation()
    .replace(/\n {2}-h, --help .*\n/, '\n')
    .replace(/\nOptions:\n(?=\n|$)/, '')
    .trimEnd()
}

/** The text of docs/cli.md. */
export function cliReference(): string {
  const silent = { output: { json: false, interactive: false, print: () => undefined, note: () => undefined } } as unknown as Cli
  const program = buildProgram(silent)
  const codes = [
    '## Exit codes',
    '',
    '| code | meaning |',
    '|---|---|',
    ...exitCodeMeanings.map(([code, meaning]) => `| ${code} | ${meaning} |`),
    '',
  ]
  const commands = allCommands(program, 'cloudmoor').flatMap(([name, command]) => [
    `### ${name}`,
    '',
    '```text',
    ownHelp(command),
    '```',
    '',
  ])
  return [intro, ...codes, '## Commands', '', '```text', ownHelp(program), '```', '', ...commands].join('\n').trimEnd() + '\n'
}
