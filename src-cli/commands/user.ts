import type { Command } from 'commander'
import type { User } from '../../proto/gen/cloudmoor/v1/user_pb.js'
import type { Cli } from '../cli.ts'
import { notFoundFailure, usageFailure } from '../failure.ts'
import { safe, show, table } from '../output.ts'
import type { Service } from '../service.ts'
import { isoTime } from '../views.ts'
import { durationFlag } from './flags.ts'
import { grantView, readGrantFlags, scopeText, withGrantFlags } from './grant-flags.ts'
import type { GrantFlags } from './grant-flags.ts'

interface SetFlags extends GrantFlags {
  readonly name?: string
  readonly subject?: string
  readonly enable?: boolean
  readonly disable?: boolean
}

/** `cloudmoor user …`. */
export function addUserCommands(program: Command, cli: Cli): void {
  const user = program.command('user').description('people who use this service together')
  user
    .command('list')
    .description('list the users')
    .action(() => list(cli))
  withGrantFlags(user.command('add'))
    .argument('<name>', 'what to call the user')
    .option('--subject <id>', 'who this is for an outside identity provider')
    .option('--no-invite', 'make no link to set a password with')
    .description('add a user and print a link, valid once, with which the password is set')
    .action((name: string, flags: GrantFlags & { readonly subject?: string; readonly invite: boolean }) => add(cli, name, flags))
  withGrantFlags(user.command('set'))
    .argument('<name>', 'a user')
    .option('--name <name>', 'rename the user')
    .option('--subject <id>', 'who this is for an outside identity provider')
    .option('--disable', 'end what is open, and let nobody log in as this user')
    .option('--enable', 'let the user log in again')
    .description('change a user; what is open for the user ends at once')
    .action((name: string, flags: SetFlags) => set(cli, name, flags))
  user
    .command('invite')
    .argument('<name>', 'a user')
    .option('--for <duration>', 'how long the link is valid (3d unless told)', durationFlag)
    .description('print a link, valid once, with which the user sets a new password')
    .action((name: string, flags: { readonly for?: number | true }) => invite(cli, name, typeof flags.for === 'number' ? flags.for : null))
  user
    .command('remove')
    .argument('<name>', 'a user')
    .description('forget a user; what is open for the user ends at once')
    .action((name: string) => remove(cli, name))
}

function userView(user: User | undefined) {
  return {
    id: user?.id ?? '',
    name: user?.name ?? '',
    ...{ grant: grantView(user?.grant), disabled: user?.disabled ?? false, subject: user?.subject ?? '' },
    hasPassword: user?.hasPassword ?? false,
    invitedUntil: isoTime(user?.inviteExpireTime),
    lastLogin: isoTime(user?.loginTime),
  }
}

async function userNamed(service: Service, name: string): Promise<User> {
  const found = (await service.users.listUsers({ name })).users[0]
  if (found === undefined) throw notFoundFailure(`no user is called '${name}'`, 'cloudmoor user list')
  return found
}

async function list(cli: Cli): Promise<void> {
  const { users } = await (await cli.connect()).users.listUsers({ pageSize: 1000 })
  const views = users.map(userView)
  show(cli.output, views, () =>
    views.length === 0
      ? 'no users yet: cloudmoor user add NAME --role operator'
      : table(
          [
            { title: 'USER', value: (user) => safe(user.name) },
            { title: 'ROLE', value: (user) => user.grant.role },
            { title: 'MOUNTS', value: (user) => scopeText(user.grant) },
            { title: 'LAST LOGIN', value: (user) => user.lastLogin ?? '-' },
            { title: 'NOTE', value: (user) => (user.disabled ? 'disabled' : user.hasPassword ? '' : 'no password') },
          ],
          views,
        ),
  )
}

async function add(cli: Cli, name: string, flags: GrantFlags & { readonly subject?: string; readonly invite: boolean }): Promise<void> {
  const service = await cli.connectOrStart()
  const grant = await readGrantFlags(service, flags)
  if (grant === undefined) throw usageFailure('a user needs a role', 'add --role operator')
  const { user } = await service.users.createUser({ user: { name, grant, subject: flags.subject ?? '' }, requestId: crypto.randomUUID() })
  if (flags.invite) await printInvite(cli, service, user?.id ?? '', null, userView(user))
  else show(cli.output, userView(user), () => `added user '${name}'`)
}

async function set(cli: Cli, name: string, flags: SetFlags): Promise<void> {
  if (flags.enable === true && flags.disable === true) throw usageFailure('give --enable or --disable, not both')
  const service = await cli.connectOrStart()
  const grant = await readGrantFlags(service, flags)
  const disabled = flags.disable === true ? true : flags.enable === true ? false : undefined
  const given = {
    ...(flags.name === undefined ? {} : { name: flags.name }),
    ...(grant === undefined ? {} : { grant }),
    ...(flags.subject === undefined ? {} : { subject: flags.subject }),
    ...(disabled === undefined ? {} : { disabled }),
  }
  const paths = Object.keys(given)
  if (paths.length === 0) throw usageFailure('nothing to change')
  const { id, etag } = await userNamed(service, name)
  const { user } = await service.users.updateUser({ user: { ...given, id, etag }, updateMask: { paths } })
  show(cli.output, userView(user), () => `changed user '${flags.name ?? name}'`)
}

async function invite(cli: Cli, name: string, seconds: number | null): Promise<void> {
  const service = await cli.connectOrStart()
  const user = await userNamed(service, name)
  await printInvite(cli, service, user.id, seconds, userView(user))
}

async function printInvite(
  cli: Cli,
  service: Service,
  id: string,
  seconds: number | null,
  view: ReturnType<typeof userView>,
): Promise<void> {
  const lifetime = seconds === null ? {} : { lifetime: { seconds: BigInt(seconds) } }
  const { code, link, expireTime } = await service.users.inviteUser({ id, ...lifetime })
  show(cli.output, { ...view, code, link, expires: isoTime(expireTime) }, () => (link === '' ? code : link))
  if (!cli.output.json)
    cli.output.note(`Give it to '${safe(view.name)}' and nobody else: it works once, until ${isoTime(expireTime) ?? ''}.`)
}

async function remove(cli: Cli, name: string): Promise<void> {
  const service = await cli.connectOrStart()
  const { id, etag } = await userNamed(service, name)
  await service.users.removeUser({ id, etag })
  show(cli.output, { removed: name }, () => `removed user '${name}'`)
}
