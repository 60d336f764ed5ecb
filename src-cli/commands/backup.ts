import { resolve } from 'node:path'
import type { Command } from 'commander'
import type { Backup } from '../../proto/gen/cloudmoor/v1/backup_pb.js'
import type { Cli } from '../cli.ts'
import { facts, safe, show } from '../output.ts'
import { readSecretFrom } from '../secret-source.ts'
import { isGone, type Service } from '../service.ts'
import { formatSize } from '../sizes.ts'
import { isoTime, queueView } from '../views.ts'
import { durationFlag } from './flags.ts'
import { nextService } from './service.ts'
import { queueText } from '../status-text.ts'

interface Flags {
  readonly passphraseFile?: string
}

interface RestoreFlags extends Flags {
  readonly timeout?: number
}

/** `cloudmoor backup …`. */
export function addBackupCommands(program: Command, cli: Cli): void {
  const backup = program.command('backup').description('the service’s database as one file: accounts, mounts, users, settings, vault')
  backup
    .command('create')
    .argument('<file>', 'what to write; must not exist')
    .description('write a backup; files that wait for upload are listed, they are not in it')
    .option('--passphrase-file <file>', 'put the key files in it, too, sealed with this passphrase')
    .action((file: string, flags: Flags) => create(cli, resolve(file), flags))
  backup
    .command('verify')
    .argument('<file>', 'a backup')
    .description('read all of it, and compare it with its hashes')
    .option('--passphrase-file <file>', 'try this passphrase on the key files in it')
    .action((file: string, flags: Flags) => verify(cli, resolve(file), flags))
  backup
    .command('restore')
    .argument('<file>', 'a backup, or a copy that a migration made')
    .description('replace the database; mounts are unmounted first, and what is not uploaded stays')
    .option('--passphrase-file <file>', 'take the key files out of it, too')
    .option('--timeout <duration>', 'longest wait for uploads before; 0 = none', durationFlag)
    .action((file: string, flags: RestoreFlags) => restore(cli, resolve(file), flags))
}

async function passphraseOf(cli: Cli, { passphraseFile }: Flags): Promise<string> {
  return passphraseFile === undefined ? '' : readSecretFrom(cli, `@${passphraseFile}`, '--passphrase-file FILE', 'Passphrase of the backup')
}

function backupView(file: string, backup: Backup | undefined) {
  return {
    file,
    program: backup?.program ?? '',
    created: isoTime(backup?.createTime),
    bytes: Number(backup?.bytes ?? 0),
    sha256: backup?.sha256 ?? '',
    withKeys: backup?.withKeys ?? false,
    unsent: (backup?.unsent ?? []).map(({ name, files, bytes }) => ({ name, files: Number(files), bytes: Number(bytes) })),
  }
}

type BackupView = ReturnType<typeof backupView>

function backupText(done: string, view: BackupView): string {
  const { unsent } = view
  return [
    done,
    facts([
      ['Made', view.created === null ? undefined : `${view.created} by CloudMoor ${view.program}`],
      ['Database', `${formatSize(view.bytes)}, SHA-256 ${view.sha256}`],
      ['Keys', view.withKeys ? 'in it, under the passphrase' : 'not in it: the vault opens with its own slots'],
    ]),
    ...unsent.map(({ name, files, bytes }) => `not uploaded then, and not in it: ${safe(name)}: ${files} files, ${formatSize(bytes)}`),
  ].join('\n')
}

async function create(cli: Cli, path: string, flags: Flags): Promise<void> {
  const service = await cli.connectOrStart()
  const { backup } = await service.backups.createBackup({ path, passphrase: await passphraseOf(cli, flags) }, { timeoutMs: 600_000 })
  const view = backupView(path, backup)
  show(cli.output, view, () => backupText(`wrote ${safe(path)}`, view))
}

async function verify(cli: Cli, path: string, flags: Flags): Promise<void> {
  const service = await cli.connectOrStart()
  const { backup } = await service.backups.verifyBackup({ path, passphrase: await passphraseOf(cli, flags) }, { timeoutMs: 600_000 })
  const view = backupView(path, backup)
  const plain = `${safe(path)} is a plain copy of a database: it can be read, but nothing says whether it is as it was written`
  show(cli.output, view, () => (view.program === '' ? plain : backupText(`${safe(path)} is whole`, view)))
}

async function restore(cli: Cli, path: string, flags: RestoreFlags): Promise<void> {
  const running = await runningService(cli)
  const unsent = running === null ? [] : await restoreIn(cli, running, path, flags)
  const service = running === null ? await cli.startWith(startFlags(path, flags)) : await nextService(cli, running.pid)
  const { orphans } = await service.orphans.listOrphans({}, { timeoutMs: 600_000 })
  show(cli.output, { restored: path, unsent, orphans: orphans.map(({ id, name }) => ({ id, name })) }, () =>
    [
      `restored ${safe(path)}`,
      ...unsent.map(({ name, queue }) => `not uploaded, kept here: ${safe(name)}: ${queueText(queue)}`),
      ...orphans.map(({ id, name }) => `without a mount now: ${safe(name === '' ? id : name)}: cloudmoor orphans list`),
    ].join('\n'),
  )
}

function startFlags(path: string, { passphraseFile }: Flags): string[] {
  return ['--restore', path, ...(passphraseFile === undefined ? [] : ['--passphrase-file', resolve(passphraseFile)])]
}

/** Null: none answers, perhaps because its database cannot be opened. */
async function runningService(cli: Cli): Promise<{ readonly service: Service; readonly pid: number } | null> {
  try {
    const service = await cli.connect()
    return { service, pid: (await service.system.getStatus({})).pid }
  } catch (error) {
    if (isGone(error)) return null
    throw error
  }
}

async function restoreIn(cli: Cli, { service }: { readonly service: Service }, path: string, flags: RestoreFlags) {
  const { timeout } = flags
  const answer = await service.backups.restoreBackup(
    { path, passphrase: await passphraseOf(cli, flags), ...(timeout === undefined ? {} : { uploadTimeout: { seconds: BigInt(timeout) } }) },
    { timeoutMs: ((timeout ?? 600) + 180) * 1000, signal: cli.signal },
  )
  service.close()
  return answer.unsent.map(({ name, queue }) => ({ name, queue: queueView(queue) }))
}
