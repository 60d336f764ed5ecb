import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Command } from 'commander'
import { Option } from 'commander'
import { GrantScope } from '../../proto/gen/cloudmoor/v1/grant_pb.js'
import type { Grant, GrantSchema } from '../../proto/gen/cloudmoor/v1/grant_pb.js'
import { Role } from '../../proto/gen/cloudmoor/v1/policy_pb.js'
import { usageFailure } from '../failure.ts'
import { mountNamed } from '../lookup.ts'
import type { Service } from '../service.ts'
import { word } from '../words.ts'
import { collect } from './flags.ts'

const roles = { admin: Role.ADMIN, operator: Role.OPERATOR, 'read-only': Role.READ_ONLY } as const

export interface GrantFlags {
  readonly role?: keyof typeof roles
  readonly mount: readonly string[]
  readonly label?: string
}

export function withGrantFlags(command: Command): Command {
  return command
    .addOption(new Option('--role <role>', 'what it may do').choices(Object.keys(roles)))
    .option('--mount <name>', 'only this mount; repeatable', collect, [])
    .option('--label <label>', 'only mounts with this label')
}

/** Undefined = no flag was given. */
export async function readGrantFlags(service: Service, flags: GrantFlags): Promise<MessageInitShape<typeof GrantSchema> | undefined> {
  if (flags.mount.length > 0 && flags.label !== undefined) throw usageFailure('give mounts or a label, not both')
  if (flags.role === undefined) {
    if (flags.mount.length === 0 && flags.label === undefined) return undefined
    throw usageFailure('a grant needs its role', 'add --role operator, or --role read-only')
  }
  const role = roles[flags.role]
  if (flags.label !== undefined) return { role, scope: GrantScope.LABEL, label: flags.label }
  if (flags.mount.length === 0) return { role, scope: GrantScope.ALL }
  const mountIds: string[] = []
  for (const name of flags.mount) mountIds.push((await mountNamed(service, name)).id)
  return { role, scope: GrantScope.MOUNTS, mountIds }
}

export interface GrantView {
  readonly role: string
  readonly scope: string
  readonly mountIds: readonly string[]
  readonly label: string
}

export function grantView(grant: Grant | undefined): GrantView {
  return {
    role: word(Role, grant?.role ?? Role.UNSPECIFIED),
    scope: word(GrantScope, grant?.scope ?? GrantScope.UNSPECIFIED),
    mountIds: grant?.mountIds ?? [],
    label: grant?.label ?? '',
  }
}

/** Which mounts, in a few words. */
export function scopeText({ scope, mountIds, label }: GrantView): string {
  if (scope === 'label') return `label ${label}`
  return scope === 'mounts' ? `${mountIds.length} mount${mountIds.length === 1 ? '' : 's'}` : 'all mounts'
}
