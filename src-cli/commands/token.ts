import type { Command } from 'commander'
import type { Token } from '../../proto/gen/cloudmoor/v1/token_pb.js'
import type { Cli } from '../cli.ts'
import { notFoundFailure, usageFailure } from '../failure.ts'
import { safe, show, table } from '../output.ts'
import type { Service } from '../service.ts'
import { isoTime } from '../views.ts'
import { durationFlag } from './flags.ts'
import { grantView, readGrantFlags, scopeText, withGrantFlags } from './grant-flags.ts'
import type { GrantFlags } from './grant-flags.ts'

/** `cloudmoor token …`. */
export function addTokenCommands(program: Command, cli: Cli): void {
  const token = program.command('token').description('tokens for programs: Authorization: Bearer cmt_…')
  token
    .command('list')
    .description('list the tokens; never their text')
    .action(() => list(cli))
  withGrantFlags(token.command('create'))
    .argument('<name>', 'what to call the token')
    .option('--expires <duration>', 'how long it is valid, such as 90d; never ends unless told', durationFlag)
    .description('make a token and print its text, once')
    .action((name: string, flags: GrantFlags & { readonly expires?: number | true }) => create(cli, name, flags))
  token
    .command('rotate')
    .argument('<name>', 'a token')
    .description('print another text; the one before, and what is open for it, ends at once')
    .action((name: string) => rotate(cli, name))
  token
    .command('revoke')
    .argument('<name>', 'a token')
    .description('end a token, and what is open for it, at once')
    .action((name: string) => revoke(cli, name))
}

function tokenView(token: Token | undefined) {
  return {
    ...{ id: token?.id ?? '', name: token?.name ?? '', grant: grantView(token?.grant) },
    ...{ expires: isoTime(token?.expireTime), lastUsed: isoTime(token?.useTime), usedFrom: token?.usedFrom ?? '' },
    ...{ createdBy: token?.createdBy ?? '', created: isoTime(token?.createTime) },
  }
}

async function tokenNamed(service: Service, name: string): Promise<Token> {
  const found = (await service.tokens.listTokens({ name })).tokens[0]
  if (found === undefined) throw notFoundFailure(`no token is called '${name}'`, 'cloudmoor token list')
  return found
}

async function list(cli: Cli): Promise<void> {
  const { tokens } = await (await cli.connect()).tokens.listTokens({ pageSize: 1000 })
  const views = tokens.map(tokenView)
  show(cli.output, views, () =>
    views.length === 0
      ? 'no tokens yet: cloudmoor token create NAME --role read-only'
      : table(
          [
            { title: 'TOKEN', value: (token) => safe(token.name) },
            { title: 'ROLE', value: (token) => token.grant.role },
            { title: 'MOUNTS', value: (token) => scopeText(token.grant) },
            { title: 'EXPIRES', value: (token) => token.expires ?? 'never' },
            { title: 'LAST USED', value: (token) => (token.lastUsed === null ? '-' : `${token.lastUsed} from ${safe(token.usedFrom)}`) },
          ],
          views,
        ),
  )
}

const once = 'Keep it now: it is not shown again.'

async function create(cli: Cli, name: string, flags: GrantFlags & { readonly expires?: number | true }): Promise<void> {
  const service = await cli.connectOrStart()
  const grant = await readGrantFlags(service, flags)
  if (grant === undefined) throw usageFailure('a token needs a role', 'add --role read-only')
  const end = typeof flags.expires === 'number' ? { expireTime: { seconds: BigInt(Math.floor(Date.now() / 1000) + flags.expires) } } : {}
  const { token, text } = await service.tokens.createToken({ token: { name, grant, ...end } })
  show(cli.output, { ...tokenView(token), text }, () => text)
  if (!cli.output.json) cli.output.note(once)
}

async function rotate(cli: Cli, name: string): Promise<void> {
  const service = await cli.connectOrStart()
  const { token, text } = await service.tokens.rotateToken({ id: (await tokenNamed(service, name)).id })
  show(cli.output, { ...tokenView(token), text }, () => text)
  if (!cli.output.json) cli.output.note(once)
}

async function revoke(cli: Cli, name: string): Promise<void> {
  const service = await cli.connectOrStart()
  await service.tokens.revokeToken({ id: (await tokenNamed(service, name)).id })
  show(cli.output, { revoked: name }, () => `token '${name}' is valid no more`)
}
