import { resolve } from 'node:path'
import type { MessageInitShape } from '@bufbuild/protobuf'
import type { Command } from 'commander'
import { Option } from 'commander'
import type { MountSchema } from '../../proto/gen/cloudmoor/v1/mount_pb.js'
import { MountAccess } from '../../proto/gen/cloudmoor/v1/mount_pb.js'
import { usageFailure } from '../failure.ts'
import { nearest } from '../nearest.ts'
import { splitPair } from '../provider-options.ts'
import { collect, sizeFlag, umaskFlag, wholeFlag } from './flags.ts'

/** What `mount add` and `mount set` have in common. */
export interface MountFlags {
  readonly path?: string
  readonly cacheSize?: number
  readonly readOnly?: boolean
  readonly access?: 'owner' | 'all'
  readonly uid?: number
  readonly gid?: number
  readonly umask?: number
  readonly shared?: boolean
  readonly label?: readonly string[]
  readonly option: readonly string[]
}

export type MountFields = Exclude<MessageInitShape<typeof MountSchema>, { readonly $typeName: string }>

export function withMountFlags(command: Command): Command {
  return command
    .option('--cache-size <size>', 'bound of the local data, such as 10G', sizeFlag)
    .option('--read-only', 'nothing can be written through it')
    .addOption(new Option('--access <who>', 'who may use it').choices(['owner', 'all']))
    .option('--uid <uid>', 'owner of files that have none of their own', wholeFlag)
    .option('--gid <gid>', 'group of files that have none of their own', wholeFlag)
    .option('--umask <mask>', 'bits taken from the default modes, octal', umaskFlag)
    .option('--label <word>', 'a word by which grants name it; repeatable, replaces all of them, "" for none', collectLabel)
    .option('--shared', 'other mounts may write to the same remote folder')
    .option(
      '-o, --option <key=value>',
      'fsync=remote, attributes=exact, freshness=strict, xattrs=on, driver=rclone, writeBackSeconds=N; repeatable',
      collect,
      [],
    )
}

function collectLabel(label: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), label]
}

const optionNames = ['fsync', 'attributes', 'freshness', 'xattrs', 'driver', 'writeBackSeconds'] as const

/** The name of a mount option. A Failure gives the nearest. */
export function mountOption(name: string): string {
  const found = optionNames.find((known) => known === name)
  if (found !== undefined) return found
  const like = nearest(name, optionNames)
  throw usageFailure(
    `mounts have no option '${name}'`,
    like === undefined ? `there are: ${optionNames.join(', ')}` : `did you mean '${like}'?`,
  )
}

/** The fields of a Mount that these flags give. */
export function mountFields(flags: MountFlags): MountFields {
  const options = Object.fromEntries(
    flags.option.map((pair) => splitPair(pair, '--option')).map(([key, value]) => [mountOption(key), value]),
  )
  return {
    ...(flags.path === undefined ? {} : { path: resolve(flags.path) }),
    ...(flags.cacheSize === undefined ? {} : { cacheSize: BigInt(flags.cacheSize) }),
    ...(flags.readOnly === undefined ? {} : { readOnly: flags.readOnly }),
    ...(flags.access === undefined ? {} : { access: flags.access === 'all' ? MountAccess.ALL : MountAccess.OWNER }),
    ...(flags.uid === undefined ? {} : { uid: flags.uid }),
    ...(flags.gid === undefined ? {} : { gid: flags.gid }),
    ...(flags.umask === undefined ? {} : { umask: flags.umask }),
    ...(flags.shared === undefined ? {} : { shared: flags.shared }),
    ...(flags.label === undefined ? {} : { labels: flags.label.filter((label) => label !== '') }),
    ...(flags.option.length === 0 ? {} : { options }),
  }
}

/** Paths of an update mask for these fields. */
export function maskOf(fields: MountFields): string[] {
  return Object.keys(fields).flatMap((field) =>
    field === 'options'
      ? Object.keys(fields.options ?? {}).map((name) => `options.${name}`)
      : [field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)],
  )
}
