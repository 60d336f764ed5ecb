/** Makes finished contents appear under their name in one step, and durably. */
import fs from 'node:fs'
import { CloudError } from '../../../common/errors.ts'
import type { Precondition } from '../connector.ts'
import { revOf } from './entry-facts.ts'
import type { OpenFolder } from './open-folder.ts'

/**
 * Renames `temp` to `name`. After the promise resolves the new name survives a power cut.
 * @throws CloudError `conflict` if the precondition failed; `temp` is still there then
 */
export async function publish(folder: OpenFolder, temp: Buffer, name: Buffer, precondition: Precondition): Promise<void> {
  const target = folder.entry(name)
  switch (precondition.kind) {
    case 'absent':
      await linkNew(temp, target)
      break
    case 'rev':
      await requireRev(target, precondition.rev)
      await fs.promises.rename(temp, target)
      break
    case 'any':
      await fs.promises.rename(temp, target)
      break
  }
  await syncFolder(folder)
}

/** link(2) fails if the name is taken, so that two writers cannot both succeed. Some file systems have no links. */
async function linkNew(temp: Buffer, target: Buffer): Promise<void> {
  try {
    await fs.promises.link(temp, target)
    await fs.promises.unlink(temp)
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'exists') throw new CloudError('conflict', 'the name was taken meanwhile', { cause: caught })
    if (error.kind !== 'permission' && error.kind !== 'unsupported' && error.kind !== 'too-many-links') throw error
    if (await exists(target)) throw new CloudError('conflict', 'the name was taken meanwhile')
    await fs.promises.rename(temp, target)
  }
}

/** @throws CloudError `conflict` unless the object is there and at `rev` */
export async function requireRev(path: Buffer, rev: string): Promise<void> {
  const stats = await lstatOrNull(path)
  if (!stats || revOf(stats) !== rev) throw new CloudError('conflict', 'the file was changed meanwhile')
}

export async function exists(path: Buffer): Promise<boolean> {
  return (await lstatOrNull(path)) !== null
}

/** Null = surely absent. */
export async function lstatOrNull(path: Buffer): Promise<fs.BigIntStats | null> {
  try {
    return await fs.promises.lstat(path, { bigint: true })
  } catch (caught) {
    const error = CloudError.from(caught)
    if (error.kind === 'not-found' || error.kind === 'not-a-folder') return null
    throw error
  }
}

async function syncFolder(folder: OpenFolder): Promise<void> {
  const handle = await fs.promises.open(folder.self, fs.constants.O_RDONLY | fs.constants.O_DIRECTORY)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
