import fs from 'node:fs'
import { CloudError } from '../../../common/errors.ts'
import { makeFolders } from '../../../common/make-folders.ts'
import type { ConnectorContext } from '../connector.ts'
import { joinNames } from './open-folder.ts'
import { lstatOrNull } from './lstat-or-null.ts'

export interface Root {
  /** Without symlinks. */
  readonly path: Buffer
  readonly dev: bigint
  readonly ino: bigint
}

/**
 * The mount's root: the account's folder, whose own path may lead over symlinks, and `remoteRoot` below it, which may not.
 * @throws CloudError `invalid` for a relative path, `not-found`, `not-a-folder`, `access`
 */
export async function resolveRoot(context: ConnectorContext): Promise<Root> {
  const { path, create } = context.settings.options
  if (typeof path !== 'string' || !path.startsWith('/')) {
    throw new CloudError('invalid', 'the option path must be an absolute path', { hint: 'Give it as --set path=/some/folder.' })
  }
  if (create === true) await makeFolders(path, 0o700)
  const real = await realFolder(path)
  const below = context.remoteRoot.split('/').filter((name) => name !== '')
  const root = joinNames(
    real,
    below.map((name) => Buffer.from(name)),
  )
  const { dev, ino } = await fs.promises.lstat(root, { bigint: true })
  return { path: root, dev, ino }
}

/**
 * "Absent" and "empty" may only be said while the root is the folder that it was: a disk that is not mounted has lost nothing.
 * @throws CloudError `offline`
 */
export async function requireRoot({ path, dev, ino }: Root): Promise<void> {
  const now = await lstatOrNull(path)
  if (now?.dev === dev && now.ino === ino) return
  throw new CloudError('offline', 'the folder that plays the cloud is gone or was replaced', {
    hint: 'Mount its disk again, or mount the drive again if the new folder is the right one.',
  })
}

async function realFolder(path: string): Promise<Buffer> {
  try {
    return await fs.promises.realpath(path, { encoding: 'buffer' })
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind !== 'not-found') throw error
    throw new CloudError('not-found', `the folder ${path} does not exist`, {
      cause: caught,
      code: 'ENOENT',
      hint: 'Create it, or set create=true.',
    })
  }
}
