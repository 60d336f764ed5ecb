import { join } from 'node:path/posix'
import type { Descriptor } from '../../drive/connectors/connector.ts'
import type { Options } from '../store/records.ts'
import { isInside } from './mount-table.ts'

/** What part of which account a mount shows. Two mounts of one place see each other's files. */
export interface RemoteRoot {
  /** Equal for accounts that are the same place, whatever they are called here. */
  readonly account: string
  /** `/a/b` */
  readonly folder: string
}

/** Secrets play no part: the same place under two keys is the same place. */
export function remoteRootOf(descriptor: Descriptor, options: Options, remoteRoot: string): RemoteRoot {
  const { properties } = descriptor.options
  const names = Object.keys(properties).filter((name) => properties[name]?.secret !== true)
  // An option that is a folder of this machine is the beginning of the path, not a name of the account.
  const folders = names.filter((name) => properties[name]?.format === 'path')
  const identity = names.filter((name) => !folders.includes(name)).map((name) => [name, options[name] ?? properties[name]?.default ?? null])
  return {
    account: JSON.stringify([descriptor.type, identity]),
    folder: join('/', ...folders.map((name) => String(options[name] ?? '')), remoteRoot),
  }
}

export function rootsOverlap(a: RemoteRoot, b: RemoteRoot): boolean {
  return a.account === b.account && (isInside(a.folder, b.folder) || isInside(b.folder, a.folder))
}

/** Folders of this machine that the account is made of (provider `local`). */
export function localFoldersOf(descriptor: Descriptor, options: Options): readonly string[] {
  const { properties } = descriptor.options
  return Object.keys(properties).flatMap((name) => {
    const value = options[name]
    return properties[name]?.format === 'path' && typeof value === 'string' && value.startsWith('/') ? [value] : []
  })
}
