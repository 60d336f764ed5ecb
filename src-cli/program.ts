import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Command, Help } from 'commander'
import type { Option } from 'commander'
import type { Cli } from './cli.ts'
import { addAlertCommands } from './commands/alerts.ts'
import { addAuditCommands } from './commands/audit.ts'
import { addBackupCommands } from './commands/backup.ts'
import { addCacheCommands } from './commands/cache.ts'
import { addConfigCommands } from './commands/config.ts'
import { addConflictCommands } from './commands/conflicts.ts'
import { addDoctorCommand } from './commands/doctor.ts'
import { addFileCommands } from './commands/files.ts'
import { addLogsCommand } from './commands/logs.ts'
import { addMountCommands } from './commands/mount.ts'
import { addOrphanCommands } from './commands/orphans.ts'
import { addServiceCommands } from './commands/service.ts'
import { addSettingCommands } from './commands/settings.ts'
import { addSessionCommands } from './commands/session.ts'
import { addStatusCommand } from './commands/status.ts'
import { addTokenCommands } from './commands/token.ts'
import { addTransferCommands } from './commands/transfers.ts'
import { addUserCommands } from './commands/user.ts'
import { installation } from './places.ts'

/** The whole command line. Nothing is read or connected until a command runs. */
export function buildProgram(cli: Cli): Command {
  const program = new Command('cloudmoor')
    .description('Cloud storage as a drive.')
    .version(version(), '-V, --version', 'print the version')
    .option('--json', 'print results as JSON, one document a line; errors too')
    .option('--server <socket>', 'ask the service behind this socket')
    .showHelpAfterError('(add --help for the usage)')
    .configureHelp({ showGlobalOptions: true, helpWidth: 100, optionDescription })
    .configureOutput({
      writeOut: (text) => cli.output.print(text.trimEnd()),
      writeErr: (text) => (cli.output.json ? undefined : cli.output.note(text.trimEnd())),
    })
    .exitOverride()
  addConfigCommands(program, cli)
  addMountCommands(program, cli)
  addStatusCommand(program, cli)
  addFileCommands(program, cli)
  addCacheCommands(program, cli)
  addTransferCommands(program, cli)
  addConflictCommands(program, cli)
  addAlertCommands(program, cli)
  addOrphanCommands(program, cli)
  addLogsCommand(program, cli)
  addDoctorCommand(program, cli)
  addServiceCommands(program, cli)
  addSettingCommands(program, cli)
  addBackupCommands(program, cli)
  addUserCommands(program, cli)
  addTokenCommands(program, cli)
  addSessionCommands(program, cli)
  addAuditCommands(program, cli)
  return program
}

/** A default that is nothing needs no words. */
function optionDescription(option: Option): string {
  return new Help().optionDescription(option).replace(/ \(default: (false|\[\]|"")\)$/, '')
}

function version(): string {
  const manifest = JSON.parse(readFileSync(join(installation, 'package.json'), 'utf8')) as { readonly version: string }
  return manifest.version
}
