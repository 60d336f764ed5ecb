import type { Command } from 'commander'
import { describe, expect, it } from 'vitest'
import { buildProgram } from '../../src-cli/program.ts'
import { runCli } from './run-cli.ts'

/** What commands print, in tests/cli/golden; `npx vitest run tests/cli -u` writes the files anew. */
const commands: readonly string[] = [
  'status',
  'status --json',
  'status /home/ada/photos/2026/a.raw',
  'status /home/ada/photos/2026/a.raw --json',
  'status /elsewhere',
  'mount list',
  'mount list --json',
  'mount show photos',
  'mount show photos --json',
  'mount show phots',
  'mount photos',
  'mount photos --json',
  'mount add new --provider photos --path /home/ada/new --cache-size 10G --option fsync=remote',
  'mount add new --provider photos --path /home/ada/new --option fsyn=remote',
  'mount add new --provider photos',
  'mount add new --provider photos --path /x --cache-size lots',
  'mount remove photos',
  'mount remove photos --json',
  'settings list',
  'settings list --json',
  'settings set auditDays 30',
  'settings set auditDay 30',
  'settings reset mountRoots',
  'backup create /tmp/a.backup',
  'backup create /tmp/a.backup --json',
  'backup verify /tmp/a.backup',
  'backup verify /tmp/a.db',
  'backup verify /tmp/a.bad',
  'orphans list',
  'orphans list --json',
  'orphans adopt old --name new',
  'orphans adopt other',
  'orphans export old /tmp/out',
  'orphans discard old --files 3',
  'orphans discard old --files 1',
  'unmount photos',
  'unmount photos --force',
  'config list',
  'config list --json',
  'config show photos',
  'config types',
  'config types s3',
  'config types s4',
  'config test photos',
  'config test photos --json',
  'config remove photos',
  'config create x --provider s3',
  'config create x --provider s3 --set buckte=b',
  'config create x --provider s3 --set secretAccessKey=abc',
  'config create x --provider s3 --set bucket=b --set-secret secretAccessKey=abc',
  'config create x --provider s3 --json',
  'config export',
  'config export --json',
  'config import /absent',
  'config vault status',
  'config vault status --json',
  'config vault test',
  'config vault unlock',
  'config vault lock',
  'config vault rotate --json',
  'config vault recovery-key',
  'config vault list',
  'config vault slots list',
  'config vault slots list --json',
  'config vault slots add credential',
  'config vault slots add magic',
  'config vault slots add passphrase',
  'config vault slots remove slot-1',
  'files ls /home/ada/photos',
  'files ls /home/ada/photos --json',
  'files search /home/ada/photos raw',
  'files pin /home/ada/photos/2026',
  'files free /home/ada/photos/2026',
  'files mv /home/ada/photos/a /home/ada/photos/b',
  'files mv /home/ada/photos/a /elsewhere/b',
  'files rm /home/ada/photos/2026',
  'cache show photos',
  'cache show photos --json',
  'cache clear photos',
  'conflicts list',
  'conflicts list --json',
  'conflicts resolve photos q1 --keep mine',
  'conflicts resolve photos q1 --keep yours',
  'conflicts resolve photos q1',
  'audit list',
  'audit export',
  'audit export --format csv',
  'alerts list',
  'alerts list --json',
  'alerts list photos --all',
  'alerts ack 0123456789abcdef',
  'alerts resolve 0123456789abcdef',
  'transfers confirm',
  'transfers confirm --json',
  'transfers',
  'transfers --json',
  'transfers retry photos 2',
  'logs',
  'logs --json',
  'statsu',
  'statsu --json',
]

const helpOf = (path: readonly string[]): string => [...path, '--help'].join(' ')

/** Every command and subcommand, as words. */
function paths(command: Command, before: readonly string[] = []): (readonly string[])[] {
  return command.commands.flatMap((child) => [[...before, child.name()], ...paths(child, [...before, child.name()])])
}

/** Uptimes differ from run to run. */
const steady = (text: string): string =>
  text.replaceAll(/, up [^,]+, at/g, ', up TIME, at').replaceAll(/"since":"[^"]*","stateDir"/g, '"since":"TIME","stateDir"')

const fileOf = (line: string): string => `golden/${line.replaceAll(/[^a-z0-9.=-]+/gi, '_')}.txt`

async function transcript(line: string): Promise<string> {
  const { code, stdout, stderr } = await runCli(line.split(' '))
  return steady(`$ cloudmoor ${line}\n${stdout}${stderr === '' ? '' : `--- stderr\n${stderr}`}--- exit ${code}\n`)
}

describe('what commands print', () => {
  it.each(commands)('%s', async (line) => {
    await expect(await transcript(line)).toMatchFileSnapshot(fileOf(line))
  })
})

describe('help', () => {
  const noCli = { output: { json: false, interactive: false, print: () => undefined, note: () => undefined } }
  const all = paths(buildProgram({ ...noCli } as never))

  it.each([[], ...all].map(helpOf))('%s', async (line) => {
    await expect(await transcript(line)).toMatchFileSnapshot(fileOf(line))
  })
})
