import type { Command } from 'commander'
import { spawn } from 'node:child_process'
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Cli } from '../cli.ts'
import { safe, show, table } from '../output.ts'
import { runtimeFolder } from '../places.ts'
import { isoTime } from '../views.ts'

/** `cloudmoor session …` and `cloudmoor ui`. */
export function addSessionCommands(program: Command, cli: Cli): void {
  const session = program.command('session').description('logins of browsers')
  session
    .command('list')
    .description('list the open sessions')
    .action(() => list(cli))
  session
    .command('revoke')
    .argument('<id>', 'a session')
    .description('end a session, and what is open for it, at once')
    .action((id: string) => revoke(cli, id))
  program
    .command('ui')
    .option('--print', 'print the address, and open nothing', false)
    .description('open the page of the service in the browser (this version has no web UI yet); its address logs in once, within a minute')
    .action((flags: { readonly print: boolean }) => ui(cli, flags.print))
}

async function list(cli: Cli): Promise<void> {
  const { sessions } = await (await cli.connect()).sessions.listSessions({})
  const views = sessions.map(({ id, principal, address, createTime, expireTime, useTime }) => ({
    ...{ id, principal, address, opened: isoTime(createTime), expires: isoTime(expireTime), lastUsed: isoTime(useTime) },
  }))
  show(cli.output, views, () =>
    views.length === 0
      ? 'no sessions are open'
      : table(
          [
            { title: 'SESSION', value: (view) => view.id },
            { title: 'WHO', value: (view) => safe(view.principal) },
            { title: 'FROM', value: (view) => safe(view.address) },
            { title: 'LAST USED', value: (view) => view.lastUsed ?? '-' },
            { title: 'EXPIRES', value: (view) => view.expires ?? '-' },
          ],
          views,
        ),
  )
}

async function revoke(cli: Cli, id: string): Promise<void> {
  await (await cli.connectOrStart()).sessions.revokeSession({ id })
  show(cli.output, { revoked: id }, () => `session ${id} is over`)
}

async function ui(cli: Cli, printOnly: boolean): Promise<void> {
  const { link, expireTime } = await (await cli.connectOrStart()).sessions.createLoginCode({})
  const opened = !printOnly && cli.output.interactive && (await openBrowser(link))
  show(cli.output, { link, expires: isoTime(expireTime), opened }, () => (opened ? 'opened in the browser' : link))
}

/**
 * False where there is no desktop to open it on. The address logs in, and command lines can be read by every user of the machine: the
 * browser is given a page of this user alone that leads there.
 */
async function openBrowser(link: string): Promise<boolean> {
  if (process.env['DISPLAY'] === undefined && process.env['WAYLAND_DISPLAY'] === undefined) return false
  const page = join(runtimeFolder(process.env), 'ui.html')
  await writeFile(page, `<!doctype html><meta http-equiv="refresh" content="0;url=${link}"><title>CloudMoor</title>`, { mode: 0o600 })
  return new Promise((resolve) => {
    const child = spawn('xdg-open', [page], { stdio: 'ignore', detached: true })
    child.once('error', () => resolve(false))
    child.once('spawn', () => {
      child.unref()
      resolve(true)
    })
  })
}
